"""What is known of one alternative of an expression."""

from __future__ import annotations

import ast
from typing import Any, TypeVar

from telepathy_lint.flow.tree import Context

Kind = TypeVar("Kind")


def by_identity(kind: type[Kind]) -> type[Kind]:
    """Let every instance of a named tuple equal itself alone: two loads that read alike are two loads all the same."""
    for name in ("__eq__", "__ne__", "__hash__"):
        setattr(kind, name, getattr(object, name))
    return kind


# Made by the thousand and never changed: a named tuple would take half as long again to make, and twice as long to read.
class Value:
    """One alternative of an expression.

    kind         data
    "const"      the Python constant
    "text"       an f-string, or a concatenation or formatting that a literal takes part in
    "dict"       a dict display, `dict(...)` or a comprehension
    "sequence"   a tuple, list or set display
    "symbol"     the dotted name of something imported: "torch.bfloat16"
    "class", "function", "lambda"   the definition in this file
    "param"      the name of a function's parameter: the caller's choice
    "attribute"  an attribute of an object that was not followed, as text
    "choice"     an item of a table, picked by something that is not a constant: the table, or the items
    "call"       the result of a call, its callee as text
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
        self.via = via  # the name it came through, and the line of the binding

    def through(self, name: str, line: int) -> Value:
        """The value as it comes through a name bound on a line; the first name it came through stays."""
        if self.via is not None:
            return self
        return Value(self.kind, self.data, self.node, self.context, (name, line))

    @property
    def is_none(self) -> bool:
        return self.kind == "const" and self.data is None
