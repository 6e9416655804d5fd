"""Pylint's parseable form: `path:line: [CODE] message`."""

from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint.output import Report
from telepathy_lint.output.places import file_line, message
from telepathy_lint.output.text import printable


def render(report: Report) -> Iterator[str]:
    for result in report.results:
        for violation in result.violations:
            line = file_line(result, violation)
            yield f"{printable(violation.path)}:{line}: [{violation.code}] {printable(message(violation))}\n"
