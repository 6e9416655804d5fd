"""A file's result as rows of JSON and back; what is read is checked, since anybody can write a file."""

from __future__ import annotations

import json
from typing import Any

from telepathy_lint.findings.result import FileResult, Note
from telepathy_lint.findings.violation import Edit, Fix, SiteRef, Span, Violation


class RowError(Exception):
    """What was read is not what was written."""


def encoded(result: FileResult) -> bytes:
    """Everything but the path, which is as the user names the file; empty where nothing was found."""
    if not result.violations and not result.applied and not result.failed and not result.notes:
        return b""
    document = [
        [_row(each) for each in result.violations],
        result.failed,
        [_row(each) for each in result.applied],
        result.snippets,
        result.diffs,
        [(*key, text) for key, text in result.lines.items()],
        [(*key, line) for key, line in result.file_lines.items()],
        result.patch,
        result.notes,
    ]
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def decoded(data: bytes, path: str) -> FileResult:
    """The result for a file that is called `path` this time.

    Raises:
        RowError: the data is not a result.
    """
    if not data:
        return FileResult(path)
    try:
        violations, failed, applied, snippets, diffs, lines, file_lines, patch, notes = json.loads(data)
        result = FileResult(
            path,
            violations=tuple([_violation(path, each) for each in violations]),
            failed=failed,
            applied=tuple([_violation(path, each) for each in applied]),
            snippets=tuple(snippets),
            diffs=tuple(diffs),
            lines={(cell, line): text for cell, line, text in lines},
            file_lines={(cell, line): physical for cell, line, physical in file_lines},
            patch=patch,
            notes=tuple([_note(each) for each in notes]),
        )
    except (ValueError, TypeError, RecursionError) as error:
        raise RowError(str(error)) from error
    numbers = [*result.lines, *result.file_lines, result.file_lines.values()]
    _must_be(int, *(each for key in numbers for each in key))
    _must_be(str, patch, *result.snippets, *result.diffs, *result.lines.values())
    _must_be(bool, failed)
    if any(len(each) not in (0, len(result.violations)) for each in (result.snippets, result.diffs)):
        raise RowError("not as many details as findings")
    return result


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
