"""Each finding with its source, a caret under it, and what the fix would change."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING

from telepathy_lint.output import Report
from telepathy_lint.output.text import BLUE, BOLD, CYAN, GREEN, RED, paint, place, printable

if TYPE_CHECKING:
    from telepathy_lint.results import FileResult
    from telepathy_lint.violation import Violation

#: A longer line is shown from a little before the finding on.
WIDTH = 160


def render(report: Report) -> Iterator[str]:
    for result in report.results:
        shown: set[str] = set()
        for number, violation in enumerate(result.violations):
            diff = result.diffs[number] if number < len(result.diffs) else ""
            # One rewrite takes care of all that was found at a call: it is shown once.
            yield from _finding(report, result, violation, "" if diff in shown else diff)
            shown.add(diff)


def _finding(report: Report, result: FileResult, violation: Violation, diff: str) -> Iterator[str]:
    mark = f" [{paint('*', CYAN, report)}]" if report.is_fixable(violation) else ""
    yield f"{paint(violation.code, RED, report)}{mark} {paint(printable(violation.message), BOLD, report)}\n"
    lines = {line: text for (cell, line), text in result.lines.items() if cell == violation.span.cell}
    width = len(str(violation.span.end_line + 2))
    bar = paint("|", BLUE, report)
    yield f"{' ' * width}{paint('-->', BLUE, report)} {place(violation)}\n"
    if violation.line in lines:
        yield from _source(report, violation, lines, width, bar)
    fix = violation.fix
    if fix is not None and (report.is_fixable(violation) or report.show_fixes or fix.safety == "display"):
        yield f"{paint('help', CYAN, report)}: {printable(fix.message)}\n"
        for line in diff.split("\n") if diff else ():
            sign = line.lstrip(" 0123456789")[:1]  # it stands behind the line's number
            yield paint(printable(line), {"+": GREEN, "-": RED}.get(sign, ""), report) + "\n"
    yield "\n"


def _source(
    report: Report, violation: Violation, lines: dict[int, str], width: int, bar: str
) -> Iterator[str]:
    span = violation.span
    yield f"{' ' * width} {bar}\n"
    last = min(span.end_line, span.line + 4)
    for number in range(span.line - 2, last + 3):
        if number not in lines:
            continue
        text, cut = _window(lines[number], span.column - 1 if number == span.line else 0)
        yield f"{paint(f'{number:>{width}}', BLUE, report)} {bar} {printable(text)}".rstrip() + "\n"
        if number == span.line:
            end = span.end_column - 1 if span.end_line == span.line else len(lines[number])
            caret = _caret(text, span.column - 1 - cut, end - cut)
            yield f"{' ' * width} {bar} {paint(caret, RED, report)}\n"
    yield f"{' ' * width} {bar}\n"


def _window(line: str, column: int) -> tuple[str, int]:
    """A piece of the line that has the column in it, and how much was cut in front."""
    start = max(column - 40, 0) if len(line) > WIDTH else 0
    return line[start : start + WIDTH], start


def _caret(text: str, start: int, end: int) -> str:
    """Blanks as wide as what stands before the finding, and carets as wide as the finding."""
    before, found = text[:start], text[start : max(end, start)]
    if text.isascii() and text.isprintable():
        return " " * len(before) + "^" * max(len(found), 1)
    blanks = "".join("\t" if one == "\t" else " " * _width(one) for one in before)
    return blanks + "^" * max(sum(map(_width, found)), 1)


def _width(character: str) -> int:
    """Columns that a terminal gives a character."""
    if character.isascii():
        return 1 if character.isprintable() or character == "\t" else 4  # shown as \x00
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
