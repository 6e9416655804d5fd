"""Findings that go away with the fix of another finding: they count as fixed, so that the numbers of a run add up."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from operator import attrgetter

from telepathy_lint.findings.violation import ORDER, Edit, Fix, SiteRef, Violation

_START = attrgetter("start")
_PLACE = attrgetter("start", "end")


def gone(
    before: Iterable[Violation], done: Sequence[Violation], edits: Sequence[Edit], after: Iterable[Violation]
) -> list[Violation]:
    """The findings that are no longer there after a round of fixes, without those that the fixes were made for.

    `done` are the findings with a fix in this round, and `edits` its edits. A finding is still there if the rule reports
    the same place, or a place in the text that replaced it. Each finding that is gone gets a fix that names the rules.
    """
    fixed = set(done)
    moved = _Moves(edits)
    left: dict[str, list[Violation]] = {}
    for each in sorted(after, key=_PLACE):
        left.setdefault(each.code, []).append(each)
    found = []
    matched: set[Violation] = set()
    for each in sorted(before, key=ORDER):
        if each in fixed:
            continue
        start, end = moved.first(each.start), moved.last(each.end)
        candidates = left.get(each.code, [])
        at = bisect_left(candidates, start, key=_START)
        while at < len(candidates) and candidates[at].start <= end:
            if candidates[at].end <= end and candidates[at] not in matched:
                matched.add(candidates[at])
                break
            at += 1
        else:
            found.append(each)
    return _with_fixes(found, done)


class _Moves:
    """Where offsets are after some edits; looked up, for a file can have as many findings as edits."""

    def __init__(self, edits: Sequence[Edit]) -> None:
        self.edits = edits
        self.ends = [edit.end for edit in edits]
        grown = accumulate(len(edit.text) - (edit.end - edit.start) for edit in edits)
        #: How far the text before each edit has moved, and that behind the last.
        self.shifts = [0, *grown]

    def first(self, offset: int) -> int:
        """Where what begins at an offset begins; inside replaced text, at the start of what replaced it."""
        at = bisect_right(self.ends, offset)
        while at and self.edits[at - 1].start == offset:  # inserted here: it may belong to what begins here
            at -= 1
        inside = at < len(self.edits) and self.edits[at].start < offset
        return (self.edits[at].start if inside else offset) + self.shifts[at]

    def last(self, offset: int) -> int:
        """Where what ends at an offset ends; inside replaced text, at the end of what replaced it."""
        at = bisect_right(self.ends, offset)
        if at < len(self.edits) and self.edits[at].start < offset:
            return self.edits[at].start + self.shifts[at] + len(self.edits[at].text)
        return offset + self.shifts[at]


def _with_fixes(found: list[Violation], done: Sequence[Violation]) -> list[Violation]:
    by_site: dict[SiteRef | None, list[Violation]] = {}
    for each in done if found else ():
        by_site.setdefault(each.site, []).append(each)
    return [each._replace(fix=_by(by_site.get(each.site) or done)) for each in found]


def _by(done: Sequence[Violation]) -> Fix:
    """The fix that a finding went away with: of the same call if there is one, else any of the round."""
    codes = ", ".join(sorted({each.code for each in done}))
    unsafe = any(each.fix is not None and each.fix.safety == "unsafe" for each in done)
    return Fix("unsafe" if unsafe else "safe", f"fixed together with {codes}")
