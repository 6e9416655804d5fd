"""GitLab's Code Quality report."""

from __future__ import annotations

import json
from collections.abc import Iterator

from telepathy_lint.findings.result import FAILED_CODE
from telepathy_lint.hints import Any
from telepathy_lint.output import Report
from telepathy_lint.output.places import file_line, fingerprinted, message


def render(report: Report) -> Iterator[str]:
    entries: list[dict[str, Any]] = []
    for result, violation, fingerprint in fingerprinted(report):
        line = file_line(result, violation)
        last = file_line(result, violation, violation.span.end_line)
        column, end_column = (violation.column, violation.span.end_column) if violation.cell < 0 else (1, 1)
        entries.append(
            {
                "check_name": violation.code,
                "description": f"{violation.code}: {message(violation)}",
                "severity": "critical" if violation.code == FAILED_CODE else "major",
                "fingerprint": fingerprint,
                "location": {
                    "path": violation.path,
                    "positions": {
                        "begin": {"line": line, "column": column},
                        "end": {"line": last, "column": end_column},
                    },
                },
            }
        )
    yield json.dumps(entries, indent=2) + "\n"
