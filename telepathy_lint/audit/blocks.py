"""The parts of a report, independent of the format: sections of statements, tables, commands and checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from telepathy_lint.audit.data import Model, Place

if TYPE_CHECKING:
    from telepathy_lint.audit.host import Host

Mark = Literal["good", "bad", "note"]


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence, with the places in the code that support it."""

    mark: Mark
    text: str
    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """A table cell. `sort` is the sort key if it is not the text; `share` draws a bar from 0 to 1."""

    text: str
    places: tuple[Place, ...] = ()
    sort: float | None = None
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """A command to run, with a description."""

    text: str
    command: str
    count: int = 0
    #: Its effect on the code, if it was tried.
    safety: str = ""
    #: More about it, in full sentences.
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    done: bool
    text: str


Block = Statement | Table | Command | Check


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Report:
    title: str
    summary: str
    sections: tuple[Section, ...]
    #: Percentage of calls without a finding; None if there are no calls.
    score: float | None = None
    #: The repository's web page.
    host: Host | None = None


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 load`, `2 loads`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def places_cell(places: tuple[Place, ...]) -> Cell:
    """A cell with the number of places and links to them."""
    return Cell(counted(len(places), "place") if places else "none found", places, float(len(places)))


def where_chosen(model: Model) -> tuple[Place, ...]:
    """The places that name a model: configuration first, results last."""
    return tuple(
        mention.place for mention in sorted(model.mentions, key=lambda one: (one.role == "data", one.place))
    )
