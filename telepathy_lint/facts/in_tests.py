"""Decides whether a load is one of a test, where settings that matter in an experiment do not."""

from __future__ import annotations

import re

from telepathy_lint.sites import Site
from telepathy_lint.source.occurs import LINE_START, occurs

#: A file that imports a test framework and defines tests or fixtures, or whose functions of that name assert.
_IMPORTS = rf"{LINE_START}(?:import|from) (?:pytest|unittest)\b"
_TESTS = rf"{LINE_START}[ \t]*(?:async )?(?:def test_|class \w*Test)|@pytest\.(?:fixture|mark)"
_ASSERTS = (
    rf"{LINE_START}(?:async )?def test_\w+\([^)]*\)[^\r\n]*:(?s:.){{0,4000}}?{LINE_START}[ \t]+assert\b"
)


def is_of_a_test(site: Site) -> bool:
    """Whether a test loads the object."""
    return bool(site.source.once(_is_a_test))


def _is_a_test(text: str) -> bool:
    if ("pytest" in text or "unittest" in text) and occurs(_IMPORTS, text):
        return re.search(_TESTS, text) is not None
    return "def test_" in text and re.search(_ASSERTS, text) is not None
