"""What the formats for people share: places, colours, the summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from telepathy_lint.output import Report

if TYPE_CHECKING:
    from telepathy_lint.findings.violation import Violation

BOLD, RED, GREEN, CYAN, BLUE = "1", "1;31", "32", "36", "1;34"


def paint(text: str, code: str, report: Report) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if report.colour and text and code else text


def printable(text: str) -> str:
    """Without what a terminal would take for a command; a file's name or line may hold anything."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\t" else f"\\x{ord(one):02x}" for one in text)


def place(violation: Violation) -> str:
    """Where to look: `path:line:column`, in a notebook `path:cell 3:line:column` with cells counted from 1."""
    return place_of(violation.path, violation.cell, violation.line, violation.column)


def place_of(path: str, cell: int, line: int, column: int) -> str:
    """The same for what is not a finding."""
    return f"{printable(path)}{f':cell {cell + 1}' if cell >= 0 else ''}:{line}:{column}"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def summary(report: Report) -> Iterator[str]:
    """How many, and how many of them a fix would take care of."""
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
    """How often each rule was found, most often first."""
    found = Counter((one.code, one.name) for one in report.findings())
    fixable = Counter(one.code for one in report.findings() if report.is_fixable(one))
    width = max((len(str(number)) for number in found.values()), default=0)
    for (code, name), number in sorted(found.items(), key=lambda item: (-item[1], item[0])):
        mark = "[*]" if fixable[code] == number else "[-]" if fixable[code] else "[ ]"
        yield f"{number:>{width}}\t{paint(code, RED, report)}\t{mark} {name}\n"


def outlook(report: Report, command: Callable[[str], str]) -> Iterator[str]:
    """What statistics come to: at how many calls, how many can be fixed, and one command to try next.

    `command` makes a command line of the options of `check`.
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
