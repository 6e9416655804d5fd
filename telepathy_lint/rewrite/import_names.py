"""Names taken out of an import statement that keeps others."""

from __future__ import annotations

import ast
import re

from telepathy_lint.source import Source
from telepathy_lint.violation import Edit


def without_names(source: Source, names: list[ast.alias], gone: list[ast.alias]) -> list[Edit]:
    """Take names out of an import that keeps others; comments behind them stay."""
    text = source.text
    starts = [source.start_of(name) for name in names]
    ends = [source.end_of(name) for name in names]
    last_kept = max(index for index, name in enumerate(names) if name not in gone)
    edits = [
        source.edit(starts[index], starts[index + 1], _comments_of(text[starts[index] : starts[index + 1]]))
        for index in range(last_kept)
        if names[index] in gone
    ]
    if last_kept + 1 == len(names):
        return edits
    tail = text[ends[last_kept] : ends[-1]]
    if "#" not in tail:
        return [*edits, source.edit(ends[last_kept], ends[-1], "")]
    # Comments stay, each on the line it has; the names between them go.
    comma = re.compile(r"[ \t]*,").match(text, ends[-1])
    end = comma.end() if comma is not None else ends[-1]
    stays = text[ends[last_kept] : starts[last_kept + 1]]
    for index in range(last_kept + 1, len(names)):
        stays += _comments_of(text[starts[index] : starts[index + 1] if index + 1 < len(names) else end])
    stays = stays.rstrip()
    if not text[end:].lstrip(" \t").startswith(("\n", "\r", "#")):
        stays += source.newline
    return [*edits, source.edit(ends[last_kept], end, stays)]


def _comments_of(text: str) -> str:
    """What stays of `Name,  # comment` and the line break behind it."""
    comment = text.find("#")
    return text[comment:] if comment >= 0 else ""
