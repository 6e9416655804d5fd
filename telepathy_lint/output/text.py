"""Shared parts of the text formats: positions, colours, the summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from telepathy_lint.hints import TYPE_CHECKING
from telepathy_lint.output import Report

if TYPE_CHECKING:
    from telepathy_lint.findings.violation import Violation

BOLD, RED, GREEN, CYAN, BLUE = "1", "1;31", "32", "36", "1;34"


def paint(text: str, code: str, report: Report) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if report.colour and text and code else text


def printable(text: str) -> str:
    """Escape control characters: file names and source lines may contain terminal commands."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\t" else f"\\x{ord(one):02x}" for one in text)


def place(violation: Violation) -> str:
    """The position as `path:line:column`, or `path:cell 3:line:column` in a notebook, with cells counted from 1."""
    return place_of(violation.path, violation.cell, violation.line, violation.column)


def place_of(path: str, cell: int, line: int, column: int) -> str:
    """The position of something that is not a finding."""
    return f"{printable(path)}{f':cell {cell + 1}' if cell >= 0 else ''}:{line}:{column}"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def summary(report: Report) -> Iterator[str]:
    """The number of findings, and how many of them can be fixed."""
    found = list(report.findings())
    applied = [one for result in report.results for one in result.applied]
    failed = sum(result.failed for result in report.results)
    if report.show_fixes and applied:
        yield from _applied(report)
    if applied:
        total = len(found) + len(applied)
        yield f"Found {count(total, 'error')} ({len(applied)} fixed, {len(found)} remaining).\n"
    elif found:
        yield f"Found {count(len(found), 'error')}.\n"
    else:
        yield "All checks passed!\n"
    if failed:
        yield f"{count(failed, 'file')} could not be linted.\n"
    fixable = sum(report.is_fixable(one) for one in found)
    hidden = (
        sum(one.fix is not None and one.fix.safety == "unsafe" for one in found) if not report.unsafe else 0
    )
    options = f"({count(hidden, 'hidden fix') if hidden == 1 else f'{hidden} hidden fixes'} can be enabled with the `--unsafe-fixes` option)"
    if fixable and not report.fixing:
        yield f"[*] {fixable} fixable with the `--fix` option{f' {options}' if hidden else ''}.\n"
    elif hidden:
        yield f"No fixes available {options}.\n"


def _applied(report: Report) -> Iterator[str]:
    for result in report.results:
        if result.applied:
            yield f"{paint(printable(result.path), BOLD, report)}:\n"
            for (code, name), number in sorted(
                Counter((one.code, one.name) for one in result.applied).items()
            ):
                yield f"    {number} × {paint(code, RED, report)} ({name})\n"
            yield "\n"


def statistics(report: Report) -> Iterator[str]:
    """The number of findings per rule, most frequent first."""
    found = Counter((one.code, one.name) for one in report.findings())
    fixable = Counter(one.code for one in report.findings() if report.is_fixable(one))
    width = max((len(str(number)) for number in found.values()), default=0)
    for (code, name), number in sorted(found.items(), key=lambda item: (-item[1], item[0])):
        mark = "[*]" if fixable[code] == number else "[-]" if fixable[code] else "[ ]"
        yield f"{number:>{width}}\t{paint(code, RED, report)}\t{mark} {name}\n"


def outlook(report: Report, command: Callable[[str], str]) -> Iterator[str]:
    """A summary of statistics: the number of calls, the number of fixes, and a command to try next.

    `command` makes a command line from options of `check`.
    """
    found = [one for one in report.findings() if one.site is not None]
    if not found:
        return
    calls = len({(one.path, one.site.span) for one in found if one.site is not None})
    fixes = {
        safety: Counter(one.code for one in found if one.fix is not None and one.fix.safety == safety)
        for safety in ("safe", "unsafe")
    }
    safe, unsafe = (fixes[safety].total() for safety in ("safe", "unsafe"))
    more = f", {unsafe} more with --unsafe-fixes" if unsafe else ""
    yield f"\n{count(len(found), 'finding')} at {count(calls, 'call')}: {safe} fixable safely{more}.\n"
    for safety, options in (("safe", "--diff"), ("unsafe", "--unsafe-fixes --diff")):
        if fixes[safety]:
            code = min(fixes[safety], key=lambda each: (-fixes[safety][each], each))
            yield f"Try next: {command(f'--select {code} {options}')}\n"
            return
    ((code, _),) = Counter(one.code for one in found).most_common(1)
    yield f"Try next: {command(f'--select {code}')}\n"
