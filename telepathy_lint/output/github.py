"""GitHub Actions workflow commands, shown as annotations in a pull request."""

from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint.output import Report
from telepathy_lint.output.places import file_line
from telepathy_lint.output.text import place


def render(report: Report) -> Iterator[str]:
    for result in report.results:
        for violation in result.violations:
            line = file_line(result, violation)
            last = file_line(result, violation, violation.span.end_line)
            properties = {
                "title": f"telepathy-lint ({violation.code})",
                "file": violation.path,
                "line": str(line),
                "endLine": str(last),
            }
            if violation.cell < 0:
                properties["col"] = str(violation.column)
                if last == line:  # GitHub ignores columns in ranges of several lines
                    properties["endColumn"] = str(violation.span.end_column)
            given = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
            yield f"::error {given}::{_data(f'{place(violation)}: {violation.code} {violation.text}')}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
