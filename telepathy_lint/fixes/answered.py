"""Findings that go away with the fix of another finding: they count as fixed, so that the numbers of a run add up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from telepathy_lint.findings.violation import ORDER, Edit, Fix, Violation


def gone(
    before: Iterable[Violation], done: Sequence[Violation], edits: Sequence[Edit], after: Iterable[Violation]
) -> list[Violation]:
    """The findings that are no longer there after a round of fixes, without those that the fixes were made for.

    `done` are the findings with a fix in this round, and `edits` its edits. A finding is still there if the rule reports
    the same place, or a place in the text that replaced it. Each finding that is gone gets a fix that names the rules.
    """
    fixed = set(done)
    left: dict[str, list[Violation]] = {}
    for each in after:
        left.setdefault(each.code, []).append(each)
    found = []
    for each in sorted(before, key=ORDER):
        if each in fixed:
            continue
        start, end = _moved(each.start, edits, first=True), _moved(each.end, edits, first=False)
        candidates = left.get(each.code, [])
        same = next((other for other in candidates if start <= other.start and other.end <= end), None)
        if same is None:
            found.append(each._replace(fix=_by(each, done)))
        else:
            candidates.remove(same)
    return found


def _moved(offset: int, edits: Iterable[Edit], *, first: bool) -> int:
    """Where an offset is after the edits; inside replaced text, the first or last offset of what replaced it."""
    shift = 0
    for edit in edits:
        if edit.start < offset < edit.end:
            return edit.start + shift + (0 if first else len(edit.text))
        if edit.end > offset or (first and edit.start == offset):
            break
        shift += len(edit.text) - (edit.end - edit.start)
    return offset + shift


def _by(violation: Violation, done: Sequence[Violation]) -> Fix:
    """The fix that a finding went away with: of the same call if there is one, else any of the round."""
    at_call = [each for each in done if each.site == violation.site] or done
    codes = ", ".join(sorted({each.code for each in at_call}))
    unsafe = any(each.fix is not None and each.fix.safety == "unsafe" for each in at_call)
    return Fix("unsafe" if unsafe else "safe", f"fixed together with {codes}")
