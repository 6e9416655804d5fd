"""What a rule yields: one finding at one place, with its fix; plain data, like everything that travels between stages."""

from __future__ import annotations

from telepathy_lint.findings.change import Repair
from telepathy_lint.named_tuple import NamedTuple


class Finding(NamedTuple):
    """One thing that a rule found at a site. `Site.at` and `Site.at_call` make it."""

    #: Offsets into the source's text.
    start: int
    end: int
    #: What this place shows, behind the rule's own message.
    detail: str = ""
    #: The fix of this finding alone; rules with a `setting` share the loader's rewrite instead.
    fix: Repair | None = None
    #: Said in place of the rule's own message and the detail, where a rule reports two things.
    message: str = ""
