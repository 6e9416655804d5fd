"""All rules; each module in `rules/` has exactly one."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Sequence
from functools import cache

from telepathy_lint.rule import Rule
from telepathy_lint.settings import Stage
from telepathy_lint.settings.selectors import PROJECT_RULES, Layer, chosen, specificity

#: The rules of this group are off unless selected.
EXTRA = "TLP9"
#: The rules of this group are on only where the project says something about transformers 5.
OF_FIVE = "TLP4"


@cache
def all_rules() -> tuple[Rule, ...]:
    """Return all rules, sorted by code."""
    return tuple(_rule(module) for module in _modules())


@cache
def _modules() -> dict[str, tuple[str, str]]:
    """The modules of the rules, each with its rule's code and name, which a module's own name says; sorted by code."""
    # Not pkgutil, which would import inspect.
    files = (os.path.splitext(file) for file in sorted(os.listdir(os.path.dirname(__file__))))
    names = [name for name, suffix in files if suffix == ".py" and name != "__init__"]
    split = ((name, name.partition("_")) for name in names)
    return {name: (code.upper(), rest.replace("_", "-")) for name, (code, _, rest) in split}


@cache
def _rule(module: str) -> Rule:
    loaded = importlib.import_module(f"{__name__}.{module}")
    classes = [
        each
        for each in vars(loaded).values()
        if isinstance(each, type) and each.__module__ == loaded.__name__
    ]
    (rule,) = (each for each in classes if issubclass(each, Rule))
    if (rule.meta.code, rule.meta.name) != _modules()[module]:
        raise ImportError(
            f"{module} holds {rule.meta.code} {rule.meta.name!r}: the file's name must be the code and the name"
        )
    return rule()


def select(
    select: Iterable[str] | None = None, ignore: Iterable[str] = (), extend_select: Iterable[str] = ()
) -> tuple[Rule, ...]:
    """Return the rules that selectors (codes, prefixes, names, ALL) enable; the most specific selector wins.

    Raises:
        ValueError: a selector matches no rule; the message suggests similar ones.
    """
    only = tuple(select) if select is not None else None
    return select_by([Layer(only, tuple(extend_select), tuple(ignore))])


def select_by(layers: Sequence[Layer], five: Stage = "") -> tuple[Rule, ...]:
    """Return the rules that layers of selectors enable, starting with the default ones.

    `five` is what the project says about transformers 5: some rules are on by default only for such projects.

    Raises:
        ValueError: a selector matches no rule; the message suggests similar ones.
    """
    for layer in layers:
        check((*(layer.only or ()), *layer.more, *layer.less))
    # Importing a rule takes longer than running it on a small file: the ones that are off stay out.
    off = (EXTRA,) if five else (EXTRA, OF_FIVE)
    rules = (
        _rule(module)
        for module, (code, name) in _modules().items()
        if chosen(layers, code, name, not (code.startswith(off) or code in PROJECT_RULES))
    )
    return tuple(
        rule for rule in rules if chosen(layers, rule.meta.code, rule.meta.name, rule.meta.is_on(five))
    )


def check(selectors: Iterable[str], more: Sequence[tuple[str, str]] = ()) -> None:
    """Check that each selector matches a rule or one of `more` (codes and names of findings without a rule).

    Raises:
        ValueError: a selector matches nothing; the message suggests similar ones.
    """
    known = [*_modules().values(), *more]
    for selector in selectors:
        if any(specificity(selector, code, name) is not None for code, name in known):
            continue
        import difflib

        near = difflib.get_close_matches(selector, [each for pair in known for each in pair], n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown rule selector {selector!r}{hint} (codes, prefixes, names or ALL)")
