"""A finding as a rule yields it: a place and its fix, as plain data."""

from __future__ import annotations

from telepathy_lint.findings.change import Repair
from telepathy_lint.hints import NamedTuple


class Finding(NamedTuple):
    """A finding at a site, created by `Site.at` or `Site.at_call`."""

    #: Offsets into the source's text.
    start: int
    end: int
    #: Details of this finding, appended to the rule's message.
    detail: str = ""
    #: The fix of this finding alone; rules with a `setting` share the rewrite to the loader instead.
    fix: Repair | None = None
    #: A message that replaces the rule's message and the detail, for rules that report two things.
    message: str = ""
