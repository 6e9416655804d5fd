"""The documentation page of a rule, for docs/rules/ and for hovers in editors."""

from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint.rule import Rule


def facts(one: Rule) -> str:
    """One line with the version that added the rule, its fix, and whether it is on by default."""
    fix = {None: "no fix", "display": "fix shown, not applied"}.get(one.meta.fix, f"{one.meta.fix} fix")
    return f"since {one.meta.since}, {fix}, {_default(one)}"


def markdown(one: Rule) -> Iterator[str]:
    """A rule's page as Markdown, as in docs/rules/; examples are fenced."""
    yield f"# {one.meta.code} {one.meta.name}"
    yield ""
    yield f"*{facts(one)}*"
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


def _default(one: Rule) -> str:
    """Whether a rule is on by default."""
    if one.meta.five:
        return "on where transformers 5 is allowed" + ("" if "needs" in one.meta.five else " beside 4")
    return f"{'on' if one.meta.default else 'off'} by default"
