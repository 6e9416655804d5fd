"""The stand-ins for `typing` behave as its names do where code runs."""

from __future__ import annotations

import typing

from telepathy_lint import hints
from telepathy_lint.hints import Generic, Literal, Protocol, TypeVar, get_args
from telepathy_lint.sites.site import Kind

Item = TypeVar("Item", bound=int)


class Box(Generic[Item]):
    def __init__(self, item: Item) -> None:
        self.item = item


class Opens(Protocol):
    def open(self) -> None: ...


def test_every_name_is_one_of_typing() -> None:
    ours = {name for name in vars(hints) if not name.startswith("_")}
    assert ours <= set(dir(typing))
    assert len(ours) == 12


def test_the_words_of_a_literal_can_be_asked_for() -> None:
    assert get_args(Literal["a", "b"]) == ("a", "b") == get_args(Literal["a", "b"])
    assert "model" in get_args(Kind)
    assert typing.get_args(Kind) == get_args(Kind)


def test_classes_are_generic_and_protocols() -> None:
    assert Box[int](1).item == 1
    assert Opens().open() is None  # type: ignore[abstract, func-returns-value, misc]


def test_a_name_can_be_part_of_another_annotation() -> None:
    assert dict[str, hints.Any] and (Literal["a"] | None)
