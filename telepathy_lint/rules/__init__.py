"""All rules; each module in `rules/` has exactly one."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Sequence
from functools import cache

from telepathy_lint.rule import Rule
from telepathy_lint.settings import Five
from telepathy_lint.settings.selectors import Layer, chosen, specificity


@cache
def all_rules() -> tuple[Rule, ...]:
    """Return all rules, sorted by code."""
    found: list[Rule] = []
    # Not pkgutil, which would import inspect.
    for file in sorted(os.listdir(os.path.dirname(__file__))):
        name, suffix = os.path.splitext(file)
        if suffix != ".py" or name == "__init__":
            continue
        loaded = importlib.import_module(f"{__name__}.{name}")
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
    """Return the rules that selectors (codes, prefixes, names, ALL) enable; the most specific selector wins.

    Raises:
        ValueError: a selector matches no rule; the message suggests similar ones.
    """
    only = tuple(select) if select is not None else None
    return select_by([Layer(only, tuple(extend_select), tuple(ignore))])


def select_by(layers: Sequence[Layer], five: Five = "") -> tuple[Rule, ...]:
    """Return the rules that layers of selectors enable, starting with the default ones.

    `five` is what the project says about transformers 5: some rules are on by default only for such projects.

    Raises:
        ValueError: a selector matches no rule; the message suggests similar ones.
    """
    for layer in layers:
        check((*(layer.only or ()), *layer.more, *layer.less))
    return tuple(
        rule for rule in all_rules() if chosen(layers, rule.meta.code, rule.meta.name, rule.meta.is_on(five))
    )


def check(selectors: Iterable[str], more: Sequence[tuple[str, str]] = ()) -> None:
    """Check that each selector matches a rule or one of `more` (codes and names of findings without a rule).

    Raises:
        ValueError: a selector matches nothing; the message suggests similar ones.
    """
    known = [*((rule.meta.code, rule.meta.name) for rule in all_rules()), *more]
    for selector in selectors:
        if any(specificity(selector, code, name) is not None for code, name in known):
            continue
        import difflib

        near = difflib.get_close_matches(selector, [each for pair in known for each in pair], n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown rule selector {selector!r}{hint} (codes, prefixes, names or ALL)")
