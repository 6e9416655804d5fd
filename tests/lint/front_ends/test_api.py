"""The Python API: arguments and results of `telepathy_lint.lint` and `telepathy_lint.fix`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import telepathy_lint
from telepathy_lint.commands import cli

ROOT = Path(__file__).parents[3]
LOAD = """\
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("acme/llm", device_map="auto")
"""
PLACED = """\
from telepathy_runtime import load_model

model = load_model("acme/llm", dtype=None, attn_implementation=None, generation_config=None)
"""


def notebook(*cells: str) -> str:
    return json.dumps({"nbformat": 4, "cells": [{"cell_type": "code", "source": cell} for cell in cells]})


def test_what_the_command_finds_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "load.py"
    script.write_text(LOAD)
    cli.run(["check", "--isolated", "--output-format", "json", str(script)])
    printed = json.loads(capsys.readouterr().out)
    found = telepathy_lint.lint(LOAD, path=str(script), edits=True)
    assert [(each.code, each.path, each.line, each.column, each.message) for each in found] == [
        (each["code"], each["path"], each["line"], each["column"], each["message"]) for each in printed
    ]
    assert [
        [edit.text for edit in each.fix.edits] for each in found if each.fix and each.fix.safety != "display"
    ] == [[edit["text"] for edit in each["fix"]["edits"]] for each in printed if each["fix"]]


def test_bytes_and_text_are_the_same() -> None:
    assert telepathy_lint.lint(LOAD) == telepathy_lint.lint(LOAD.encode()) != []


def test_bytes_are_decoded_as_python_does_it() -> None:
    code = f'# coding: latin-1\nname = "\xe9"\n{LOAD}'
    fixed = telepathy_lint.fix(code.encode("latin-1"), select=["TLP101"])
    assert fixed.source == f'# coding: latin-1\nname = "\xe9"\n{PLACED}'.encode("latin-1")


def test_text_has_no_encoding_whatever_it_declares() -> None:
    code = f'# coding: latin-1\nname = "\xe9\u20ac"\n{LOAD}'
    assert telepathy_lint.fix(code, select=["TLP101"]).source == code.replace(LOAD, PLACED)


def test_a_byte_order_mark_in_text_stays() -> None:
    assert telepathy_lint.fix(f"\ufeff{LOAD}", select=["TLP101"]).source == f"\ufeff{PLACED}"
    assert telepathy_lint.lint(f"\ufeff{LOAD}") == telepathy_lint.lint(LOAD)


def test_fixing_says_what_was_fixed_and_what_is_left() -> None:
    fixed = telepathy_lint.fix(LOAD, select=["TLP101", "TLP102"])
    assert [each.code for each in fixed.applied] == ["TLP101"]
    assert [each.code for each in fixed.remaining] == ["TLP102"]  # "dtype=None" in the loader's call
    assert fixed.changed and "dtype=None" in fixed.source
    fixed = telepathy_lint.fix(LOAD, select=["TLP101", "TLP102"], unsafe=True)
    assert sorted(each.code for each in fixed.applied) == ["TLP101", "TLP102"]
    assert fixed.changed and fixed.remaining == ()
    assert telepathy_lint.lint(fixed.source, select=["TLP101", "TLP102"]) == []


def test_notebooks_by_their_suffix() -> None:
    code = notebook("x = 1", f"%pip list\n{LOAD}")
    (found,) = telepathy_lint.lint(code, path="load.ipynb", select=["TLP101"])
    assert (found.cell, found.line) == (1, 4)
    fixed = telepathy_lint.fix(code, path="load.ipynb", select=["TLP101"])
    assert json.loads(fixed.source)["cells"][1]["source"] == f"%pip list\n{PLACED}"
    assert (
        telepathy_lint.fix(code.encode(), path="load.ipynb", select=["TLP101"]).source
        == fixed.source.encode()
    )


def test_rules_are_chosen_as_on_the_command_line() -> None:
    codes = {each.code for each in telepathy_lint.lint(LOAD)}
    assert {each.code for each in telepathy_lint.lint(LOAD, ignore=["TLP101"])} == codes - {"TLP101"}
    assert {each.code for each in telepathy_lint.lint(LOAD, extend_select=["TLP902"])} == codes | {"TLP902"}
    assert [each.code for each in telepathy_lint.lint(LOAD, select=["hardcoded-device-map"])] == ["TLP101"]
    with pytest.raises(ValueError, match="did you mean 'TLP101'"):
        telepathy_lint.lint(LOAD, select=["TLP1O1"])


def test_settings_reach_the_rules_and_the_fixes() -> None:
    old = LOAD.replace('device_map="auto"', "torch_dtype=1")
    five = telepathy_lint.Settings(target_transformers="5.0")
    assert telepathy_lint.lint(old, select=["TLP107"]) == []
    assert [each.code for each in telepathy_lint.lint(old, select=["TLP107"], settings=five)] == ["TLP107"]
    house = telepathy_lint.Settings(loader=telepathy_lint.Loader("house.loading", "load"))
    fixed = telepathy_lint.fix(LOAD, select=["TLP101"], settings=house)
    assert "from house.loading import load\n" in fixed.source


def test_suppression_comments_count_unless_told_otherwise() -> None:
    silenced = LOAD.replace('"auto")', '"auto")  # noqa: TLP101')
    assert telepathy_lint.lint(silenced, select=["TLP101"]) == []
    assert len(telepathy_lint.lint(silenced, select=["TLP101"], noqa=False)) == 1
    assert not telepathy_lint.fix(silenced, select=["TLP101"]).changed


@pytest.mark.parametrize(
    "source", ["def broken(:\n    from_pretrained", b"\xff from_pretrained", "(" * 500 + "from_pretrained"]
)
def test_what_is_not_python_says_so(source: str | bytes) -> None:
    with pytest.raises(telepathy_lint.SourceError):
        telepathy_lint.lint(source)
    with pytest.raises(telepathy_lint.SourceError):
        telepathy_lint.fix(source)


def test_importing_the_package_imports_nothing_behind_it() -> None:
    script = (
        "import sys; before = set(sys.modules); import telepathy_lint;"
        "print(sorted(set(sys.modules) - before)); telepathy_lint.lint; print('telepathy_lint.front_ends.api' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.splitlines() == ["['telepathy_lint', 'telepathy_lint._version']", "True"]


def test_the_public_names_are_there_and_others_are_not() -> None:
    assert all(getattr(telepathy_lint, name) is not None for name in telepathy_lint.__all__)
    assert set(telepathy_lint.__all__) <= set(dir(telepathy_lint))
    from telepathy_lint.front_ends import api

    assert set(api.__all__) | {"__version__"} == set(telepathy_lint.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lnt'"):
        telepathy_lint.lnt  # type: ignore[attr-defined]  # noqa: B018
