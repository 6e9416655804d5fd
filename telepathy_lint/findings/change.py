"""Changes to a call as plain data: created by rules and fix styles, applied by `fixes`."""

from __future__ import annotations

from telepathy_lint.findings.violation import Safety
from telepathy_lint.hints import NamedTuple, TypeVar

_Part = TypeVar("_Part")


def slot(name: str) -> str:
    """Return the placeholder of a name. It contains a NUL, which cannot occur in Python source."""
    return f"\0{name}\0"


#: Placeholder of the name that the call is assigned to.
TARGET = slot("target")


class Name(NamedTuple):
    """A name that a change needs to import; in the change's texts, `slot(name)` stands for it."""

    module: str
    name: str


class Change(NamedTuple):
    """Changes to a call's arguments; everything else is kept, with comments and layout."""

    #: The new callee; None to keep it.
    func: str | None = None
    #: Keyword arguments to remove.
    removed: tuple[str, ...] = ()
    #: Keyword arguments to rename. The new name "" makes an argument positional, which is only possible for
    #: the first one.
    renamed: tuple[tuple[str, str], ...] = ()
    #: New values of keyword arguments.
    replaced: tuple[tuple[str, str], ...] = ()
    #: Keyword arguments to add after the positional ones.
    added: tuple[tuple[str, str], ...] = ()
    #: A statement to add after the call's; `TARGET` stands for the name that the call is assigned to.
    after: tuple[str, ...] = ()
    needs: tuple[Name, ...] = ()
    #: New values of positional arguments, by position.
    positional: tuple[tuple[int, str], ...] = ()
    #: Replacements outside the call's arguments: start offset, end offset, new text.
    texts: tuple[tuple[int, int, str], ...] = ()
    #: Keyword arguments whose new value evaluates what the old one did, once and in the same order.
    rebuilt: tuple[str, ...] = ()

    @property
    def keeps_call(self) -> bool:
        """Whether the call itself does not change."""
        return self == Change(texts=self.texts)

    def __or__(self, other: Change) -> Change:
        """Combine two changes; parts that are in both are included once."""

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
            both(self.rebuilt, other.rebuilt),
        )


class Repair(NamedTuple):
    """A rule's own fix of one call: the change, and whether it is safe."""

    safety: Safety
    message: str
    change: Change
