"""What a run knows of one file: plain data that travels from worker processes to the output formats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from telepathy_lint.findings.violation import Span, Violation

if TYPE_CHECKING:
    from telepathy_lint.engine import RuleError
    from telepathy_lint.source.text import SourceError

FAILED_CODE = "TLP000"
FAILED_NAME = "unlintable-file"
FAILED_TEXT = "A file that could not be read, parsed or written."


class Note(NamedTuple):
    """Something about a file that is said on standard error and is no finding."""

    cell: int
    line: int
    column: int
    message: str


class FileResult(NamedTuple):
    """The outcome for one file; the tuples run parallel to `violations` and are empty where nobody asked for them."""

    path: str
    violations: tuple[Violation, ...] = ()
    #: The file, or something about it, could not be done; `failures` say why.
    failed: bool = False
    applied: tuple[Violation, ...] = ()
    #: The source that each violation is about, in one line of single blanks: what a baseline recognises it by.
    snippets: tuple[str, ...] = ()
    #: What each violation's fix would change, line by line; empty where it is not to be shown.
    diffs: tuple[str, ...] = ()
    #: Source lines around findings and fixes, by cell and line.
    lines: Mapping[tuple[int, int], str] = {}
    #: A notebook's lines in its file, by cell and line.
    file_lines: Mapping[tuple[int, int], int] = {}
    #: The unified diff of all fixes.
    patch: str = ""
    #: The file's new content, None where nothing changed.
    output: bytes | None = None
    #: Suppression comments added.
    comments: int = 0
    #: The next run may have another one for the same file, as after a crash: not to be remembered.
    passing: bool = False
    notes: tuple[Note, ...] = ()

    @property
    def failures(self) -> tuple[Violation, ...]:
        return tuple(one for one in self.violations if one.code == FAILED_CODE)


def failure(
    path: str, message: str, line: int = 1, column: int = 1, cell: int = -1, *, passing: bool = False
) -> FileResult:
    """A file that could not be done is a finding of its own."""
    span = Span(line, column, line, column, cell)
    found = Violation(path, cell, line, column, FAILED_CODE, FAILED_NAME, message, span)
    return FileResult(path, (found,), failed=True, passing=passing)


def unreadable(path: str, error: SourceError) -> FileResult:
    return failure(path, error.message, error.line, error.column, error.cell)


def crashed(path: str, error: RuleError) -> FileResult:
    """The result where a rule crashed: it stands at the call that the rule looked at."""
    span = error.span
    return failure(path, str(error), span.line, span.column, span.cell, passing=True)


def with_failure(
    result: FileResult, message: str, line: int = 1, column: int = 1, cell: int = -1
) -> FileResult:
    """A file of which something could not be done, beside what was found in it."""
    added = failure(result.path, message, line, column, cell).violations
    violations = added + result.violations
    order = sorted(range(len(violations)), key=violations.__getitem__)

    def along(values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(("", *values)[number] for number in order) if values else ()

    return result._replace(
        failed=True,
        violations=tuple(violations[number] for number in order),
        snippets=along(result.snippets),
        diffs=along(result.diffs),
    )
