"""What is known of one alternative of an expression."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

from telepathy_lint.scan.scopes import Context


# Made by the thousand and never changed: frozen, each would cost three times as much.
@dataclass(slots=True, eq=False)
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

    kind: str
    data: Any
    node: ast.AST
    context: Context
    via: tuple[str, int] | None = None  # the name it came through, and the line of the binding

    def through(self, name: str, line: int) -> Value:
        """The value as it comes through a name bound on a line; the first name it came through stays."""
        if self.via is not None:
            return self
        return Value(self.kind, self.data, self.node, self.context, (name, line))

    @property
    def is_none(self) -> bool:
        return self.kind == "const" and self.data is None
