"""Applies edits to text. Only this module changes source text."""

from __future__ import annotations

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
