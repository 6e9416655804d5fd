"""Syntax errors that are no mistake in a program are noted by default, and are findings in a strict run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from telepathy_lint.hints import Any
from telepathy_lint.rules import all_rules
from telepathy_lint.run.lint_file import lint_file
from telepathy_lint.run.selection import FilePlan
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Modules

LOAD = "from transformers import AutoModel\nm = AutoModel.from_pretrained('x')\n"
BROKEN = "plot(x, linestyl e='--')"
ERROR = {"output_type": "error", "ename": "SyntaxError", "evalue": "", "traceback": []}


OUTPUT = {"output_type": "stream", "name": "stdout", "text": "1"}


def cell(source: str, count: int | None, *outputs: dict[str, Any]) -> dict[str, Any]:
    found = {"cell_type": "code", "metadata": {}, "outputs": list(outputs), "source": source}
    return {**found, "execution_count": count}


def notebook(*cells: dict[str, Any], version: str = "3.8.1") -> str:
    metadata = {"language_info": {"name": "python", "version": version}}
    return json.dumps({"cells": [cell(LOAD, 1), *cells], "metadata": metadata, "nbformat": 4})


NEWER = f"{sys.version_info.major}.{sys.version_info.minor + 1}.2"
#: A file of a project, and the same where the error is a mistake.
CASES = {
    "a cell that was never run": (
        "run.ipynb", notebook(cell(BROKEN, None)), "run.ipynb", notebook(cell(BROKEN, 2))
    ),
    "a cell that was never run, where the numbers were taken out": (
        "run.ipynb", notebook(cell("x = 1", None, OUTPUT), cell(BROKEN, None)).replace('"execution_count": 1', '"execution_count": null'),
        "run.ipynb", notebook(cell("x = 1", None), cell(BROKEN, None)).replace('"execution_count": 1', '"execution_count": null'),
    ),
    "a value that was blanked out, and one on the next line": (
        "run.ipynb", notebook(cell("token =\nx = 1", 2)), "run.ipynb", notebook(cell("token =\n    x()\nx = 1", 2))
    ),
    "a value that was blanked out": (
        "run.ipynb", notebook(cell("token = ###\nx = 1", 2)), "run.ipynb", notebook(cell("token = *###\nx = 1", 2))
    ),
    "a cell whose output is the error": (
        "run.ipynb", notebook(cell(BROKEN, 2, ERROR)), "run.ipynb", notebook(cell(BROKEN, 2, {**ERROR, "ename": "NameError"}))
    ),
    "a notebook for a newer Python": (
        "run.ipynb", notebook(cell(BROKEN, 2), version=NEWER), "run.ipynb", notebook(cell(BROKEN, 2))
    ),
    "notes in a cell": (
        "run.ipynb", notebook(cell("0.34 A gas meter, (from air) of a known\n0.40 volume", 2)),
        "run.ipynb", notebook(cell("0.34 A gas\nvolume = 0.40 of it", 2))
    ),
    "a notebook for trying things": (
        "data_test 2.ipynb", notebook(cell(BROKEN, 2)), "data_tested 2.ipynb", notebook(cell(BROKEN, 2))
    ),
    "an exercise": (
        "run.ipynb", notebook(cell("def f(x):\n    YOUR CODE HERE", 2)), "run.ipynb", notebook(cell("def f(x):\n    return x y", 2))
    ),
    "a name that its author looked up": (
        "run.ipynb", notebook(cell("for a in table.rows.:\n    print(a)", 2)), "run.ipynb", notebook(cell("for a in table.rows,.:\n    print(a)", 2))
    ),
    "an import that its author looked up": (
        "run.ipynb", notebook(cell("from src.common.\n", 2)), "run.ipynb", notebook(cell("from src.common. import\n", 2))
    ),
    "a script of a notebook's cells": ("run.py", f"{LOAD}!pip install -q peft\n", "run.py", f"{LOAD}pip install -q peft\n"),
    "a script that Colab exported": ("run.py", f'"""Original file is at https://colab.research.google.com/a"""\n{LOAD}pip install x\n', "run.py", f"{LOAD}pip install x\n"),
    "a template": ("run.py", f"{LOAD}x = {{{{ name }}}}y\n{{% if a %}}\n", "run.py", f"{LOAD}x = a y\n"),
    "a conflict of a merge": ("run.py", f"{LOAD}<<<<<<< HEAD\n", "run.py", f"{LOAD}< HEAD\n"),
    "an archive": ("old/run.py", f"{LOAD}{BROKEN}\n", "cold/run.py", f"{LOAD}{BROKEN}\n"),
    "a text in an archive": ("old/run.ipynb", "x = 1\n", "cold/run.ipynb", "x = 1\n"),
    "what a model wrote": ("data/generated_code/run.py", f"{LOAD}{BROKEN}\n", "src/run.py", f"{LOAD}{BROKEN}\n"),
}  # fmt: skip
if sys.version_info < (3, 12):
    CASES["quotes within quotes"] = ("run.py", LOAD + 'f"{x["a"]}"\n', "run.py", LOAD + 'f("{x["a"]}")\n')
    CASES["a field with a line's end"] = ("run.py", LOAD + 'f"{x\n}"\n', "run.py", LOAD + 'f"{x}\n"\n')
    CASES["a field with a quote"] = (
        "run.py",
        LOAD + """f"{a['b']} {"'"}"\n""",
        "run.py",
        LOAD + """f"{a} '"'"\n""",
    )
    CASES["an alias of a type"] = ("run.py", f"{LOAD}type X = int\n", "run.py", f"{LOAD}types X = int\n")


def failed(folder: Path, name: str, text: str, strict: bool = False) -> tuple[int, int]:
    """How many errors of a file are findings, and how many are noted."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    (folder / ".git").mkdir(exist_ok=True)
    (folder / "README.md").write_text("")
    path.write_text(text)
    plan = FilePlan(str(path), tuple(all_rules()), Settings(strict=strict))
    result = lint_file(plan, text.encode(), Modules())
    return len(result.failures), len(result.notes)


@pytest.mark.parametrize("name", CASES)
def test_an_error_that_is_no_mistake_is_noted(name: str, tmp_path: Path) -> None:
    path, text, wrong_path, wrong = CASES[name]
    assert failed(tmp_path / "a", path, text) == (0, 1)
    assert failed(tmp_path / "b", path, text, strict=True) == (1, 0)
    assert failed(tmp_path / "c", wrong_path, wrong) == (1, 0)


@pytest.mark.parametrize("metadata", [None, [], {"language_info": None}])
@pytest.mark.parametrize("outputs", [None, ["x"], [None], {"a": 1}])
def test_odd_notebooks_are_read(metadata: object, outputs: object, tmp_path: Path) -> None:
    cells = [cell(LOAD, 1), {**cell(BROKEN, 2), "outputs": outputs}, {**cell("x = 1", 3), "outputs": outputs}]
    text = json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})
    assert failed(tmp_path, "run.ipynb", text) == (1, 0)
