"""SARIF 2.1.0, with the rules' help, fixes, and fingerprints that do not change when lines move."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

from telepathy_lint._version import __version__
from telepathy_lint.findings.result import FAILED_CODE, FAILED_NAME, FAILED_TEXT, FileResult
from telepathy_lint.findings.violation import Edit, Violation
from telepathy_lint.hints import Any
from telepathy_lint.output import Report, page_url, rule_url
from telepathy_lint.output.places import file_line, fingerprinted, message
from telepathy_lint.rules import all_rules
from telepathy_lint.suppression.edits import UNUSED_CODE, UNUSED_NAME, UNUSED_TEXT

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def render(report: Report) -> Iterator[str]:
    rules = _rules()
    index = {rule["id"]: number for number, rule in enumerate(rules)}
    results = [
        _result(result, violation, fingerprint, index)
        for result, violation, fingerprint in fingerprinted(report)
    ]
    failures = [_notification(result, one) for result in report.results for one in result.failures]
    run = {
        "tool": {
            "driver": {
                "name": "telepathy-lint",
                **_address("informationUri", page_url()),
                "version": __version__,
                "semanticVersion": __version__,
                "rules": rules,
            }
        },
        "invocations": [{"executionSuccessful": not failures, "toolExecutionNotifications": failures}],
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    yield json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rules() -> list[dict[str, Any]]:
    rules = [
        {
            "id": rule.meta.code,
            "name": rule.meta.name,
            "shortDescription": {"text": rule.summary()},
            "fullDescription": {"text": rule.meta.message},
            **_address("helpUri", rule_url(rule.meta.code, rule.meta.name)),
            "help": {"text": rule.documentation(), "markdown": rule.documentation()},
            "defaultConfiguration": {"level": "warning", "enabled": rule.meta.default},
            "properties": {"tags": ["machine-learning"], "since": rule.meta.since},
        }
        for rule in all_rules()
    ]
    for code, name, text in (
        (FAILED_CODE, FAILED_NAME, FAILED_TEXT),
        (UNUSED_CODE, UNUSED_NAME, UNUSED_TEXT),
    ):
        described = {key: {"text": text} for key in ("shortDescription", "fullDescription", "help")}
        rules.append({"id": code, "name": name, **described})
    return rules


def _address(key: str, url: str | None) -> dict[str, str]:
    return {key: url} if url else {}


def _result(
    result: FileResult, violation: Violation, fingerprint: str, index: dict[str, int]
) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "ruleId": violation.code,
        "ruleIndex": index[violation.code],
        "level": "error" if violation.code == FAILED_CODE else "warning",
        "message": {"text": message(violation)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": _artifact(violation),
                    "region": _region(result, violation),
                }
            }
        ],
        "partialFingerprints": {"telepathyLint/v1": fingerprint},
    }
    if violation.fix is not None and violation.fix.edits and violation.cell < 0:
        entry["fixes"] = [
            {
                "description": {"text": f"{violation.fix.message} ({violation.fix.safety} fix)"},
                "artifactChanges": [
                    {
                        "artifactLocation": _artifact(violation),
                        "replacements": [_replacement(edit) for edit in sorted(violation.fix.edits)],
                    }
                ],
            }
        ]
    return entry


def _region(result: FileResult, violation: Violation) -> dict[str, Any]:
    if violation.cell >= 0:
        return {
            "startLine": file_line(result, violation),
            "endLine": file_line(result, violation, violation.span.end_line),
        }
    span = violation.span
    region: dict[str, Any] = {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }
    text = result.lines.get((-1, span.line))
    if text is not None:
        region["snippet"] = {"text": text}
    return region


def _replacement(edit: Edit) -> dict[str, Any]:
    span = edit.span
    return {
        "deletedRegion": {
            "startLine": span.line,
            "startColumn": span.column,
            "endLine": span.end_line,
            "endColumn": span.end_column,
        },
        "insertedContent": {"text": edit.text},
    }


def _notification(result: FileResult, violation: Violation) -> dict[str, Any]:
    return {
        "level": "error",
        "message": {"text": message(violation)},
        "descriptor": {"id": FAILED_CODE},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": _artifact(violation),
                    "region": _start(result, violation),
                }
            }
        ],
    }


def _start(result: FileResult, violation: Violation) -> dict[str, int]:
    line = {"startLine": file_line(result, violation)}
    return line if violation.cell >= 0 else {**line, "startColumn": violation.column}


def _artifact(violation: Violation) -> dict[str, str]:
    """A relative reference; an absolute path becomes a file URI."""
    path = violation.path.replace("\\", "/")
    uri = quote(path.encode("utf-8", "surrogateescape"))
    return {"uri": f"file://{uri}" if path.startswith("/") else uri}
