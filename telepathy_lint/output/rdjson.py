"""Reviewdog's diagnostic format; its columns count UTF-8 bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator

from telepathy_lint.findings.result import FAILED_CODE, FileResult
from telepathy_lint.findings.violation import Edit, Span, Violation
from telepathy_lint.hints import Any
from telepathy_lint.output import Report, page_url, rule_url
from telepathy_lint.output.places import file_line, message


def render(report: Report) -> Iterator[str]:
    diagnostics = [
        _diagnostic(result, violation) for result in report.results for violation in result.violations
    ]
    document = {
        "source": {"name": "telepathy-lint", **_address(page_url())},
        "severity": "WARNING",
        "diagnostics": diagnostics,
    }
    yield json.dumps(document, indent=2) + "\n"


def _diagnostic(result: FileResult, violation: Violation) -> dict[str, Any]:
    if violation.cell < 0:
        where = _range(result, violation.span)
    else:
        where = {"start": {"line": file_line(result, violation)}}
    entry: dict[str, Any] = {
        "message": message(violation),
        "location": {"path": violation.path, "range": where},
        "code": {"value": violation.code, **_address(rule_url(violation.code, violation.name))},
        "severity": "ERROR" if violation.code == FAILED_CODE else "WARNING",
    }
    if violation.fix is not None and violation.cell < 0:
        entry["suggestions"] = [_suggestion(result, edit) for edit in sorted(violation.fix.edits)]
    return entry


def _address(url: str | None) -> dict[str, str]:
    return {"url": url} if url else {}


def _suggestion(result: FileResult, edit: Edit) -> dict[str, Any]:
    return {"range": _range(result, edit.span), "text": edit.text}


def _range(result: FileResult, span: Span) -> dict[str, Any]:
    return {
        "start": {"line": span.line, "column": _bytes(result, span.line, span.column)},
        "end": {"line": span.end_line, "column": _bytes(result, span.end_line, span.end_column)},
    }


def _bytes(result: FileResult, line: int, column: int) -> int:
    text = result.lines.get((-1, line), "")
    return column + len(text[: column - 1].encode("utf-8", "surrogatepass")) - len(text[: column - 1])
