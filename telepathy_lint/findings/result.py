"""What a run knows of one file: plain data that travels from worker processes to the output formats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from telepathy_lint.findings.violation import ORDER, Span, Violation

if TYPE_CHECKING:
    from telepathy_lint.engine import RuleError
    from telepathy_lint.source.text import SourceError

FAILED_CODE = "TLP000"
FAILED_NAME = "unlintable-file"
FAILED_TEXT = "A file that could not be read, parsed or written."

#: What became of a finding: it is to be reported, was fixed, or is known from the baseline.
State = Literal["left", "fixed", "known"]


class Note(NamedTuple):
    """Something about a file that is said on standard error and is no finding."""

    cell: int
    line: int
    column: int
    message: str


class FileFinding(NamedTuple):
    """One finding in a file, what became of it, and what the output shows of it."""

    violation: Violation
    state: State = "left"
    #: The source it is about, in one line of single blanks, by which a baseline recognises it; empty unless asked for.
    snippet: str = ""
    #: What its fix would change, line by line; empty where it is not to be shown.
    diff: str = ""


class FileResult(NamedTuple):
    """The outcome for one file."""

    path: str
    #: Those to report come first, sorted; then those that were fixed, in the order in which that was done.
    findings: tuple[FileFinding, ...] = ()
    #: The file, or a part of it, could not be processed; `failures` say why.
    failed: bool = False
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
    def left(self) -> tuple[FileFinding, ...]:
        """The findings to report."""
        return tuple([each for each in self.findings if each.state == "left"])

    @property
    def violations(self) -> tuple[Violation, ...]:
        """What is to be reported, as plain violations."""
        return tuple([each.violation for each in self.findings if each.state == "left"])

    @property
    def applied(self) -> tuple[Violation, ...]:
        """What was fixed."""
        return tuple([each.violation for each in self.findings if each.state == "fixed"])

    @property
    def failures(self) -> tuple[Violation, ...]:
        return tuple([one for one in self.violations if one.code == FAILED_CODE])

    def without_findings(self) -> FileResult:
        """The result with nothing left to report but failures."""
        kept = [one for one in self.findings if one.state != "left" or one.violation.code == FAILED_CODE]
        return self._replace(findings=tuple(kept))


def failure(
    path: str, message: str, line: int = 1, column: int = 1, cell: int = -1, *, passing: bool = False
) -> FileResult:
    """The result for a file that could not be processed: that is a finding of its own."""
    span = Span(line, column, line, column, cell)
    found = Violation(path, cell, line, column, FAILED_CODE, FAILED_NAME, message, span)
    return FileResult(path, (FileFinding(found),), failed=True, passing=passing)


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
    left = [*result.left, *failure(result.path, message, line, column, cell).findings]
    left.sort(key=lambda each: ORDER(each.violation))
    others = [each for each in result.findings if each.state != "left"]
    return result._replace(failed=True, findings=(*left, *others))
