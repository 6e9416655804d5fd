"""Azure Pipelines logging commands, shown as issues of the run."""

from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint.output import Report
from telepathy_lint.output.places import file_line, message


def render(report: Report) -> Iterator[str]:
    for result in report.results:
        for violation in result.violations:
            properties = {
                "type": "error",
                "sourcepath": violation.path,
                "linenumber": str(file_line(result, violation)),
                "columnnumber": str(violation.column if violation.cell < 0 else 1),
                "code": violation.code,
            }
            given = "".join(f"{key}={_property(value)};" for key, value in properties.items())
            yield f"##vso[task.logissue {given}]{_data(message(violation))}\n"


def _data(text: str) -> str:
    """Escape text for the agent: a line break would end the command."""
    return text.replace("%", "%AZP25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace("]", "%5D").replace(";", "%3B")
