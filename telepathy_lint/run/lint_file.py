"""One file from its bytes to its result: lint or fix, and whatever the output will want to show of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from telepathy_lint import engine
from telepathy_lint.findings.result import FileResult, Note, crashed, failure, unreadable, with_failure
from telepathy_lint.findings.violation import ORDER, Edit, Fix, Violation
from telepathy_lint.rule import Rule
from telepathy_lint.run.options import Task
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Modules
from telepathy_lint.source.text import Source, SourceError
from telepathy_lint.suppression.comments import may_suppress

CONTEXT_LINES = 2


class Job(NamedTuple):
    """One file, with the rules and settings that hold for it."""

    path: str
    data: bytes
    rules: tuple[Rule, ...]
    settings: Settings
    #: Nothing but the file's suppression comments may be of interest.
    comments_only: bool = False


def run(job: Job, task: Task, modules: Modules | None = None) -> FileResult:
    """Never raises: whatever goes wrong with one file is that file's result. `modules` are the project's own."""
    try:
        return _run(job, task, modules) if not job.comments_only else _comments_only(job, task)
    except SourceError as error:
        if job.comments_only:
            return FileResult(job.path)  # of a file without loads that cannot be read nothing is said
        return _placed(unreadable(job.path, error), job, task)
    except engine.RuleError as error:
        return _placed(crashed(job.path, error), job, task)
    except engine.FixError as error:
        return unfixed(job, task, str(error), modules)
    except RecursionError:
        if task.fix:
            return unfixed(job, task, "nested too deeply to be fixed", modules)
        if task.edits != "none":
            return run(job, task._replace(edits="none"), modules)._replace(passing=True)
        return failure(job.path, "nested too deeply to be linted", passing=True)
    except Exception as error:
        import traceback

        detail = (
            traceback.format_exc()
            if task.verbose
            else "run with --verbose for the traceback, and please report it"
        )
        message = f"telepathy-lint itself failed: {type(error).__name__}: {error} ({detail})"
        return failure(job.path, message, passing=True)


def unfixed(job: Job, task: Task, why: str, modules: Modules | None) -> FileResult:
    """The result where a fix could not be made: the file is as it was, and what was found in it is worth saying."""
    found = run(job, task._replace(fix=False, add_noqa=False), modules)
    return (found if found.failed else with_failure(found, why))._replace(passing=True)


def open_source(path: str, content: bytes | str) -> Source:
    """A notebook by its suffix, Python otherwise."""
    kind = Source
    if path.endswith(".ipynb"):
        from telepathy_lint.source.notebook import Notebook

        kind = Notebook
    return kind(path, content) if isinstance(content, bytes) else kind.from_text(path, content)


def _run(job: Job, task: Task, modules: Modules | None) -> FileResult:
    source = open_source(job.path, job.data)
    result = FileResult(job.path)
    if task.fix:
        result, source, violations = _fix(source, job, task, modules)
    else:
        violations = _lint(source, job, task, modules)
        if task.unused_noqa:
            violations += _unused(source, job, modules)
    if task.add_noqa:
        from telepathy_lint.suppression.edits import added

        text, comments = added(source, violations)
        result = result._replace(comments=comments, output=source.encode(text) if comments else None)
    else:
        result = _with_details(result._replace(violations=tuple(sorted(violations, key=ORDER))), source, task)
    for problem in source.problems:
        result = with_failure(result, problem.message, problem.line, problem.column, problem.cell)
    return _with_file_lines(result, source, task)._replace(notes=_notes(source, task))


def _comments_only(job: Job, task: Task) -> FileResult:
    return FileResult(job.path, notes=_notes(open_source(job.path, job.data), task))


def _notes(source: Source, task: Task) -> tuple[Note, ...]:
    """The suppression comments that name no rule, where they are not reported as unused."""
    if not may_suppress(source):
        return ()
    from telepathy_lint.suppression.edits import no_such_rule, unknown

    notes = []
    for one in unknown(source):
        if not task.unused_noqa or one.enables:
            span = source.place(one.start, one.end)
            text = f"suppression comment names {one.selector}: {no_such_rule(one.selector)}"
            notes.append(Note(span.cell, span.line, span.column, text))
    return tuple(notes)


def _placed(result: FileResult, job: Job, task: Task) -> FileResult:
    """A failure with its line in the file, for formats that know no cells."""
    if task.lines and any(one.cell >= 0 for one in result.violations):
        return _with_file_lines(result, open_source(job.path, job.data), task)
    return result


def _fix(
    source: Source, job: Job, task: Task, modules: Modules | None
) -> tuple[FileResult, Source, list[Violation]]:
    """The file with its fixes made, and what is left to report in it."""
    fixed = engine.fix(source, job.rules, job.settings, unsafe=task.unsafe, noqa=task.noqa, project=modules)
    applied = list(fixed.applied)
    after = source.with_text(fixed.text) if fixed.changed else source
    left = list(fixed.remaining)
    if task.unused_noqa:
        after, removed = _without_unused(after, job, task, modules)
        applied += removed
        left = _lint(after, job, task, modules) + _unused(after, job, modules)
    elif left and task.edits != "none":
        left = _lint(after, job, task, modules)
    result = FileResult(source.path, applied=tuple(applied))
    if task.patch and after is not source:
        from telepathy_lint.fixes.diff import unified

        result = result._replace(patch=unified(source, after))
    elif after is not source:
        result = result._replace(output=after.data)
    return result, after, left


def _lint(source: Source, job: Job, task: Task, modules: Modules | None) -> list[Violation]:
    """The findings, with the edits of the fixes that will be shown: LibCST is imported where there are any."""
    edits = task.edits == "all" or (lambda fix: task.edits == "shown" and _is_shown(fix, task))
    return engine.lint(source, job.rules, job.settings, noqa=task.noqa, edits=edits, project=modules)


def _is_shown(fix: Fix, task: Task) -> bool:
    return fix.safety == "safe" or (task.show_unsafe and fix.safety == "unsafe")


def _unused(source: Source, job: Job, modules: Modules | None) -> list[Violation]:
    from telepathy_lint.suppression.edits import unused

    if not may_suppress(source):
        return []
    found = unused(
        source, engine.lint(source, job.rules, job.settings, noqa=False, project=modules), job.rules
    )
    if found:
        _ = source.tree  # a file without loads was not parsed: of one that is not Python nothing is said
    fixing = job.settings.fixing
    return [
        one._replace(fix=fixing.of(one.code, one.name, one.fix)) if one.fix is not None else one
        for one in found
    ]


def _without_unused(
    source: Source, job: Job, task: Task, modules: Modules | None
) -> tuple[Source, list[Violation]]:
    from telepathy_lint.fixes import apply as fixes

    removed: list[Violation] = []
    # What stood behind a comment that is gone can go in the next round.
    while found := [
        one
        for one in _unused(source, job, modules)
        if one.fix is not None and (one.fix.safety == "safe" or task.unsafe)
    ]:
        removed += found
        edits = [edit for one in found if one.fix is not None for edit in one.fix.edits]
        source = source.with_text(fixes.apply(source.text, edits))
    return source, removed


def _with_details(result: FileResult, source: Source, task: Task) -> FileResult:
    """Add what the output wants to show; the source itself does not travel."""
    if not result.violations or not (task.lines or task.snippets):
        return result
    snippets = tuple(_snippet(source, one) for one in result.violations) if task.snippets else ()
    if not task.lines:
        return result._replace(snippets=snippets)
    wanted: dict[tuple[int, int], int] = {}
    diffs = []
    for violation in result.violations:
        _around(source, violation, wanted)
        edits: Sequence[Edit] = violation.fix.edits if violation.fix is not None else ()
        for edit in edits:
            for number in (edit.span.line, edit.span.end_line):
                wanted[edit.span.cell, number] = source.line_of(edit.start) + number - edit.span.line
        if edits and violation.fix is not None and _is_shown(violation.fix, task):
            from telepathy_lint.fixes.diff import of_fix

            diffs.append(of_fix(source, edits))
        else:
            diffs.append("")
    last = len(source.line_starts)
    lines = {key: source.line(number).rstrip("\r\n") for key, number in wanted.items() if 1 <= number <= last}
    return result._replace(
        snippets=snippets,
        diffs=tuple(diffs),
        lines=lines,
    )


def _around(source: Source, violation: Violation, wanted: dict[tuple[int, int], int]) -> None:
    """The lines of a finding and some around it, in its own cell."""
    span = violation.span
    physical = source.line_of(violation.start)
    above = physical - span.line
    for number in range(max(span.line - CONTEXT_LINES, 1), span.end_line + CONTEXT_LINES + 1):
        line = number + above
        if line <= len(source.line_starts):
            start = source.line_starts[line - 1]
            if source.place(start, start).cell == span.cell:
                wanted[span.cell, number] = line


def _snippet(source: Source, violation: Violation) -> str:
    """The call, or the place, in single blanks: it stays the same when lines move."""
    start, end = violation.start, violation.end
    if violation.site is not None:
        span = violation.site.span
        above = source.line_of(violation.start) - violation.line
        starts = source.line_starts
        start = starts[span.line + above - 1] + span.column - 1
        end = starts[span.end_line + above - 1] + span.end_column - 1
    return " ".join(source.text[start:end].split())


def _with_file_lines(result: FileResult, source: Source, task: Task) -> FileResult:
    """Add where the lines of a notebook's cells stand in its file: of what is shown, and of every finding."""
    if not task.lines or not result.violations or not source.path.endswith(".ipynb"):
        return result
    from telepathy_lint.source.notebook import Notebook

    assert isinstance(source, Notebook)
    wanted = [*result.lines, *((one.cell, one.line) for one in result.violations if one.cell >= 0)]
    return result._replace(file_lines=source.file_lines(dict.fromkeys(wanted)))
