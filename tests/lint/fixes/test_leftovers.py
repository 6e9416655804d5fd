"""What a rewritten call leaves over goes only if nothing else has it: no other file, and no code that reads names as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from telepathy_lint.commands import cli

IMPORT = "from transformers import AutoModelForCausalLM\n"
NAME = "device_map = 'auto'\n"
LOAD = "model = AutoModelForCausalLM.from_pretrained('a/b', device_map=device_map)\n"


def fixed(folder: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> str:
    (folder / ".git").mkdir()
    for path, text in files.items():
        (folder / path).write_text(text)
    monkeypatch.chdir(folder)
    cli.run(["check", "-q", "--no-cache", "--strict", "--select", "TLP101", "--fix", "load.py"])
    text = (folder / "load.py").read_text()
    assert "load_model(" in text
    return text


@pytest.mark.parametrize(
    ("other", "taken"),
    [
        ("from load import model, device_map\n", True),
        ("import load\nprint(load.device_map)\n", True),
        ("from load import *\nprint(device_map)\n", True),
        ("from load import model\ndevice_map = None\n", False),
    ],
)
def test_a_name_that_another_file_gets_stays(
    other: str, taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = fixed(tmp_path, monkeypatch, {"load.py": IMPORT + NAME + LOAD, "other.py": other})
    assert (NAME in found) is taken


@pytest.mark.parametrize(
    ("more", "read"),
    [
        ("exec(open('more.py').read())\n", True),
        ("print(eval(text))\n", True),
        ("print(vars()[name])\n", True),
        ("import sys\nprint(getattr(sys.modules[__name__], name))\n", True),
        ("print(vars(args), dir(model))\n", False),
        ("model.eval()\n", False),
        ("import ast\nast.literal_eval(text)\n", False),
    ],
)
def test_code_that_reads_names_as_text_keeps_them(
    more: str, read: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = fixed(tmp_path, monkeypatch, {"load.py": IMPORT + NAME + LOAD + more})
    assert (NAME in found) is read
    assert (IMPORT in found) is read
