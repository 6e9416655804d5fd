"""The names in import statements: the ones that calls need, new ones as text, and the removal of old ones."""

from __future__ import annotations

import ast
import re

from telepathy_lint.findings.violation import Edit
from telepathy_lint.flow.bindings import Binding
from telepathy_lint.flow.tree import Scope
from telepathy_lint.hints import NamedTuple
from telepathy_lint.source.text import Source


class Placed(NamedTuple):
    """The origin of a site's loader name, and its spelling in the call."""

    spelled: str
    module: str
    name: str
    asname: str | None
    stmt: ast.Import | ast.ImportFrom
    binding: Binding
    scope: Scope
    present: bool  # already imported

    @property
    def bound(self) -> str:
        """The name that the import binds."""
        return self.spelled.partition(".")[0]


def import_text(module: str, wanted: list[Placed]) -> str:
    if all("." in placed.spelled for placed in wanted):
        return f"import {module}"
    return f"from {module} import {', '.join(import_names(wanted))}"


def import_names(wanted: list[Placed]) -> list[str]:
    return sorted(
        {p.name if p.asname is None else f"{p.name} as {p.asname}" for p in wanted if "." not in p.spelled}
    )


def without_names(source: Source, names: list[ast.alias], gone: list[ast.alias]) -> list[Edit]:
    """Remove names from an import that keeps others; comments stay."""
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
    # Each comment stays on its line; the names between them are removed.
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
    """The rest of `Name,  # comment` and the line break after it."""
    comment = text.find("#")
    return text[comment:] if comment >= 0 else ""
