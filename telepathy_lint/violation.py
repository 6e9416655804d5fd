"""The plain data that travels between the stages: frozen, sortable, picklable, without tree nodes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Safety = Literal["safe", "unsafe", "display"]


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A place as users see it: 1-based lines and columns, columns in characters; the end is exclusive.

    `cell` is the 0-based index among a notebook's code cells and -1 elsewhere (so that spans sort);
    lines then count inside the cell.
    """

    line: int
    column: int
    end_line: int
    end_column: int
    cell: int = -1


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Replace `text[start:end]` of a source by `text`; `span` is the same range as users see it."""

    start: int
    end: int
    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Fix:
    """What a fix would change, and how sure it is to keep the program's meaning.

    `edits` is empty until somebody asks for them: building them costs the import of LibCST.
    """

    safety: Safety
    message: str
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True)
class SiteRef:
    """The call that a violation is about, wherever in it the violation points."""

    kind: str
    callee: str
    model_id: str | None
    span: Span


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """One finding: sorted by path, cell, line, column, code."""

    path: str
    cell: int
    line: int
    column: int
    code: str
    name: str
    message: str
    span: Span
    site: SiteRef | None = field(default=None, compare=False)
    fix: Fix | None = field(default=None, compare=False)
    #: Character offsets into the source's text (a notebook's joined text); the engine and suppression use them.
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)
