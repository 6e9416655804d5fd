"""`import *` and the names that fixes import: the one never takes the place of the other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from telepathy_lint.commands import cli

LOAD = "AutoModelForCausalLM.from_pretrained('a/b', device_map='auto')\n"
IMPORT = "from transformers import AutoModelForCausalLM\n"
PLAIN, ALIAS = (
    "telepathy_runtime import load_model\n",
    "telepathy_runtime import load_model as runtime_load_model\n",
)


def fixed(folder: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], name: str) -> str:
    (folder / ".git").mkdir()
    for path, text in files.items():
        (folder / path).write_text(text)
    monkeypatch.chdir(folder)
    cli.run(["check", "-q", "--no-cache", "--strict", "--select", "TLP101", "--fix", name])
    return (folder / name).read_text()


def test_modules_that_get_all_names_of_each_other_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = 24
    modules = {
        f"{side}{at}.py": f"from a{at + 1} import *\nfrom b{at + 1} import *\n"
        for at in range(pairs)
        for side in "ab"
    }
    last = {f"a{pairs}.py": "x = 1\n", f"b{pairs}.py": "y = 1\n"}
    main = {"main.py": f"{IMPORT}from a0 import *\nmodel = {LOAD}"}
    assert PLAIN in fixed(tmp_path, monkeypatch, {**modules, **last, **main}, "main.py")


@pytest.mark.parametrize(
    ("star", "modules", "spelled"),
    [
        ("from utils import *\n", {"utils.py": "def load_model(): ...\n"}, ALIAS),
        ("from utils import *\n", {"utils.py": "from more import *\n", "more.py": "load_model = 1\n"}, ALIAS),
        ("from utils import *\n", {"utils.py": "from utils import *\nx = 1\n"}, PLAIN),
        ("from utils import *\n", {"utils.py": "def load(): ...\n"}, PLAIN),
        ("from keras.models import *\n", {}, ALIAS),
        ("from glob import *\nfrom torch import *\n", {}, PLAIN),
        ("from transformers import *\n", {}, PLAIN),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_name_that_may_come_with_a_star_gets_an_alias(
    star: str,
    modules: dict[str, str],
    spelled: str,
    first: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = (star + IMPORT if first else IMPORT + star) + f"model = {LOAD}"
    found = fixed(tmp_path, monkeypatch, {"main.py": code, **modules}, "main.py")
    assert spelled in found
    assert f"model = {spelled.split()[-1]}(" in found


@pytest.mark.parametrize(
    ("importer", "spelled"),
    [
        ("from mine import load_model\nfrom lib import *\nload_model()\n", ALIAS),
        ("from lib import *\nget()\n", PLAIN),
        ("from mine import load_model\nfrom lib import get\nload_model()\n", PLAIN),
    ],
)
def test_a_name_that_a_star_takes_to_a_module_with_its_own_gets_an_alias(
    importer: str, spelled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"{IMPORT}def get():\n    return {LOAD}"
    assert spelled in fixed(tmp_path, monkeypatch, {"lib.py": code, "main.py": importer}, "lib.py")


@pytest.mark.parametrize(
    ("code", "spelled"),
    [
        ("models = [{} for load_model in paths]\n", ALIAS),
        ("model = {}\nprint(load_model())\n", ALIAS),  # something that ran before has bound it
        ("model = {}\nprint(own.load_model())\n", PLAIN),
        ("model = {}\nprint('load_model')\n", PLAIN),
        ("exec(open('more.py').read())\nmodel = {}\n", ALIAS),
        ("model = {}\nmodel.exec()\n", PLAIN),
    ],
)
def test_a_name_that_the_file_does_not_bind_at_top_gets_an_alias_too(
    code: str, spelled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = IMPORT + code.format(LOAD.rstrip())
    assert f"from {spelled}" in fixed(tmp_path, monkeypatch, {"main.py": code}, "main.py")


@pytest.mark.parametrize(("magic", "spelled"), [("%run more.py\n", ALIAS), ("%time 1\n", PLAIN)])
def test_a_notebook_that_runs_a_script_gets_an_alias(
    magic: str, spelled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = [
        {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": source}
        for source in (IMPORT, magic, f"model = {LOAD}")
    ]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "load.ipynb").write_text(json.dumps(notebook))
    monkeypatch.chdir(tmp_path)
    cli.run(["check", "-q", "--no-cache", "--strict", "--select", "TLP101", "--fix", "load.ipynb"])
    cells = json.loads((tmp_path / "load.ipynb").read_text())["cells"]
    assert "".join(cells[0]["source"]).rstrip() == f"from {spelled}".rstrip()
