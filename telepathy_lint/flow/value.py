"""One alternative of an expression's value."""

from __future__ import annotations

import ast

from telepathy_lint.flow.tree import Context
from telepathy_lint.hints import Any, TypeVar

#: Methods of dicts that return the value of a key.
GIVES = ("get", "pop", "setdefault")

Kind = TypeVar("Kind")


def by_identity(kind: type[Kind]) -> type[Kind]:
    """Make instances of a NamedTuple compare by identity: two loads with equal code are different loads."""
    for name in ("__eq__", "__ne__", "__hash__"):
        setattr(kind, name, getattr(object, name))
    return kind


# Not a NamedTuple: thousands are created, which would take 1.5 times as long, and reading them twice as long.
class Value:
    """One alternative of an expression's value.

    kind         data
    "const"      the Python constant
    "text"       an f-string, or a concatenation or formatting with a literal
    "dict"       a dict display, `dict(...)` or a comprehension
    "sequence"   a tuple, list or set display
    "symbol"     the dotted name of an import: "torch.bfloat16"
    "class", "function", "lambda"   the definition in this file
    "param"      the name of a function's parameter, which the caller sets
    "attribute"  an attribute of an unknown object, as text
    "choice"     an item of a table under an unknown key: the table, or the items
    "call"       the result of a call, with its callee as text
    "other"      anything else
    """

    __slots__ = ("context", "data", "kind", "node", "via")

    def __init__(
        self, kind: str, data: Any, node: ast.AST, context: Context, via: tuple[str, int] | None = None
    ) -> None:
        self.kind = kind
        self.data = data
        self.node = node
        self.context = context
        self.via = via  # the name it was passed through, and the line of that binding

    def through(self, name: str, line: int) -> Value:
        """The value as passed through a name bound on a line; the first such name is kept."""
        if self.via is not None:
            return self
        return Value(self.kind, self.data, self.node, self.context, (name, line))

    @property
    def is_none(self) -> bool:
        return self.kind == "const" and self.data is None
