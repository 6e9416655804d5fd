"""What a report is made of, before any format: sections of statements, tables, commands and checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from telepathy_lint.audit.data import Model, Place

if TYPE_CHECKING:
    from telepathy_lint.audit.host import Host

Mark = Literal["good", "bad", "note"]


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence and the places that show it."""

    mark: Mark
    text: str
    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """A table's cell; `sort` is what it sorts by where that is not the text, `share` draws a bar of 0 to 1."""

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
    """Something to run, and what it does."""

    text: str
    command: str
    count: int = 0
    #: What it does to the code, where that was tried.
    safety: str = ""
    #: More about it, a sentence each.
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
    #: Percent of the calls without a finding; None where there is no call.
    score: float | None = None
    #: The repository on the web.
    host: Host | None = None


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 load`, `2 loads`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def places_cell(places: tuple[Place, ...]) -> Cell:
    """A cell that counts places and links to them."""
    return Cell(counted(len(places), "place") if places else "none found", places, float(len(places)))


def where_chosen(model: Model) -> tuple[Place, ...]:
    """Where a model is written: where it is chosen first, results last."""
    return tuple(
        mention.place for mention in sorted(model.mentions, key=lambda one: (one.role == "data", one.place))
    )
