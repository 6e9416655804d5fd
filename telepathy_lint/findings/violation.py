"""The plain data that is passed between the stages: immutable, sortable, picklable, without tree nodes."""

from __future__ import annotations

from operator import itemgetter

from telepathy_lint.hints import Literal, NamedTuple

Safety = Literal["safe", "unsafe", "display"]


class Span(NamedTuple):
    """A position as users see it: 1-based lines and columns, columns in characters, exclusive end.

    `cell` is the 0-based index among a notebook's code cells and -1 elsewhere (so that spans sort);
    lines are then relative to the cell.
    """

    line: int
    column: int
    end_line: int
    end_column: int
    cell: int = -1


def place_in_words(line: int, cell: int = -1) -> str:
    """A position in words: `line 3`, or `line 3 of the 10th code cell`.

    The ordinal is unambiguous, although JSON's `cell` counts from 0 and the text formats count from 1.
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
    """What a fix changes, and whether it keeps the program's meaning.

    `edits` is empty unless edits are requested, because computing them imports LibCST. A "display" fix has no edits:
    its message says "not fixed" and names the evidence in the file that a fix would break the program.
    """

    safety: Safety
    message: str
    edits: tuple[Edit, ...] = ()

    @property
    def reason(self) -> str | None:
        """Why the finding is not fixed; None if it can be fixed."""
        return self.message.removeprefix("not fixed: ") if self.safety == "display" else None


class SiteRef(NamedTuple):
    """The call that a violation is about; the violation itself may point to a part of it."""

    kind: str
    callee: str
    model_id: str | None
    span: Span


class Violation(NamedTuple):
    """One finding. Findings are sorted and compared by path, cell, line, column and code, not by their site and fix."""

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
        """The message, with the reason if the finding is not fixed because a fix would do harm."""
        withheld = self.fix is not None and self.fix.safety == "display"
        return f"{self.message} ({self.fix.message})" if withheld and self.fix else self.message

    # The comparison uses the fields before `site`; the others only add details.
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


#: The sort key: the compared fields, without calling `__lt__` for each pair.
ORDER = itemgetter(slice(8))
