"""Converts a file's result to rows of JSON and back. Rows are checked when they are read, because anyone can write the file."""

from __future__ import annotations

import json

from telepathy_lint.findings.result import FileFinding, FileResult, Note, State
from telepathy_lint.findings.violation import Edit, Fix, SiteRef, Span, Violation
from telepathy_lint.hints import Any, get_args


class RowError(Exception):
    """The data is not a valid result."""


def encoded(result: FileResult) -> bytes:
    """The result as rows, without the path, which depends on how the user names the file; empty without findings."""
    if not result.findings and not result.failed and not result.notes:
        return b""
    document = [
        [[_row(each.violation), *each[1:]] for each in result.findings],
        result.failed,
        [(*key, text) for key, text in result.lines.items()],
        [(*key, line) for key, line in result.file_lines.items()],
        result.patch,
        result.notes,
    ]
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def decoded(data: bytes, path: str) -> FileResult:
    """The result from its rows, for a file that is called `path` in this run.

    Raises:
        RowError: the data is not a valid result.
    """
    if not data:
        return FileResult(path)
    try:
        findings, failed, lines, file_lines, patch, notes = json.loads(data)
        result = FileResult(
            path,
            findings=tuple([_finding(path, each) for each in findings]),
            failed=failed,
            lines={(cell, line): text for cell, line, text in lines},
            file_lines={(cell, line): physical for cell, line, physical in file_lines},
            patch=patch,
            notes=tuple([_note(each) for each in notes]),
        )
    except (ValueError, TypeError, RecursionError) as error:
        raise RowError(str(error)) from error
    numbers = [*result.lines, *result.file_lines, result.file_lines.values()]
    _must_be(int, *(each for key in numbers for each in key))
    _must_be(str, patch, *result.lines.values())
    _must_be(bool, failed)
    return result


def _finding(path: str, row: Any) -> FileFinding:
    violation, state, snippet, diff = row
    _must_be(str, snippet, diff)
    if state not in get_args(State):
        raise RowError(f"unknown state {state!r}")
    return FileFinding(_violation(path, violation), state, snippet, diff)


def _note(row: Any) -> Note:
    cell, line, column, message = row
    _must_be(int, cell, line, column)
    _must_be(str, message)
    return Note(cell, line, column, message)


def _row(violation: Violation) -> list[Any]:
    site, fix = violation.site, violation.fix
    return [
        violation.cell,
        violation.line,
        violation.column,
        violation.code,
        violation.name,
        violation.message,
        _span_row(violation.span),
        None if site is None else [site.kind, site.callee, site.model_id, _span_row(site.span)],
        None
        if fix is None
        else [
            fix.safety,
            fix.message,
            [[edit.start, edit.end, edit.text, _span_row(edit.span)] for edit in fix.edits],
        ],
        violation.start,
        violation.end,
    ]


def _violation(path: str, row: Any) -> Violation:
    cell, line, column, code, name, message, span, site, fix, start, end = row
    _must_be(int, cell, line, column, start, end)
    _must_be(str, code, name, message)
    return Violation(
        path,
        cell,
        line,
        column,
        code,
        name,
        message,
        _span(span),
        None if site is None else _site(site),
        None if fix is None else _fix(fix),
        start,
        end,
    )


def _site(row: Any) -> SiteRef:
    kind, callee, model_id, span = row
    _must_be(str, kind, callee, model_id or "")
    return SiteRef(kind, callee, model_id, _span(span))


def _fix(row: Any) -> Fix:
    safety, message, edits = row
    _must_be(str, safety, message)
    if safety not in ("safe", "unsafe", "display"):
        raise RowError(safety)
    return Fix(safety, message, tuple([_edit(edit) for edit in edits]))


def _edit(row: Any) -> Edit:
    start, end, text, span = row
    _must_be(int, start, end)
    _must_be(str, text)
    return Edit(start, end, text, _span(span))


def _span_row(span: Span) -> list[int]:
    return [span.line, span.column, span.end_line, span.end_column, span.cell]


def _span(row: Any) -> Span:
    line, column, end_line, end_column, cell = row
    _must_be(int, line, column, end_line, end_column, cell)
    return Span(line, column, end_line, end_column, cell)


def _must_be(kind: type, *values: object) -> None:
    for value in values:
        if type(value) is not kind:
            raise RowError(f"{value!r} is no {kind.__name__}")
