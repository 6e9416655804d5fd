"""Findings grouped by file."""

from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint.output import Report
from telepathy_lint.output.text import BOLD, CYAN, RED, paint, printable


def render(report: Report) -> Iterator[str]:
    for result in report.results:
        if not result.violations:
            continue
        yield f"{paint(printable(result.path), BOLD, report)}:\n"
        places = [
            (f"cell {one.cell + 1}:" if one.cell >= 0 else "") + f"{one.line}:{one.column}"
            for one in result.violations
        ]
        width = max(map(len, places))
        for where, violation in zip(places, result.violations, strict=True):
            mark = f"[{paint('*', CYAN, report)}] " if report.is_fixable(violation) else ""
            code = paint(violation.code, RED, report)
            yield f"  {where:<{width}} {code} {mark}{printable(violation.text)}\n"
        yield "\n"
