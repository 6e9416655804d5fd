"""The findings of each call with its source code, carets, and the diff of the fix."""

from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint.hints import TYPE_CHECKING
from telepathy_lint.output import Report
from telepathy_lint.output.text import BLUE, BOLD, CYAN, GREEN, RED, paint, place, printable

if TYPE_CHECKING:
    from telepathy_lint.findings.result import FileResult
    from telepathy_lint.findings.violation import Fix, Span, Violation

#: Longer lines are cut off before and after the finding.
WIDTH = 160


def render(report: Report) -> Iterator[str]:
    for result in report.results:
        for block in _blocks(result):
            yield from _block(report, result, block)


def _blocks(result: FileResult) -> Iterator[list[tuple[Violation, str]]]:
    """The findings of each call, by code, each with the diff of its fix; calls are ordered by their first finding."""
    blocks: dict[object, list[tuple[Violation, str]]] = {}
    for number, (violation, _, _, diff) in enumerate(result.left):
        call = violation.site.span if violation.site is not None else number
        blocks.setdefault(call, []).append((violation, diff))
    for block in blocks.values():
        yield sorted(block, key=lambda each: each[0].code)


def _block(report: Report, result: FileResult, block: list[tuple[Violation, str]]) -> Iterator[str]:
    violations = [violation for violation, _ in block]
    for violation in violations:
        mark = f" [{paint('*', CYAN, report)}]" if report.is_fixable(violation) else ""
        message = paint(printable(violation.message), BOLD, report)
        yield f"{paint(violation.code, RED, report)}{mark} {message}\n"
    first = min(violations)
    lines = {line: text for (cell, line), text in result.lines.items() if cell == first.span.cell}
    width = len(str(max(one.span.end_line for one in violations) + 2))
    bar = paint("|", BLUE, report)
    yield f"{' ' * width}{paint('-->', BLUE, report)} {place(first)}\n"
    if first.line in lines:
        yield from _source(report, violations, lines, width, bar)
    for help_text, diff in _helps(report, block):
        yield f"{paint('help', CYAN, report)}: {printable(help_text)}\n"
        for line in diff.split("\n") if diff else ():
            sign = line.lstrip(" 0123456789")[:1]  # it stands behind the line's number
            yield paint(printable(line), {"+": GREEN, "-": RED}.get(sign, ""), report) + "\n"
    yield "\n"


def _helps(report: Report, block: list[tuple[Violation, str]]) -> Iterator[tuple[str, str]]:
    """The help texts for the fixes of a call, each once: first the diffs, then why other fixes are not applied."""
    shown: dict[Fix, str] = {}
    reasons: dict[str, list[str]] = {}
    for violation, diff in block:
        fix = violation.fix
        if fix is None:
            continue
        if fix.safety == "display":
            reasons.setdefault(fix.message, []).append(violation.code)
        elif report.is_fixable(violation) or report.show_fixes:
            shown.setdefault(fix, diff)
    unsafe = [fix for fix in shown if fix.safety == "unsafe"]
    for fix, diff in shown.items():
        # The unsafe rewrite of a call includes the safe one.
        if fix.safety == "unsafe" or not any(_overlap(fix, other) for other in unsafe):
            yield fix.message, diff
    for message, codes in reasons.items():
        yield message if len(codes) == len(block) else f"{', '.join(codes)} {message}", ""


def _overlap(one: Fix, other: Fix) -> bool:
    """Whether two fixes replace some of the same text."""
    return any(a.start < b.end and b.start < a.end for a in one.edits for b in other.edits)


def _source(
    report: Report, violations: list[Violation], lines: dict[int, str], width: int, bar: str
) -> Iterator[str]:
    """The lines around the findings, with a line of carets for each position, and codes if there are several positions."""
    places: dict[Span, list[str]] = {}
    for violation in violations:
        places.setdefault(violation.span, []).append(violation.code)
    wanted: set[int] = set()
    for span in places:
        wanted.update(range(span.line - 2, min(span.end_line, span.line + 4) + 3))
    yield f"{' ' * width} {bar}\n"
    before = None
    for number in sorted(wanted & lines.keys()):
        if before is not None and number > before + 1:
            yield f"{paint('...', BLUE, report)}\n"
        before = number
        spans = sorted(span for span in places if span.line == number)
        text, cut = _window(lines[number], spans[0].column - 1 if spans else 0)
        yield f"{paint(f'{number:>{width}}', BLUE, report)} {bar} {printable(text)}".rstrip() + "\n"
        for span in spans:
            end = span.end_column - 1 if span.end_line == span.line else len(lines[number])
            caret = _caret(text, span.column - 1 - cut, end - cut)
            label = f" {', '.join(places[span])}" if len(places) > 1 else ""
            yield f"{' ' * width} {bar} {paint(caret + label, RED, report)}\n"
    yield f"{' ' * width} {bar}\n"


def _window(line: str, column: int) -> tuple[str, int]:
    """A part of the line that contains the column, and the number of characters cut off before it."""
    start = max(column - 40, 0) if len(line) > WIDTH else 0
    return line[start : start + WIDTH], start


def _caret(text: str, start: int, end: int) -> str:
    """Spaces up to the finding, and carets as wide as the finding."""
    before, found = text[:start], text[start : max(end, start)]
    if text.isascii() and text.isprintable():
        return " " * len(before) + "^" * max(len(found), 1)
    blanks = "".join("\t" if one == "\t" else " " * _width(one) for one in before)
    return blanks + "^" * max(sum(map(_width, found)), 1)


def _width(character: str) -> int:
    """The width of a character on a terminal, in columns."""
    if character.isascii():
        return 1 if character.isprintable() or character == "\t" else 4  # shown as \x00
    import unicodedata  # few lines need it

    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
