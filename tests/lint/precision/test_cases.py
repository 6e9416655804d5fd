"""The scan and the rules about loads, with short pieces of code."""

from __future__ import annotations

import gc
import json
import weakref
from typing import Any

import pytest

from telepathy_lint import engine
from telepathy_lint import rules as registry
from telepathy_lint.settings import Settings
from telepathy_lint.source.notebook import Notebook
from telepathy_lint.source.text import Source
from tests.lint.precision.cases import CASES, NOTEBOOKS

RULES = registry.select(["TLP101", "TLP102", "TLP103", "TLP104", "TLP105", "TLP201"])


def params(cases: list[Any]) -> list[Any]:
    return [pytest.param(*case[1:], id=case[0]) for case in cases]


@pytest.mark.parametrize(("code", "expected"), params(CASES))
def test_file(code: str, expected: set[str]) -> None:
    violations = engine.lint(Source("case.py", code.encode()), RULES, Settings(strict=True), noqa=False)
    assert {f"{found.site.span.line}:{found.code}" for found in violations} == expected


def test_nothing_of_a_file_waits_for_a_collection() -> None:
    """Garbage collection is off while files are linted, so reference cycles would fill the memory."""
    gc.collect()
    gc.disable()
    try:
        left = []
        for name, code, *_ in CASES:
            source = Source("case.py", code.encode())
            engine.lint(source, registry.all_rules(), Settings())
            tree = weakref.ref(source.tree)
            del source
            if tree() is not None:
                left.append(name)
    finally:
        gc.enable()
    assert left == []


@pytest.mark.parametrize(("cells", "expected"), params(NOTEBOOKS))
def test_notebook(cells: list[str], expected: set[str]) -> None:
    whole = {
        "cells": [
            {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": cell}
            for cell in cells
        ],
        "metadata": {"kernelspec": {"name": "python3"}, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    source = Notebook("case.ipynb", json.dumps(whole, indent=1).encode())
    violations = engine.lint(source, RULES, Settings(strict=True), noqa=False)
    assert {f"{found.site.span.cell}:{found.site.span.line}:{found.code}" for found in violations} == expected


def test_names_are_unique() -> None:
    names = [case[0] for case in CASES] + [case[0] for case in NOTEBOOKS]
    assert len(names) == len(set(names))
