"""What a dict can hold, key by key, and what a stretch of code can do to that.

An `Effect` says for each key which values may be under it afterwards. Effects follow one another (`followed_by`) and join
where branches meet (`either`). Both cost as much as the keys that are written there, whatever the number of paths.
"""

from __future__ import annotations

import ast
from collections.abc import Hashable, Iterable

from telepathy_lint.flow.tree import Context
from telepathy_lint.flow.value import Value
from telepathy_lint.named_tuple import NamedTuple

#: More values than this under one key are not told apart.
_MAX_VALUES = 64


# Made by the thousand: a named tuple would compare by content, and take longer to make.
class Item:
    """An expression whose value is in a dict, not evaluated yet.

    `name` and `line` say through which name it came, and where; without a line it is the one on which the value stands.
    `key` is the expression of its key, where there is one. `touched` says that a dict which it may be can have been written into since.
    """

    __slots__ = ("context", "key", "line", "name", "node", "touched")

    def __init__(
        self,
        node: ast.expr,
        context: Context,
        name: str | None = None,
        line: int | None = None,
        key: ast.expr | None = None,
        touched: bool = False,
    ) -> None:
        self.node = node
        self.context = context
        self.name = name
        self.line = line
        self.key = key
        self.touched = touched


#: One alternative of an entry: an expression, or what is known of it without one.
Part = Item | Value


class Change(NamedTuple):
    """What becomes of one key."""

    #: May be under the key afterwards, whatever was before.
    parts: tuple[Part, ...] = ()
    #: Whether the key may be missing afterwards, whatever was before.
    absent: bool = False
    #: Whether a value that was there may stay.
    keeps: bool = True
    #: Whether a key that was missing may stay missing.
    stays: bool = True
    #: May be under a key that was missing.
    fills: tuple[Part, ...] = ()


SAME = Change()
GONE = Change(absent=True, keeps=False, stays=False)


def written(*parts: Part) -> Change:
    """The key surely holds one of the parts."""
    return Change(parts, keeps=False, stays=False)


def _together(left: tuple[Part, ...], right: tuple[Part, ...]) -> tuple[Part, ...]:
    if not right or left is right:
        return left
    if not left:
        return right
    found = tuple(dict.fromkeys(left + right))
    if len(found) > _MAX_VALUES:
        last = found[-1]
        return (Value("other", None, last.node, last.context),)
    return found


def _followed(first: Change, second: Change) -> Change:
    if first is SAME:
        return second
    if second is SAME:
        return first
    parts = _together(first.parts if second.keeps else (), second.parts)
    if first.absent:
        parts = _together(parts, second.fills)
    fills = _together(first.fills if second.keeps else (), second.fills if first.stays else ())
    return Change(
        parts,
        second.absent or (first.absent and second.stays),
        first.keeps and second.keeps,
        first.stays and second.stays,
        fills,
    )


def _either(left: Change, right: Change) -> Change:
    if left is right:
        return left
    return Change(
        _together(left.parts, right.parts),
        left.absent or right.absent,
        left.keeps or right.keeps,
        left.stays or right.stays,
        _together(left.fills, right.fills),
    )


class Effect:
    """What a stretch of code does to a dict: to the keys it names, and to the rest.

    A dict's content is the effect that makes it: `rest` then says what other keys hold, nothing where there are none.
    """

    __slots__ = ("changes", "rest")

    def __init__(self, changes: dict[Hashable, Change] | None = None, rest: Change = SAME) -> None:
        self.changes = changes if changes is not None else {}
        self.rest = rest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Effect) and self.rest == other.rest and self.changes == other.changes

    __hash__ = None  # type: ignore[assignment]

    @property
    def open(self) -> bool:
        """Whether the dict may hold keys that cannot be seen."""
        return bool(self.rest.parts)

    def under(self, key: Hashable) -> Change:
        return self.changes.get(key, self.rest)

    def at(self, key: Hashable) -> Change:
        """What is under a key of a content; a negative one counts from the end of a list."""
        if isinstance(key, int) and key < 0 and key not in self.changes and not self.open:
            key += len(self.changes)
        return self.under(key)

    @property
    def forwards(self) -> ast.AST | None:
        """The function whose own `**kwargs` the unseen entries of a content are, where they are nothing else."""
        only = self.rest.parts[0] if len(self.rest.parts) == 1 else None
        if not isinstance(only, Value) or only.kind != "param":
            return None
        arguments = getattr(only.node, "args", None)
        if arguments is None or arguments.kwarg is None or arguments.kwarg.arg != only.data:
            return None
        return None if any(change.absent for change in self.changes.values()) else only.node

    def copy(self) -> Effect:
        return Effect(dict(self.changes), self.rest)

    def follow(self, second: Effect) -> None:
        """Become what this and then the second effect do."""
        changes, rest = self.changes, self.rest
        if second.rest is not SAME:
            for key in changes:
                if key not in second.changes:
                    changes[key] = _followed(changes[key], second.rest)
            self.rest = _followed(rest, second.rest)
        for key, change in second.changes.items():
            changes[key] = _followed(changes.get(key, rest), change)

    def followed_by(self, second: Effect) -> Effect:
        found = self.copy()
        found.follow(second)
        return found


def either(effects: Iterable[Effect]) -> Effect:
    """What one of the effects does."""
    first, *others = effects
    found = first.copy() if others else first
    for other in others:
        changes, rest = found.changes, found.rest
        for key, change in other.changes.items():
            changes[key] = _either(changes.get(key, rest), change)
        if len(other.changes) < len(changes):
            for key in changes:
                if key not in other.changes:
                    changes[key] = _either(changes[key], other.rest)
        found.rest = _either(rest, other.rest)
    return found


def one_of(effects: Iterable[Effect | None]) -> Effect | None:
    """What one of the effects does, leaving out those that are none."""
    found = [each for each in effects if each is not None]
    return either(found) if found else None


def possibly(effect: Effect) -> Effect:
    """What is done where the effect may take place or not."""
    return either((Effect(), effect))


def unseen(node: ast.AST, context: Context) -> Value:
    """A value that cannot be seen."""
    return Value("other", None, node, context)


def opened(part: Part) -> Effect:
    """Anything may be written, nothing is taken out."""
    return Effect(rest=Change((part,)))


def unknown(part: Part) -> Effect:
    """Anything may be done."""
    return Effect(rest=Change((part,), absent=True))


def opaque(part: Part) -> Effect:
    """The content of a dict of which nothing is seen."""
    return Effect(rest=Change((part,), absent=True, keeps=False, stays=False))


def spread(content: Effect) -> Effect:
    """What `update` with a dict of this content does."""
    return Effect({key: _updated(change) for key, change in content.changes.items()}, _updated(content.rest))


def _updated(change: Change) -> Change:
    """A key that the other dict may lack stays as it was."""
    if not change.parts:
        return SAME
    return Change(change.parts, keeps=change.absent, stays=change.absent)


def through(content: Effect | None, name: str) -> Effect | None:
    """The content as it comes through a name: what came through none so far points back to it."""
    if content is None:
        return None
    changes = {
        key: change._replace(parts=tuple(_named(part, name) for part in change.parts))
        for key, change in content.changes.items()
    }
    return Effect(changes, content.rest)


def _named(part: Part, name: str) -> Part:
    if isinstance(part, Value) or part.name is not None:
        return part
    return Item(part.node, part.context, name, part.line, part.key, part.touched)
