"""Lints or fixes one file: from its bytes to its result, with the details that the output format shows."""

from __future__ import annotations

from collections.abc import Container, Sequence

from telepathy_lint import engine
from telepathy_lint.engine import Linted
from telepathy_lint.findings.result import (
    FileFinding,
    FileResult,
    Note,
    failure,
    with_failure,
)
from telepathy_lint.findings.violation import ORDER, Edit, Fix, Safety, Violation
from telepathy_lint.run.options import Task
from telepathy_lint.run.selection import FilePlan
from telepathy_lint.sites import Modules
from telepathy_lint.source.text import Source, SourceError
from telepathy_lint.suppression import may_suppress

CONTEXT_LINES = 2


def lint_file(plan: FilePlan, data: bytes, modules: Modules | None = None) -> FileResult:
    """Return the result for a file with this content, according to its plan; writes nothing.

    `modules` are the project's modules. Never raises: a problem with the file is reported in its result.
    """
    task = plan.task
    try:
        return _lint_file(plan, data, modules) if not plan.comments_only else _comments_only(plan, data)
    except SourceError as error:
        if plan.comments_only:
            return FileResult(plan.path)  # an unreadable file without loads is not reported
        if _is_no_finding(plan, data, error, modules):
            return FileResult(plan.path, notes=(_note(error),))
        return _placed(unreadable(plan.path, error), plan, data)
    except engine.RuleError as error:
        return _placed(crashed(plan.path, error), plan, data)
    except engine.FixError as error:
        return unfixed(plan, data, str(error), modules)
    except RecursionError:
        if task.fix:
            return unfixed(plan, data, "nested too deeply to be fixed", modules)
        if task.edits != "none":
            plain = plan._replace(task=task._replace(edits="none"))
            return lint_file(plain, data, modules)._replace(passing=True)
        return failure(plan.path, "nested too deeply to be linted", passing=True)
    except Exception as error:
        import traceback

        detail = (
            traceback.format_exc()
            if task.verbose
            else "run with --verbose for the traceback, and please report it"
        )
        message = f"telepathy-lint itself failed: {type(error).__name__}: {error} ({detail})"
        return failure(plan.path, message, passing=True)


def unfixed(plan: FilePlan, data: bytes, why: str, modules: Modules | None) -> FileResult:
    """Return the result of a fix that failed: the file is unchanged, and its findings are reported."""
    plain = plan._replace(task=plan.task._replace(fix=False, add_noqa=False))
    found = lint_file(plain, data, modules)
    return (found if found.failed else with_failure(found, why))._replace(passing=True)


def open_source(path: str, content: bytes | str) -> Source:
    """Open a file as a notebook if its suffix is .ipynb, otherwise as Python."""
    kind = Source
    if path.endswith(".ipynb"):
        from telepathy_lint.source.notebook import Notebook

        kind = Notebook
    return kind(path, content) if isinstance(content, bytes) else kind.from_text(path, content)


def _lint_file(plan: FilePlan, data: bytes, modules: Modules | None) -> FileResult:
    source, task = open_source(plan.path, data), plan.task
    linted, applied = _opened(source, plan, modules)
    if task.fix and task.unused_noqa:
        linted, removed = _without_unused(linted, plan, modules)
        applied += removed
    after = linted.source
    with linted:
        left = linted.violations(noqa=task.noqa, edits=_wanted(task), offers=not task.add_noqa)
        if task.unused_noqa:
            left += _unused(linted)
    if task.add_noqa:
        from telepathy_lint.suppression.edits import added

        text, comments = added(source, left)
        result = FileResult(plan.path, comments=comments, output=source.encode(text) if comments else None)
    else:
        result = _with_details(FileResult(plan.path), sorted(left, key=ORDER), after, task)
        fixed = tuple([FileFinding(each, "fixed") for each in applied])
        result = _with_content(result._replace(findings=result.findings + fixed), source, after, task)
    notes = _notes(after, task)
    for problem in after.problems:
        if _is_no_finding(plan, data, problem, modules):
            notes += (_note(problem),)
        else:
            result = with_failure(result, problem.message, problem.line, problem.column, problem.cell)
    return _with_file_lines(result, after, task)._replace(notes=notes)


def _is_no_finding(plan: FilePlan, data: bytes, error: SourceError, modules: Modules | None) -> bool:
    """Whether code that cannot be parsed is only noted: strictly, all of it is reported."""
    if plan.settings.strict:
        return False
    from telepathy_lint.run.unread import is_no_finding  # only where something cannot be parsed

    return is_no_finding(plan.path, data, error, modules)


def _note(error: SourceError) -> Note:
    return Note(error.cell, error.line, error.column, error.message)


def _opened(source: Source, plan: FilePlan, modules: Modules | None) -> tuple[Linted, list[Violation]]:
    """Return the file's final state, still open, and the fixed violations."""
    task = plan.task
    if not task.fix:
        return Linted(source, plan.rules, plan.settings, modules), []
    return engine.settled(
        source, plan.rules, plan.settings, unsafe=task.unsafe, noqa=task.noqa, project=modules
    )


def _comments_only(plan: FilePlan, data: bytes) -> FileResult:
    return FileResult(plan.path, notes=_notes(open_source(plan.path, data), plan.task))


