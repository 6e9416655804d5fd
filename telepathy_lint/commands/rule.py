"""`telepathy-lint rule`: print the documentation of a rule."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from textwrap import wrap
from typing import Any

from telepathy_lint.commands.options import Usage, columns
from telepathy_lint.findings.result import FAILED_CODE, FAILED_NAME, FAILED_TEXT
from telepathy_lint.output.rule_page import facts, markdown
from telepathy_lint.rule import Rule
from telepathy_lint.suppression.edits import UNUSED_CODE, UNUSED_NAME, UNUSED_TEXT

#: Findings about a file or a comment in it rather than a call.
CODES_WITHOUT_RULE = {FAILED_CODE: (FAILED_NAME, FAILED_TEXT), UNUSED_CODE: (UNUSED_NAME, UNUSED_TEXT)}


def add_options(sub: ArgumentParser) -> None:
    sub.add_argument("rule", nargs="?", metavar="RULE", help="a code or a name")
    sub.add_argument("--all", action="store_true", help="all rules")
    sub.add_argument(
        "--output-format", choices=("text", "markdown", "json"), default="text", help="default: text"
    )


def rule(options: Namespace) -> int:
    from telepathy_lint.rules import all_rules

    if options.all == (options.rule is not None):
        raise Usage("pass one rule (a code or a name), or --all")
    rules = all_rules() if options.all else (_find(options.rule, all_rules()),)
    if options.output_format == "json":
        import json

        documents = [_as_dict(one) for one in rules]
        print(json.dumps(documents if options.all else documents[0], indent=2))
    else:
        form = markdown if options.output_format == "markdown" else _text
        print("\n\n".join("\n".join(form(one)).rstrip("\n") for one in rules))
    return 0


def _find(wanted: str, rules: tuple[Rule, ...]) -> Rule:
    for one in rules:
        if wanted.lower() in (one.meta.code.lower(), one.meta.name):
            return one
    for code, (name, text) in CODES_WITHOUT_RULE.items():
        if wanted.lower() in (code.lower(), name):
            raise Usage(f"{code} ({name}) is not a rule. It is reported for this: {text}")
    from difflib import get_close_matches

    known = [name for one in rules for name in (one.meta.code, one.meta.name)]
    near = get_close_matches(wanted.upper(), known, 1, 0.6) or get_close_matches(
        wanted.lower(), known, 1, 0.6
    )
    hint = f"did you mean {near[0]!r}?" if near else "`telepathy-lint rule --all` prints all rules"
    raise Usage(f"no rule {wanted!r}; {hint}")


def _text(one: Rule) -> Iterator[str]:
    yield f"{one.meta.code} {one.meta.name}"
    yield f"({facts(one)})"
    yield ""
    for paragraph in one.documentation().split("\n\n"):
        yield from [*_wrapped(paragraph), ""]


def _wrapped(paragraph: str) -> list[str]:
    """Wrap prose to the width of the terminal, each item of a list by itself, but not code."""
    if paragraph.startswith(" "):
        return paragraph.split("\n")
    items = re.split(r"\n(?=- )", paragraph) if paragraph.startswith("- ") else [paragraph]
    return [
        line
        for each in items
        for line in wrap(
            each,
            max(columns(), 40),
            subsequent_indent="  " if len(items) > 1 else "",
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]


def _as_dict(one: Rule) -> dict[str, Any]:
    meta = one.meta
    return {
        "code": meta.code,
        "name": meta.name,
        "summary": one.summary(),
        "message": meta.message,
        "since": meta.since,
        "fix": meta.fix,
        "default": meta.default,
        "documentation": one.documentation(),
    }
