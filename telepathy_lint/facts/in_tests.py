"""Decides whether a load is one of a test, where settings that matter in an experiment do not."""

from __future__ import annotations

import os
import re
from functools import partial

from telepathy_lint.facts.launched import is_in_the_program
from telepathy_lint.sites import Site
from telepathy_lint.source.occurs import LINE_START, occurs

#: A file that imports a test framework and defines tests or fixtures, or whose functions of that name assert.
_IMPORTS = rf"{LINE_START}(?:import|from) (?:pytest|unittest)\b"
_TESTS = rf"{LINE_START}[ \t]*(?:async )?(?:def test_|class \w*Test)|@pytest\.(?:fixture|mark)"
_ASSERTS = (
    rf"{LINE_START}(?:async )?def test_\w+\([^)]*\)[^\r\n]*:(?s:.){{0,4000}}?{LINE_START}[ \t]+assert\b"
)


def is_of_a_test(site: Site) -> bool:
    """Whether a test loads the object, or a module's try of itself."""
    return bool(site.source.once(_is_a_test)) or site.file.remember("a try", partial(_is_a_try, site))


def _is_a_try(site: Site) -> bool:
    """Whether the call stands under `if __name__ == "__main__"` of a module that others import and that nothing starts."""
    path, modules = os.path.abspath(site.source.path), site.file.modules
    if modules is None or not is_in_the_program(site):
        return False
    importers = modules.importers(path)
    if importers is None or len(importers[1]) == 0:
        return False
    from telepathy_lint.facts.started import is_named_by_a_command

    return not is_named_by_a_command(site)


def _is_a_test(text: str) -> bool:
    if ("pytest" in text or "unittest" in text) and occurs(_IMPORTS, text):
        return re.search(_TESTS, text) is not None
    return "def test_" in text and re.search(_ASSERTS, text) is not None
