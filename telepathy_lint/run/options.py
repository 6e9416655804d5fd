"""What a run wants of every file: said before anything is parsed, and part of what a cached result is known by."""

from __future__ import annotations

from typing import Literal, NamedTuple

Edits = Literal["none", "shown", "all"]


class Task(NamedTuple):
    """What is to be done with every file."""

    fix: bool = False
    unsafe: bool = False
    #: Describe what was fixed instead of giving the new content.
    patch: bool = False
    add_noqa: bool = False
    #: Whether suppression comments count.
    noqa: bool = True
    unused_noqa: bool = False
    #: Which fixes to work out: LibCST is imported for them. "shown" are the safe ones (with `show_unsafe`, all).
    edits: Edits = "none"
    show_unsafe: bool = False
    lines: bool = False
    snippets: bool = False
    verbose: bool = False

    @property
    def writes(self) -> bool:
        """Whether files may be written to."""
        return self.add_noqa or (self.fix and not self.patch)
