"""A renamed class (TLP404) is renamed only where nothing else gets it from the file by its old name."""

from __future__ import annotations

from pathlib import Path

import pytest

from telepathy_lint.commands import cli

OLD, NEW = "ViTFeatureExtractor", "ViTImageProcessor"
IMPORT = f"from transformers import {OLD}\nextractor = {OLD}()\n"


def fixed(folder: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], name: str) -> str:
    (folder / ".git").mkdir()
    for path, text in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    monkeypatch.chdir(folder)
    cli.run(["check", "-q", "--no-cache", "--strict", "--select", "TLP404", "--fix", name])
    return (folder / name).read_text()


@pytest.mark.parametrize(
    "more",
    [
        f"__all__ = ['{OLD}']\n",
        f"name = '{OLD}'\nprint(globals()[name])\n",
        f"def use(x: 'list[{OLD}] | None'): ...\n",
        f"def use(x: 'dict[str, {OLD}]'): ...\n",
        f"def use({OLD}=1):\n    return {OLD}\n",
        f"class Own:\n    {OLD} = {OLD}\n",
    ],
)
def test_a_name_that_a_string_or_another_scope_has_stays(
    more: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fixed(tmp_path, monkeypatch, {"main.py": IMPORT + more}, "main.py") == IMPORT + more


@pytest.mark.parametrize("more", [f'print("loads a {OLD} first")\n', "print('ViT')\n"])
def test_prose_is_no_use_of_a_name(more: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    after = IMPORT.replace(OLD, NEW)
    found = fixed(tmp_path, monkeypatch, {"main.py": IMPORT + more}, "main.py")
    assert found == after + more


@pytest.mark.parametrize(
    ("other", "taken"),
    [
        (f"from lib import {OLD}\n{OLD}()\n", True),
        (f"import lib\nlib.{OLD}()\n", True),
        (f"from lib import *\n{OLD}()\n", True),
        (f"from unittest import mock\nwith mock.patch('lib.{OLD}'): ...\n", True),
        ("from lib import extractor\n", False),
        (f"from transformers import {OLD}\nfrom lib import extractor\n", False),
    ],
)
def test_a_name_that_another_file_gets_stays(
    other: str, taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"lib.py": IMPORT, "main.py": other}
    found = fixed(tmp_path, monkeypatch, files, "lib.py")
    assert found == (IMPORT if taken else IMPORT.replace(OLD, NEW))


def test_a_package_keeps_what_it_exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fixed(tmp_path, monkeypatch, {"own/__init__.py": IMPORT}, "own/__init__.py") == IMPORT
