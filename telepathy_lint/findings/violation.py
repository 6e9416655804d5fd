"""The plain data that travels between the stages: frozen, sortable, picklable, without tree nodes."""

from __future__ import annotations

from operator import itemgetter
from typing import Literal, NamedTuple

Safety = Literal["safe", "unsafe", "display"]


class Span(NamedTuple):
    """A place as users see it: 1-based lines and columns, columns in characters; the end is exclusive.

    `cell` is the 0-based index among a notebook's code cells and -1 elsewhere (so that spans sort);
    lines then count inside the cell.
    """

    line: int
    column: int
    end_line: int
    end_column: int
    cell: int = -1


def place_in_words(line: int, cell: int = -1) -> str:
    """A place in prose: `line 3`, or `line 3 of the 10th code cell`.

    An ordinal has one meaning whether a format counts cells from 0, as JSON's `cell`, or from 1, as the formats for people.
    """
    if cell < 0:
        return f"line {line}"
    number = cell + 1
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"line {line} of the {number}{ending} code cell"


class Edit(NamedTuple):
    """Replace `text[start:end]` of a source by `text`; `span` is the same range as users see it."""

    start: int
    end: int
    text: str
    span: Span


class Fix(NamedTuple):
    """What a fix would change, and how sure it is to keep the program's meaning.

    `edits` is empty until somebody asks for them: building them costs the import of LibCST. A "display" fix has none:
    its message says "not fixed" and what in the file shows that a fix would break the program.
    """

    safety: Safety
    message: str
    edits: tuple[Edit, ...] = ()

    @property
    def reason(self) -> str | None:
        """Why the finding is not fixed; None where it can be."""
        return self.message.removeprefix("not fixed: ") if self.safety == "display" else None


class SiteRef(NamedTuple):
    """The call that a violation is about, wherever in it the violation points."""

    kind: str
    callee: str
    model_id: str | None
    span: Span


class Violation(NamedTuple):
    """One finding: sorted by path, cell, line, column, code; the same finding whatever is known of its site and fix."""

    path: str
    cell: int
    line: int
    column: int
    code: str
    name: str
    message: str
    span: Span
    site: SiteRef | None = None
    fix: Fix | None = None
    #: Character offsets into the source's text (a notebook's joined text); the engine and suppression use them.
    start: int = 0
    end: int = 0

    @property
    def text(self) -> str:
        """The message, with why the finding is not fixed where something in the file shows that a fix would harm."""
        withheld = self.fix is not None and self.fix.safety == "display"
        return f"{self.message} ({self.fix.message})" if withheld and self.fix else self.message

    # Compared by everything before `site`: what comes behind says more of the same finding.
    def __eq__(self, other: object) -> bool:
        return self[:8] == other[:8] if isinstance(other, Violation) else NotImplemented

    def __ne__(self, other: object) -> bool:
        return self[:8] != other[:8] if isinstance(other, Violation) else NotImplemented

    def __hash__(self) -> int:
        return hash(self[:8])

    def __lt__(self, other: tuple[object, ...]) -> bool:
        return self[:8] < other[:8]

    def __le__(self, other: tuple[object, ...]) -> bool:
        return self[:8] <= other[:8]

    def __gt__(self, other: tuple[object, ...]) -> bool:
        return self[:8] > other[:8]

    def __ge__(self, other: tuple[object, ...]) -> bool:
        return self[:8] >= other[:8]


#: For sorting: what a violation is compared by, found without asking each pair of violations.
ORDER = itemgetter(slice(8))
