"""Caches of the dict readers of one file."""

from __future__ import annotations

import ast
from collections.abc import Hashable

from telepathy_lint.flow.reaching import Point
from telepathy_lint.flow.tree import Context, Scope
from telepathy_lint.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from telepathy_lint.flow.contents import Effect
    from telepathy_lint.flow.writes import Write


class Known:
    """Caches of the dict readers of one file."""

    __slots__ = ("bound", "effects", "foreign", "latest", "outside", "reading", "steps", "touched")

    def __init__(self) -> None:
        self.reading: set[object] = set()
        self.outside: set[tuple[ast.ClassDef, str]] = (
            set()
        )  # attributes whose assignments in a class are being read
        self.bound: dict[Point, Effect | None] = {}
        self.steps: dict[Point, Effect] = {}
        self.effects: dict[Write, Effect] = {}
        self.latest: dict[tuple[Scope, str], tuple[Point, Effect | None]] = {}
        self.foreign: dict[tuple[Scope, str], tuple[tuple[Write, Context], ...]] = {}
        self.touched: dict[tuple[Scope, str], frozenset[Hashable]] = {}
