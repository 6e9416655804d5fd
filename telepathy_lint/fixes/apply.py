"""Apply edits to text: the only code that changes source."""

from __future__ import annotations

from collections.abc import Iterable

from telepathy_lint.findings.violation import Edit


def apply(text: str, edits: Iterable[Edit]) -> str:
    """`text` with the edits made; equal edits count once, overlapping ones are an error of whoever planned them."""
    parts: list[str] = []
    position = 0
    for edit in sorted(set(edits)):
        if edit.start < position:
            raise ValueError(f"overlapping edits at offset {edit.start}")
        parts += (text[position : edit.start], edit.text)
        position = edit.end
    parts.append(text[position:])
    return "".join(parts)
