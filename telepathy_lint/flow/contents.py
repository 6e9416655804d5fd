"""Describes the possible contents of a dict, by key, and how code changes them.

An `Effect` gives, for each key, the values it may have afterwards. Effects can be composed (`followed_by`)
and joined where branches meet (`either`). The cost depends on the number of written keys, not on the number
of paths.
"""

from __future__ import annotations

import ast
from collections.abc import Hashable, Iterable

from telepathy_lint.flow.tree import Context
from telepathy_lint.flow.value import Value
from telepathy_lint.hints import NamedTuple

#: With more values than this, a key's values are unknown.
_MAX_VALUES = 64


# Not a NamedTuple: thousands are created, and they must be compared by identity.
class Item:
    """An expression whose value is in a dict, not evaluated yet.

    `name` is the name through which it was passed, `line` the line of that binding (without it, the value's
    own line), `key` the expression of its key, if there is one. `touched`: whether its own dict may have been
    changed afterwards.
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


#: One alternative of an entry: an expression, or a known value without one.
Part = Item | Value


class Change(NamedTuple):
    """The change of one key."""

    #: Possible values afterwards, whatever the key had before.
    parts: tuple[Part, ...] = ()
    #: Whether the key may be missing afterwards, even if it existed.
    absent: bool = False
    #: Whether an existing value may be kept.
    keeps: bool = True
    #: Whether a missing key may stay missing.
    stays: bool = True
    #: Possible values afterwards if the key was missing.
    fills: tuple[Part, ...] = ()


SAME = Change()
GONE = Change(absent=True, keeps=False, stays=False)


def written(*parts: Part) -> Change:
    """The key certainly has one of the parts."""
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
    """The effect of a piece of code on a dict: on named keys, and on the rest.

    The contents of a dict are the effect that creates it; then `rest` gives the values of other keys, and is
    empty if there are none.
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
        """Whether the dict may have unknown keys."""
        return bool(self.rest.parts)

    def under(self, key: Hashable) -> Change:
        return self.changes.get(key, self.rest)

    def at(self, key: Hashable) -> Change:
        """The value of a key in the contents; a negative key counts from the end of a list."""
        if isinstance(key, int) and key < 0 and key not in self.changes and not self.open:
            key += len(self.changes)
        return self.under(key)

    @property
    def forwards(self) -> ast.AST | None:
        """The function whose `**kwargs` are the only unknown entries of the contents."""
        only = self.rest.parts[0] if len(self.rest.parts) == 1 else None
        if not isinstance(only, Value) or only.kind != "param":
            return None
        arguments = getattr(only.node, "args", None)
        if arguments is None or arguments.kwarg is None or arguments.kwarg.arg != only.data:
            return None
        # An entry that is only written under a condition may be missing, but none of the caller's is taken out.
        kept = all(
            not change.absent or (only in change.parts and len(change.parts) > 1)
            for change in self.changes.values()
        )
        return only.node if kept else None

    def copy(self) -> Effect:
        return Effect(dict(self.changes), self.rest)

    def follow(self, second: Effect) -> None:
        """Compose in place: this effect, then the second one."""
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
    """The join: the effect of any one of the effects."""
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
    """The join, ignoring None."""
    found = [each for each in effects if each is not None]
    return either(found) if found else None


def at_one_of(keys: Iterable[Hashable], change: Change) -> Effect:
    """The change of one of the keys, it is not known which."""
    return either([Effect({key: change}) for key in keys])


def possibly(effect: Effect) -> Effect:
    """The join of the effect and no effect."""
    return either((Effect(), effect))


def unseen(node: ast.AST, context: Context) -> Value:
    """An unknown value."""
    return Value("other", None, node, context)


def opened(part: Part) -> Effect:
    """Any key may be set to this; no key is removed."""
    return Effect(rest=Change((part,)))


def unknown(part: Part) -> Effect:
    """Any change is possible."""
    return Effect(rest=Change((part,), absent=True))


def opaque(part: Part) -> Effect:
    """The contents of an unknown dict."""
    return Effect(rest=Change((part,), absent=True, keeps=False, stays=False))


def spread(content: Effect) -> Effect:
    """The effect of `update` with a dict of these contents."""
    return Effect({key: _updated(change) for key, change in content.changes.items()}, _updated(content.rest))


def _updated(change: Change) -> Change:
    """The effect on a key that the other dict may not have."""
    if not change.parts:
        return SAME
    return Change(change.parts, keeps=change.absent, stays=change.absent)


def through(content: Effect | None, name: str) -> Effect | None:
    """The contents passed through a name: items without a name get this one."""
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
