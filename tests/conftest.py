"""Options of the whole suite."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--bless",
        action="store_true",
        help="write what the fixes give to the .fixed.py files of fixtures/rules, to be read in the diff",
    )
