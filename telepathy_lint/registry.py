"""All rules: every module of `rules/` holds exactly one."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable
from functools import cache

from telepathy_lint import rules
from telepathy_lint.rule import Rule


@cache
def all_rules() -> tuple[Rule, ...]:
    """Every rule, by code."""
    found: list[Rule] = []
    # Not by pkgutil, which would import inspect for it.
    for file in sorted(os.listdir(os.path.dirname(rules.__file__))):
        name, suffix = os.path.splitext(file)
        if suffix != ".py" or name == "__init__":
            continue
        loaded = importlib.import_module(f"{rules.__name__}.{name}")
        classes = [
            each
            for each in vars(loaded).values()
            if isinstance(each, type) and each.__module__ == loaded.__name__
        ]
        (rule,) = (each for each in classes if issubclass(each, Rule))
        if not name.startswith(rule.meta.code.lower() + "_"):
            raise ImportError(f"{name} holds {rule.meta.code}: the file's name must start with the code")
        found.append(rule())
    return tuple(sorted(found, key=lambda rule: rule.meta.code))


def select(
    select: Iterable[str] | None = None, ignore: Iterable[str] = (), extend_select: Iterable[str] = ()
) -> tuple[Rule, ...]:
    """The rules that selectors (codes, prefixes, names, ALL) switch on; the longest selector that fits a rule decides.

    Raises:
        ValueError: a selector fits no rule; says which are near.
    """
    strength: dict[str, tuple[int, bool]] = {}
    for rule in all_rules():
        strength[rule.meta.code] = (-1, rule.meta.default if select is None else False)
    for selectors, wanted in ((select or (), True), (extend_select, True), (ignore, False)):
        for selector in selectors:
            for rule in _matching(selector):
                length = 0 if selector == "ALL" else 6 if selector == rule.meta.name else len(selector)
                if length >= strength[rule.meta.code][0]:
                    strength[rule.meta.code] = (length, wanted)
    return tuple(rule for rule in all_rules() if strength[rule.meta.code][1])


def _matching(selector: str) -> list[Rule]:
    found = [
        rule
        for rule in all_rules()
        if selector == "ALL"
        or selector == rule.meta.name
        or (selector.startswith("T") and rule.meta.code.startswith(selector))
    ]
    if not found:
        names = [each for rule in all_rules() for each in (rule.meta.code, rule.meta.name)]
        import difflib

        near = difflib.get_close_matches(selector, names, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown rule selector {selector!r}{hint} (codes, prefixes, names or ALL)")
    return found
