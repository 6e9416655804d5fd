"""`telepathy-lint linter`: all rules in one table."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from textwrap import wrap

from telepathy_lint.commands.options import columns
from telepathy_lint.rule import Rule
from telepathy_lint.rules import all_rules

_FIXES = {None: "no", "display": "shown"}


def add_options(sub: ArgumentParser) -> None:
    sub.add_argument("--output-format", choices=("text", "json"), default="text", help="default: text")


def linter(options: Namespace) -> int:
    if options.output_format == "json":
        import json

        print(json.dumps([_as_dict(rule) for rule in all_rules()], indent=2))
    else:
        print("\n".join(_table(all_rules())))
    return 0


def _table(rules: tuple[Rule, ...]) -> Iterator[str]:
    """A line for each rule, and what it finds in the lines below it."""
    width = max(len(rule.meta.name) for rule in rules)
    yield f"{'code':<6}  {'name':<{width}}  {'fix':<6}  default"
    for rule in rules:
        meta = rule.meta
        fix = _FIXES.get(meta.fix, meta.fix)
        yield f"{meta.code:<6}  {meta.name:<{width}}  {fix:<6}  {'on' if meta.default else 'off'}"
        yield from wrap(rule.summary(), max(columns(), 40), initial_indent=" " * 8, subsequent_indent=" " * 8)


def _as_dict(rule: Rule) -> dict[str, object]:
    meta = rule.meta
    return {
        "code": meta.code,
        "name": meta.name,
        "summary": rule.summary(),
        "fix": meta.fix,
        "default": meta.default,
    }
