"""Finds findings that disappear with the fix of another finding. They count as fixed, so that the totals are correct."""

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
    """Return the findings that disappeared in a round of fixes, without those that were fixed directly.

    `done` are the findings with a fix in this round, `edits` its edits. A finding still exists if the rule
    reports the same place, or a place in the text that replaced it. Each returned finding has a fix that
    names the other rules.
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
    """Maps offsets to their positions after edits, with a binary search, because a file may have many findings."""

    def __init__(self, edits: Sequence[Edit]) -> None:
        self.edits = edits
        self.ends = [edit.end for edit in edits]
        grown = accumulate(len(edit.text) - (edit.end - edit.start) for edit in edits)
        #: The shift of the text before each edit, and after the last one.
        self.shifts = [0, *grown]

    def first(self, offset: int) -> int:
        """The new start of text that starts at an offset; in replaced text, the start of the replacement."""
        at = bisect_right(self.ends, offset)
        while at and self.edits[at - 1].start == offset:  # an insertion here may belong to the text after it
            at -= 1
        inside = at < len(self.edits) and self.edits[at].start < offset
        return (self.edits[at].start if inside else offset) + self.shifts[at]

    def last(self, offset: int) -> int:
        """The new end of text that ends at an offset; in replaced text, the end of the replacement."""
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
    """The fix with which a finding disappeared: one of the same call if there is one, else any of the round."""
    codes = ", ".join(sorted({each.code for each in done}))
    unsafe = any(each.fix is not None and each.fix.safety == "unsafe" for each in done)
    return Fix("unsafe" if unsafe else "safe", f"fixed together with {codes}")
