"""Decides whether a load is incidental: one of a test, or one whose result is dropped."""

from __future__ import annotations

import ast
import re

from telepathy_lint.sites import Site
from telepathy_lint.source.occurs import LINE_START, occurs

#: A file that imports a test framework and defines tests or fixtures.
_IMPORTS = rf"{LINE_START}(?:import|from) (?:pytest|unittest)\b"
_TESTS = rf"{LINE_START}[ \t]*(?:async )?(?:def test_|class \w*Test)|@pytest\.(?:fixture|mark)"


def is_incidental(site: Site) -> bool:
    """Whether a test loads the object, or nothing gets it: `from_pretrained(name)` alone fills the cache."""
    return bool(site.source.once(_is_a_test)) or is_dropped(site)


def is_dropped(site: Site) -> bool:
    """Whether the load is a statement of its own."""
    return isinstance(site.context.scope.tree.parent.get(site.node), ast.Expr)


def _is_a_test(text: str) -> bool:
    return (
        ("pytest" in text or "unittest" in text)
        and occurs(_IMPORTS, text)
        and re.search(_TESTS, text) is not None
    )
