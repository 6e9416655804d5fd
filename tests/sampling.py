"""Marks most of many similar cases as slow or exhaustive, so that a plain `pytest` runs a sample of them."""

from __future__ import annotations

from collections.abc import Container, Iterable
from itertools import chain, repeat
from typing import Any

import pytest


def only(quick: Container[Any], cases: Iterable[Any]) -> list[Any]:
    """The cases; those that are not in `quick` are slow tests."""
    return [case if case in quick else pytest.param(case, marks=pytest.mark.slow) for case in cases]


def first(quick: int, slow: int, cases: Iterable[Any]) -> list[Any]:
    """The cases, each more of the same kind: the first `quick` run always, the next `slow` are slow tests, the others exhaustive."""
    marks = chain(repeat((), quick), repeat(pytest.mark.slow, slow), repeat(pytest.mark.exhaustive))
    return [
        pytest.param(*getattr(case, "values", (case,)), id=getattr(case, "id", None), marks=mark)
        for case, mark in zip(cases, marks)  # noqa: B905  the marks do not end
    ]
