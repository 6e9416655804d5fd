"""`telepathy-lint rule`: a rule's documentation in the terminal."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from telepathy_lint.cli import Usage
from telepathy_lint.rule import Rule


def rule(options: Namespace) -> int:
    from telepathy_lint.registry import all_rules

    if options.all == (options.rule is not None):
        raise Usage("name one rule (a code or a name), or give --all")
    rules = all_rules() if options.all else (_find(options.rule, all_rules()),)
    if options.output_format == "json":
        import json

        documents = [_as_dict(one) for one in rules]
        print(json.dumps(documents if options.all else documents[0], indent=2))
    else:
        form = markdown if options.output_format == "markdown" else _text
        print("\n\n".join("\n".join(form(one)) for one in rules))
    return 0


def _find(wanted: str, rules: tuple[Rule, ...]) -> Rule:
    for one in rules:
        if wanted.lower() in (one.meta.code.lower(), one.meta.name):
            return one
    from telepathy_lint.config import did_you_mean

    known = [name for one in rules for name in (one.meta.code.lower(), one.meta.name)]
    raise Usage(f"no rule {wanted!r}{did_you_mean(wanted, known)}")


def _facts(one: Rule) -> str:
    fix = {None: "no fix", "display": "fix shown, not applied"}.get(one.meta.fix, f"{one.meta.fix} fix")
    return f"since {one.meta.since}, {fix}, {'on' if one.meta.default else 'off'} by default"


def _text(one: Rule) -> Iterator[str]:
    yield f"{one.meta.code} {one.meta.name}"
    yield f"({_facts(one)})"
    yield ""
    yield from one.documentation().split("\n")


def markdown(one: Rule) -> Iterator[str]:
    """A rule as a section of docs/rules.md, whose anchor is what findings link to; examples are fenced."""
    yield f"## {one.meta.code} {one.meta.name}"
    yield ""
    yield f"*{_facts(one)}*"
    yield ""
    lines = one.documentation().split("\n")
    while lines:
        line = lines.pop(0)
        if line not in ("Bad:", "Good:"):
            yield line
            continue
        block: list[str] = []
        while lines and (not lines[0] or lines[0].startswith("    ")):
            block.append(lines.pop(0)[4:])
        yield from (f"{line[:-1]}:", "", "```python", *"\n".join(block).strip("\n").split("\n"), "```")
        if lines:
            yield ""


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