def _notes(source: Source, task: Task) -> tuple[Note, ...]:
    """Notes about suppression comments that name no known rule, unless they are reported as unused."""
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


def _placed(result: FileResult, plan: FilePlan, data: bytes) -> FileResult:
    """Convert a failure's line to a line in the file, for formats that do not support cells."""
    if plan.task.lines and any(one.cell >= 0 for one in result.violations):
        return _with_file_lines(result, open_source(plan.path, data), plan.task)
    return result


def _wanted(task: Task) -> Container[Safety]:
    """The safety levels of fixes whose edits will be shown."""
    if task.edits == "shown" and not task.show_unsafe:
        return ("safe",)
    return engine.EVERY_FIX if task.edits != "none" else ()


def _is_shown(fix: Fix, task: Task) -> bool:
    return fix.safety == "safe" or (task.show_unsafe and fix.safety == "unsafe")


def _unused(linted: Linted) -> list[Violation]:
    """The suppression comments that suppress nothing."""
    source = linted.source
    if not may_suppress(source):
        return []
    from telepathy_lint.suppression.edits import unused

    found = unused(source, linted.all_violations, linted.rules)
    if found:
        _ = source.tree  # raises SourceError for a file without loads, which was not parsed yet
    fixing = linted.settings.fixing
    return [
        one._replace(fix=fixing.of(one.code, one.name, one.fix)) if one.fix is not None else one
        for one in found
    ]


def _without_unused(
    linted: Linted, plan: FilePlan, modules: Modules | None
) -> tuple[Linted, list[Violation]]:
    """Remove unused suppression comments. Returns the new state, and what was removed."""
    from telepathy_lint.fixes import apply as fixes

    removed: list[Violation] = []
    # If a comment was removed, the next one on the line may be removable.
    while found := [
        one
        for one in _unused(linted)
        if one.fix is not None and (one.fix.safety == "safe" or plan.task.unsafe)
    ]:
        removed += found
        edits = [edit for one in found if one.fix is not None for edit in one.fix.edits]
        source = linted.source
        linted.close()
        linted = Linted(source.with_text(fixes.apply(source.text, edits)), plan.rules, plan.settings, modules)
    return linted, removed


def _with_content(result: FileResult, before: Source, after: Source, task: Task) -> FileResult:
    """Add the new content if anything was fixed, or the diff if requested."""
    if after.text == before.text:
        return result
    if task.patch:
        from telepathy_lint.fixes.diff import unified

        return result._replace(patch=unified(before, after))
    return result._replace(output=before.encode(after.text))


def _with_details(result: FileResult, left: Sequence[Violation], source: Source, task: Task) -> FileResult:
    """Add the findings to report, with the details for the output; the source itself is not sent back to the parent."""
    wanted: dict[tuple[int, int], int] = {}
    findings = []
    for violation in left:
        snippet = _snippet(source, violation) if task.snippets else ""
        diff = _diff(source, violation, wanted, task) if task.lines else ""
        findings.append(FileFinding(violation, "left", snippet, diff))
    last = len(source.line_starts) if wanted else 0
    lines = {key: source.line(number).rstrip("\r\n") for key, number in wanted.items() if 1 <= number <= last}
    return result._replace(findings=tuple(findings), lines=lines)


def _diff(source: Source, violation: Violation, wanted: dict[tuple[int, int], int], task: Task) -> str:
    """The diff of a fix, if it is to be shown; then the lines of the finding and fix are requested in `wanted`."""
    _around(source, violation, wanted)
    fix = violation.fix
    edits: Sequence[Edit] = fix.edits if fix is not None else ()
    for edit in edits:
        for number in (edit.span.line, edit.span.end_line):
            wanted[edit.span.cell, number] = source.line_of(edit.start) + number - edit.span.line
    if fix is None or not edits or not _is_shown(fix, task):
        return ""
    from telepathy_lint.fixes.diff import of_fix

    return of_fix(source, edits)


def _around(source: Source, violation: Violation, wanted: dict[tuple[int, int], int]) -> None:
    """Request the lines of a finding and some lines around it in its cell."""
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
    """The source of the call, or of the finding, with single spaces, so that it does not change when lines move."""
    start, end = violation.start, violation.end
    if violation.site is not None:
        span = violation.site.span
        above = source.line_of(violation.start) - violation.line
        starts = source.line_starts
        start = starts[span.line + above - 1] + span.column - 1
        end = starts[span.end_line + above - 1] + span.end_column - 1
    return " ".join(source.text[start:end].split())


def _with_file_lines(result: FileResult, source: Source, task: Task) -> FileResult:
    """Add the line numbers in the notebook's file for the lines that are shown and for every finding."""
    if not task.lines or not result.violations or not source.path.endswith(".ipynb"):
        return result
    from telepathy_lint.source.notebook import Notebook

    assert isinstance(source, Notebook)
    wanted = [*result.lines, *((one.cell, one.line) for one in result.violations if one.cell >= 0)]
    return result._replace(file_lines=source.file_lines(dict.fromkeys(wanted)))


def unreadable(path: str, error: SourceError) -> FileResult:
    return failure(path, error.message, error.line, error.column, error.cell)


def crashed(path: str, error: engine.RuleError) -> FileResult:
    """The result if a rule crashed; it is reported at the call that the rule checked."""
    span = error.span
    return failure(path, str(error), span.line, span.column, span.cell, passing=True)
