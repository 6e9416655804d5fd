"""Applies edits to text. Only this module changes source text."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from telepathy_lint.findings.violation import Edit


def apply(text: str, edits: Iterable[Edit]) -> str:
    """Return `text` with the edits applied. Equal edits count once; overlapping edits are an error in the planner."""
    parts: list[str] = []
    position = 0
    for edit in sorted(set(edits)):
        if edit.start < position:
            raise ValueError(f"overlapping edits at offset {edit.start}")
        parts += (text[position : edit.start], edit.text)
        position = edit.end
    parts.append(text[position:])
    return "".join(parts)


def given_twice(tree: ast.AST) -> int:
    """The number of calls with an argument that is given twice: the parser accepts it, the compiler does not."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    names = ([each.arg for each in call.keywords if each.arg] for call in calls)
    return sum(len(each) != len(set(each)) for each in names)
