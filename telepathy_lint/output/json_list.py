"""A JSON list of findings: the stable interface for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator

from telepathy_lint.findings.violation import Edit, Fix, SiteRef, Violation
from telepathy_lint.hints import Any
from telepathy_lint.output import Report, rule_url


def render(report: Report) -> Iterator[str]:
    pieces = [
        json.dumps(as_dict(violation), indent=2).replace("\n", "\n  ") for violation in report.findings()
    ]
    yield "[\n  " + ",\n  ".join(pieces) + "\n]\n" if pieces else "[]\n"


def as_dict(violation: Violation) -> dict[str, Any]:
    return {
        "code": violation.code,
        "name": violation.name,
        "message": violation.message,
        "path": violation.path,
        "cell": violation.cell if violation.cell >= 0 else None,
        "line": violation.line,
        "column": violation.column,
        "end_line": violation.span.end_line,
        "end_column": violation.span.end_column,
        "site": _site(violation.site),
        "fix": _fix(violation.fix),
        "url": rule_url(violation.code, violation.name),
    }


def _site(site: SiteRef | None) -> dict[str, Any] | None:
    if site is None:
        return None
    return {
        "kind": site.kind,
        "callee": site.callee,
        "model_id": site.model_id,
        "line": site.span.line,
        "column": site.span.column,
    }


def _fix(fix: Fix | None) -> dict[str, Any] | None:
    if fix is None:
        return None
    return {
        "safety": fix.safety,
        "message": fix.message,
        "reason": fix.reason,
        "edits": [_edit(edit) for edit in sorted(fix.edits)],
    }


def _edit(edit: Edit) -> dict[str, Any]:
    span = edit.span
    where: dict[str, Any] = {"start": [span.line, span.column], "end": [span.end_line, span.end_column]}
    if span.cell >= 0:
        where["cell"] = span.cell  # an import may be added to another cell than the call's
    return {**where, "text": edit.text}
