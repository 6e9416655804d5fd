"""Our `NamedTuple` makes what `typing`'s makes."""

from __future__ import annotations

import pickle
import subprocess
import sys
import typing

import pytest

from telepathy_lint.findings.violation import Span
from telepathy_lint.hints import NamedTuple


class Point(NamedTuple):
    """A place."""

    x: int
    y: int = 2
    name: str | None = None

    @property
    def sum(self) -> int:
        return self.x + self.y

    @classmethod
    def origin(cls) -> Point:
        return cls(0, 0)


class Same(typing.NamedTuple):
    """A place."""

    x: int
    y: int = 2
    name: str | None = None


def test_it_is_made_as_typing_makes_it() -> None:
    assert Point(1) == Same(1) == (1, 2, None)
    assert Point(1)._asdict() == Same(1)._asdict()
    assert repr(Point(1, name="a")) == repr(Same(1, name="a")).replace("Same", "Point")
    for name in (
        "_fields",
        "_field_defaults",
        "__doc__",
        "__module__",
        "__match_args__",
        "__bases__",
    ):
        assert getattr(Point, name) == getattr(Same, name), name
    assert typing.get_type_hints(Point) == typing.get_type_hints(Same)


def test_methods_are_kept() -> None:
    assert Point(1)._replace(y=5).sum == 6
    assert Point.origin() == (0, 0, None)


def test_an_argument_too_few_or_too_many_is_an_error() -> None:
    with pytest.raises(TypeError, match="x"):
        Point()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Point(1, z=2)  # type: ignore[call-arg]


class Many(NamedTuple):
    a: int
    b: int
    c: int
    d: int
    e: int
    f: int
    g: int
    h: int = 8
    i: int = 9


def test_a_tuple_of_many_fields_is_made_as_one_of_few() -> None:
    first = (1, 2, 3, 4, 5, 6, 7)
    assert Many(*first) == (*first, 8, 9) == Many(*first, 8, 9)
    assert (
        Many(*first, i=0)
        == (*first, 8, 0)
        == Many(1, 2, i=0, **dict(zip("gfedc", (7, 6, 5, 4, 3), strict=True)))
    )
    assert Many(*first)._replace(h=0) == (*first, 0, 9)
    assert isinstance(Many(*first), Many)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ((1, 2), {}),  # too few
        ((1, 2, 3, 4, 5, 6, 7, 8, 9, 10), {}),  # too many
        ((1, 2, 3, 4, 5, 6, 7), {"z": 1}),  # no such field
        ((1, 2, 3, 4, 5, 6, 7), {"a": 1}),  # twice
        ((1, 2, 3, 4, 5, 6, 7, 8, 9, 10), {"i": 9}),
    ],
)
def test_wrong_arguments_of_a_tuple_of_many_fields_are_an_error(
    given: tuple[int, ...], named: dict[str, int]
) -> None:
    with pytest.raises(TypeError):
        Many(*given, **named)


def test_it_is_pickled() -> None:
    assert pickle.loads(pickle.dumps(Span(1, 2, 3, 4))) == Span(1, 2, 3, 4)


def test_a_check_defines_none_of_typing() -> None:
    """It takes ten times as long to define one, and a check defines sixty."""
    program = (
        "import typing\n"
        "made = typing.NamedTupleMeta.__new__\n"
        "def seen(meta, name, bases, body):\n"
        "    assert not body['__module__'].startswith('telepathy_lint'), name\n"
        "    return made(meta, name, bases, body)\n"
        "typing.NamedTupleMeta.__new__ = seen\n"
        "from telepathy_lint.commands.cli import run\n"
        "raise SystemExit(run(['check', '--strict', '--isolated', '--no-cache', '--stdin-filename', 'a.py', '-']))\n"
    )
    code = (
        "from transformers import AutoModel\nmodel = AutoModel.from_pretrained('gpt2', device_map='auto')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=code, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "TLP101" in done.stdout
