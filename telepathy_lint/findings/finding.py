"""A finding as a rule yields it: a place and its fix, as plain data."""

from __future__ import annotations

from collections.abc import Callable

from telepathy_lint.findings.change import Repair
from telepathy_lint.hints import NamedTuple

#: Details of a finding, or a function that returns them: it is only called if the finding matters.
Detail = str | Callable[[], str]


class Finding(NamedTuple):
    """A finding at a site, created by `Site.at` or `Site.at_call`."""

    #: Offsets into the source's text.
    start: int
    end: int
    #: What is appended to the rule's message.
    detail: Detail = ""
    #: The fix of this finding alone; rules with a `setting` share the rewrite to the loader instead.
    fix: Repair | None = None
    #: A message that replaces the rule's message and the detail, for rules that report two things.
    message: str = ""

    @property
    def told(self) -> str:
        """The detail as a text."""
        return self.detail if isinstance(self.detail, str) else self.detail()
