"""Each state of a file is scanned and parsed once, with all options."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from telepathy_lint import engine
from telepathy_lint.rules import all_rules, select
from telepathy_lint.run.lint_file import lint_file
from telepathy_lint.run.options import Task
from telepathy_lint.run.selection import FilePlan
from telepathy_lint.settings import Settings

STALE = b"""\
from transformers import AutoModel

model = AutoModel.from_pretrained("gpt2", device_map="auto")
x = 1  # noqa: TLP103
"""
#: The argument's name is corrected first, then the call becomes the loader's.
ROUNDS = STALE.replace(b"device_map", b"use_auth_token=True, device_map")
CLEAN = b"from transformers import AutoModel\n"


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The texts that were scanned, and those that were parsed, in order."""
    seen: dict[str, list[str]] = {"scanned": [], "parsed": []}
    scan, parse = engine.scan, ast.parse

    def scanning(source: Any, *more: Any) -> Any:
        seen["scanned"].append(source.text)
        return scan(source, *more)

    def parsing(text: str, *more: Any, **named: Any) -> Any:
        seen["parsed"].append(text)
        return parse(text, *more, **named)

    monkeypatch.setattr(engine, "scan", scanning)
    monkeypatch.setattr(ast, "parse", parsing)
    return seen


FIX = Task(fix=True, unsafe=True, unused_noqa=True)


@pytest.mark.parametrize(
    ("data", "task", "states"),
    [
        (STALE, FIX, 3),
        (STALE, FIX._replace(edits="all", lines=True, snippets=True, show_unsafe=True), 3),
        (STALE, FIX._replace(unused_noqa=False, edits="shown", lines=True), 2),
        (STALE, Task(unused_noqa=True, edits="all", lines=True), 1),
        (STALE, Task(add_noqa=True), 1),
        (ROUNDS, FIX._replace(edits="all"), 4),
        (CLEAN, FIX._replace(edits="all"), 1),
    ],
)
def test_each_state_is_scanned_and_parsed_once(
    data: bytes, task: Task, states: int, looked: dict[str, list[str]]
) -> None:
    result = lint_file(FilePlan("a.py", all_rules(), Settings(), task), data)
    assert not result.failed
    assert len(looked["scanned"]) == states
    for texts in looked.values():
        assert len(texts) == len(set(texts)), "the same text twice"
    assert len(looked["parsed"]) <= states


def test_the_counts_are_of_the_real_thing(looked: dict[str, list[str]]) -> None:
    source = "import x\nfrom transformers import AutoModel\nm = AutoModel.from_pretrained('x', device_map='auto')\n"
    lint_file(FilePlan("a.py", select(["TLP101"]), Settings()), source.encode())
    assert looked == {"scanned": [source], "parsed": [source]}
