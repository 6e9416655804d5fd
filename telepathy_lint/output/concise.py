"""One line per finding: `path:line:column: CODE [*] message`."""

from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint.output import Report
from telepathy_lint.output.text import BOLD, CYAN, RED, paint, place, printable


def render(report: Report) -> Iterator[str]:
    for violation in report.findings():
        mark = f"[{paint('*', CYAN, report)}] " if report.is_fixable(violation) else ""
        where = paint(place(violation), BOLD, report)
        yield f"{where}: {paint(violation.code, RED, report)} {mark}{printable(violation.text)}\n"
