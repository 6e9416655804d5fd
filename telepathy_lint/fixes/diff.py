"""Diffs for people: the unified diff of a file, and the changed lines of one fix."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence

from telepathy_lint.findings.violation import Edit
from telepathy_lint.source.notebook import Notebook
from telepathy_lint.source.text import Source

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def unified(source: Source, fixed: Source) -> str:
    """The unified diff in a form that `patch` accepts (except for notebooks, which have one diff per cell)."""
    if not isinstance(source, Notebook) or not isinstance(fixed, Notebook):
        return _unified(source.path, source.text, fixed.text)
    return "".join(
        _unified(f"{source.path}:cell {old.number + 1}", old.text, new.text)
        for old, new in zip(source.cells, fixed.cells, strict=True)
        if old.text != new.text
    )


def _unified(name: str, old: str, new: str) -> str:
    parts: list[str] = []
    for line in difflib.unified_diff(_LINE.findall(old), _LINE.findall(new), name, name):
        ended = line[-1:] in ("\n", "\r")
        parts.append(line if ended else f"{line}\n\\ No newline at end of file\n")
    return "".join(parts)


def of_fix(source: Source, edits: Sequence[Edit]) -> str:
    """The removed and added lines of a fix, with their line numbers."""
    width = len(str(max((edit.span.end_line for edit in edits), default=0)))
    shown: list[str] = []
    for group in _neighbours(source, edits):
        first = source.line_starts[source.line_of(group[0].start) - 1]
        after = source.line_of(group[-1].end)
        last = source.line_starts[after] if after < len(source.line_starts) else len(source.text)
        if group[-1].end == source.line_starts[after - 1] and after > source.line_of(group[0].start):
            last = group[-1].end  # whole lines are removed, so the next line does not change
        old = source.text[first:last]
        new, at = [], first
        for edit in group:
            new += [source.text[at : edit.start], edit.text]
            at = edit.end
        new.append(source.text[at:last])
        number = group[0].span.line
        for line in difflib.ndiff(_lines(old), _lines("".join(new))):
            if line.startswith("? "):
                continue
            label = "" if line.startswith("+ ") else str(number)
            number += not line.startswith("+ ")
            shown.append(f"{label:>{width}} {line}".rstrip())
    return "\n".join(shown)


def _lines(text: str) -> list[str]:
    return re.split(r"\r\n|\r|\n", text.rstrip("\r\n")) if text else []


def _neighbours(source: Source, edits: Sequence[Edit]) -> Iterator[list[Edit]]:
    """Group the edits, in order, by the lines they share."""
    group: list[Edit] = []
    for edit in sorted(edits):
        if group and source.line_of(edit.start) > source.line_of(group[-1].end):
            yield group
            group = []
        group.append(edit)
    if group:
        yield group
