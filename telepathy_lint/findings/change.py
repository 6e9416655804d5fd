"""What a fix does to one call, as plain data: built by rules and fix styles, carried out by `rewrite`."""

from __future__ import annotations

from typing import TypeVar

from telepathy_lint.findings.violation import Safety
from telepathy_lint.named_tuple import NamedTuple

_Part = TypeVar("_Part")


def slot(name: str) -> str:
    """What stands for a name until the change is carried out. No Python source holds a NUL, so no text of a user is one."""
    return f"\0{name}\0"


#: The slot of the name that the call is assigned to.
TARGET = slot("target")


class Name(NamedTuple):
    """A name that a change needs imported: `slot(name)` in the change's texts stands for it, however it gets spelled."""

    module: str
    name: str


class Change(NamedTuple):
    """Changes to a call's arguments; whatever is not named stays as it is, with its comments and layout."""

    #: The new callee, None to keep it.
    func: str | None = None
    #: Keyword arguments to take out.
    removed: tuple[str, ...] = ()
    #: Keywords to rename; the new name "" makes the argument positional, which only the first one can become.
    renamed: tuple[tuple[str, str], ...] = ()
    #: New values of keyword arguments.
    replaced: tuple[tuple[str, str], ...] = ()
    #: Keyword arguments to put behind the positional ones.
    added: tuple[tuple[str, str], ...] = ()
    #: A statement to put behind the call's own; `TARGET` stands for the name the call is assigned to.
    after: tuple[str, ...] = ()
    needs: tuple[Name, ...] = ()
    #: New values of positional arguments, by position.
    positional: tuple[tuple[int, str], ...] = ()
    #: Text to write outside the call's argument list: from offset, to offset, what.
    texts: tuple[tuple[int, int, str], ...] = ()

    @property
    def keeps_call(self) -> bool:
        """Whether nothing inside the call changes."""
        return self == Change(texts=self.texts)

    def __or__(self, other: Change) -> Change:
        """Both changes; what both say is said once."""

        def both(one: tuple[_Part, ...], more: tuple[_Part, ...]) -> tuple[_Part, ...]:
            return tuple(dict.fromkeys(one + more))

        return Change(
            self.func or other.func,
            both(self.removed, other.removed),
            both(self.renamed, other.renamed),
            both(self.replaced, other.replaced),
            both(self.added, other.added),
            both(self.after, other.after),
            both(self.needs, other.needs),
            both(self.positional, other.positional),
            both(self.texts, other.texts),
        )


class Repair(NamedTuple):
    """A rule's own fix of one call: what it changes and how sure it is to keep the program's meaning."""

    safety: Safety
    message: str
    change: Change
