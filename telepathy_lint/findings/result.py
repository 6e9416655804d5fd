"""The result for one file: plain data that is passed from worker processes to the output formats."""

from __future__ import annotations

from collections.abc import Mapping

from telepathy_lint.findings.violation import ORDER, Span, Violation
from telepathy_lint.hints import Literal, NamedTuple

FAILED_CODE = "TLP000"
FAILED_NAME = "unlintable-file"
FAILED_TEXT = "A file that could not be read, parsed or written."

#: The state of a finding: to be reported, fixed, or known from the baseline.
State = Literal["left", "fixed", "known"]


class Note(NamedTuple):
    """A message about a file that is printed to standard error and is not a finding."""

    cell: int
    line: int
    column: int
    message: str


class FileFinding(NamedTuple):
    """One finding in a file, with its state and the details for the output."""

    violation: Violation
    state: State = "left"
    #: The finding's source code in one line with single spaces, by which a baseline identifies it; empty
    #: unless requested.
    snippet: str = ""
    #: The line diff of its fix; empty if it is not shown.
    diff: str = ""


class FileResult(NamedTuple):
    """The result for one file."""

    path: str
    #: Findings to report, sorted; then fixed ones, in the order of fixing.
    findings: tuple[FileFinding, ...] = ()
    #: The file, or a part of it, could not be processed; `failures` say why.
    failed: bool = False
    #: Source lines around findings and fixes, by cell and line.
    lines: Mapping[tuple[int, int], str] = {}
    #: Line numbers in a notebook's file, by cell and line.
    file_lines: Mapping[tuple[int, int], int] = {}
    #: The unified diff of all fixes.
    patch: str = ""
    #: The file's new content; None if nothing changed.
    output: bytes | None = None
    #: The number of suppression comments added.
    comments: int = 0
    #: The next run may have a different result for the same file, for example after a crash: do not cache it.
    passing: bool = False
    notes: tuple[Note, ...] = ()

    @property
    def left(self) -> tuple[FileFinding, ...]:
        """The findings to report."""
        return tuple([each for each in self.findings if each.state == "left"])

    @property
    def violations(self) -> tuple[Violation, ...]:
        """The violations to report."""
        return tuple([each.violation for each in self.findings if each.state == "left"])

    @property
    def applied(self) -> tuple[Violation, ...]:
        """The fixed violations."""
        return tuple([each.violation for each in self.findings if each.state == "fixed"])

    @property
    def failures(self) -> tuple[Violation, ...]:
        return tuple([one for one in self.violations if one.code == FAILED_CODE])

    def without_findings(self) -> FileResult:
        """The result without findings to report, except failures."""
        kept = [one for one in self.findings if one.state != "left" or one.violation.code == FAILED_CODE]
        return self._replace(findings=tuple(kept))


def failure(
    path: str, message: str, line: int = 1, column: int = 1, cell: int = -1, *, passing: bool = False
) -> FileResult:
    """The result for a file that could not be processed, which is reported as a finding."""
    span = Span(line, column, line, column, cell)
    found = Violation(path, cell, line, column, FAILED_CODE, FAILED_NAME, message, span)
    return FileResult(path, (FileFinding(found),), failed=True, passing=passing)


def with_failure(
    result: FileResult, message: str, line: int = 1, column: int = 1, cell: int = -1
) -> FileResult:
    """A result with an additional failure."""
    left = [*result.left, *failure(result.path, message, line, column, cell).findings]
    left.sort(key=lambda each: ORDER(each.violation))
    others = [each for each in result.findings if each.state != "left"]
    return result._replace(failed=True, findings=(*left, *others))
