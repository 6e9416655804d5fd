"""Options that apply to every file in a run. They are fixed before anything is parsed, and are part of the cache key."""

from __future__ import annotations

from telepathy_lint.hints import Literal, NamedTuple

Edits = Literal["none", "shown", "all"]


class Task(NamedTuple):
    """What to do with every file."""

    fix: bool = False
    unsafe: bool = False
    #: Return a diff instead of the new content.
    patch: bool = False
    add_noqa: bool = False
    #: Whether to respect suppression comments.
    noqa: bool = True
    unused_noqa: bool = False
    #: The fixes whose edits to compute. "shown" means the safe ones (with `show_unsafe`, all).
    edits: Edits = "none"
    show_unsafe: bool = False
    lines: bool = False
    snippets: bool = False
    verbose: bool = False

    @property
    def writes(self) -> bool:
        """Whether files may be written to."""
        return self.add_noqa or (self.fix and not self.patch)


#: The options for linting only.
PLAIN = Task()
