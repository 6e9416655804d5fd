"""Reports and removes unused suppression comments, and adds new ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache

from telepathy_lint.findings.result import FAILED_CODE, FAILED_NAME
from telepathy_lint.findings.violation import Edit, Fix, Violation
from telepathy_lint.fixes import apply as fixes
from telepathy_lint.hints import NamedTuple
from telepathy_lint.rule import Rule
from telepathy_lint.source.text import Source
from telepathy_lint.suppression import may_suppress
from telepathy_lint.suppression.comments import (
    Comments,
    Directive,
    LineGroups,
    Suppressions,
    selector_lists,
)

UNUSED_CODE = "TLP001"
UNUSED_NAME = "unused-suppression"
_MAY_COUNT = r"(?i)noqa|telepathy-lint:"
UNUSED_TEXT = "A suppression comment that suppresses nothing."


class Unknown(NamedTuple):
    """An unknown code or name in a suppression comment."""

    start: int
    end: int
    selector: str
    #: Whether it is in an `enable`, which suppresses nothing and so cannot be an unused suppression.
    enables: bool


def unknown(source: Source) -> list[Unknown]:
    """Selectors in suppression comments that match no rule, in order.

    Other tools use `noqa` too, so only selectors that begin like our codes are checked there.
    """
    if not may_suppress(source):
        return []
    found = [
        Unknown(match.start("codes") + one.start(), match.start("codes") + one.end(), one[0], enables)
        for match, ours, enables in selector_lists(source)
        for one in re.finditer(r"[^,\s]+", match["codes"])
        if (ours or re.match(r"(?i)TLP\d", one[0])) and not is_known(one[0])
    ]
    if not found:
        return []
    comments = Comments(source)
    return sorted(one for one in found if comments.hold(one.start))


def is_known(selector: str) -> bool:
    """Whether a selector in a suppression comment matches anything that can be reported."""
    return any(code.startswith(selector) or selector in (name, "ALL") for code, name in _all_codes())


def no_such_rule(selector: str) -> str:
    """The message about an unknown selector."""
    from difflib import get_close_matches

    names = [name for pair in _all_codes() for name in pair]
    near = get_close_matches(selector.upper(), names, 1, 0.6) or get_close_matches(
        selector.lower(), names, 1, 0.6
    )
    return f"no such rule{f', did you mean {near[0]}?' if near else ''}"


@cache
def _all_codes() -> tuple[tuple[str, str], ...]:
    """Codes and names of everything that can be reported."""
    from telepathy_lint.rules import all_rules

    rules = ((rule.meta.code, rule.meta.name) for rule in all_rules())
    return (*rules, (FAILED_CODE, FAILED_NAME), (UNUSED_CODE, UNUSED_NAME))


def unused(source: Source, violations: Sequence[Violation], enabled: Sequence[Rule]) -> list[Violation]:
    """Comments that suppress nothing; `violations` are those of all `enabled` rules, suppressed or not.

    Codes of other tools, bare `noqa` (which may be meant for other tools) and rules that did not run are ignored. An
    unknown code that begins like ours suppresses nothing.
    """
    if not may_suppress(source):
        return []
    suppressions = Suppressions(source, violations, every=True)
    found: list[Violation] = []
    comments = Comments(source)
    unknown_places = {one.start for one in unknown(source)}
    for directive in suppressions.all_directives():
        if not comments.hold(directive.start):
            continue  # in a string, not a comment: it must not be removed
        if directive.selectors is None:
            ours = "telepathy-lint" in source.text[directive.start : directive.end]
            if ours and not suppressions.serves(directive, None):
                found.append(
                    _violation(source, directive, directive.start, directive.end, "everything", None)
                )
            continue
        strange = {
            one
            for one, (start, _) in zip(directive.selectors, directive.places, strict=True)
            if start in unknown_places
        }
        idle = [
            one
            for one in directive.selectors
            if one in strange or (_ran(one, enabled) and not suppressions.serves(directive, one))
        ]
        if idle:
            first = directive.places[directive.selectors.index(idle[0])]
            fix = _removal(source, directive, idle) if directive.kind != "range" else None
            what = ", ".join(f"{one} ({no_such_rule(one)})" if one in strange else one for one in idle)
            found.append(_violation(source, directive, *first, what, fix))
    return found


def _ran(selector: str, enabled: Iterable[Rule]) -> bool:
    """Whether the selector matches rules that ran."""
    return any(rule.meta.code.startswith(selector) or rule.meta.name == selector for rule in enabled)


def _violation(
    source: Source, directive: Directive, start: int, end: int, what: str, fix: Fix | None
) -> Violation:
    span = source.place(start, end)
    return Violation(
        path=source.path,
        cell=span.cell,
        line=span.line,
        column=span.column,
        code=UNUSED_CODE,
        name=UNUSED_NAME,
        message=f"suppression comment suppresses nothing: {what}",
        span=span,
        fix=fix,
        start=start,
        end=end,
    )


def _removal(source: Source, directive: Directive, idle: Sequence[str]) -> Fix | None:
    assert directive.selectors is not None
    message = f"remove {', '.join(idle)}"
    if len(idle) == len(directive.selectors):
        edit = _whole(source, directive)
        # Without this comment, text after it might become a suppression comment.
        return Fix("safe", message, (edit,)) if not re.search(_MAY_COUNT, edit.text) else None
    edits = []
    for number, (selector, (start, end)) in enumerate(
        zip(directive.selectors, directive.places, strict=True)
    ):
        if selector not in idle:
            continue
        later = directive.places[number + 1 :]
        if later and directive.selectors[number + 1] not in idle:
            end = later[0][0]
        elif number:
            start = directive.places[number - 1][1]
        elif later:
            end = later[0][0]
        edits.append(source.edit(start, end, ""))
    return Fix("safe", message, tuple(edits))


def _whole(source: Source, directive: Directive) -> Edit:
    """The edit that removes a comment and the spaces before it. Text after it stays a comment; an empty line is removed."""
    text = source.text
    start, end = directive.start, directive.end
    while start and text[start - 1] in " \t":
        start -= 1
    rest = re.compile(r"[^\r\n]*").match(text, end)
    assert rest is not None
    behind = rest.group().strip()
    if behind:
        kept = behind if behind.startswith("#") else f"# {behind}"
        return source.edit(directive.start, rest.end(), kept)
    at_line_start = start == 0 or text[start - 1] in "\r\n"
    if at_line_start:
        newline = re.compile(r"\r\n|\r|\n").match(text, rest.end())
        return source.edit(start, newline.end() if newline else rest.end(), "")
    return source.edit(start, rest.end(), "")


def added(source: Source, violations: Sequence[Violation]) -> tuple[str, int]:
    """The text with a `noqa` comment for every violation, and the number of comments added."""
    groups = LineGroups(source)
    codes: dict[int, set[str]] = {}
    for violation in violations:
        last = groups.bounds(source.line_of(violation.start))[1]
        codes.setdefault(last, set()).add(violation.code)
    edits = [_with_comment(source, groups, line, wanted) for line, wanted in codes.items()]
    return fixes.apply(source.text, edits), len(codes)


def _with_comment(source: Source, groups: LineGroups, line: int, wanted: set[str]) -> Edit:
    """Add codes to the comment that flake8 reads, if there is one, because flake8 ignores a second one."""
    known = groups.directive(line)
    if known is not None and known.selectors is not None:
        last = known.places[-1][1]
        missing = sorted(wanted - set(known.selectors))
        return source.edit(last, last, "".join(f", {code}" for code in missing))
    start = source.line_starts[line - 1]
    end = start + len(source.line(line).rstrip("\r\n"))
    while end > start and source.text[end - 1] in " \t":
        end -= 1
    return source.edit(end, end, f"  # noqa: {', '.join(sorted(wanted))}")
