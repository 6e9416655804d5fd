"""Marks most of many similar cases as slow, so that a plain `pytest` runs a sample of them."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

import pytest


def only(quick: Container[Any], cases: Iterable[Any]) -> list[Any]:
    """The cases; those that are not in `quick` are slow tests."""
    return [case if case in quick else pytest.param(case, marks=pytest.mark.slow) for case in cases]


def every(step: int, cases: Iterable[Any]) -> list[Any]:
    """The cases; each but every `step`-th one is a slow test."""
    return [
        pytest.param(case, marks=pytest.mark.slow) if index % step else case
        for index, case in enumerate(cases)
    ]
