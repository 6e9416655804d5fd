"""Follows the value of an expression one step forwards, for followers of objects, dicts and ids.

Each follower interprets the steps itself: comparing a model only reads it, comparing an id does not load it.
`objects.py` follows objects backwards.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from telepathy_lint.hints import Literal, NamedTuple

How = Literal[
    "method",  # one of its methods is called
    "attribute",  # an attribute is read
    "store",  # an attribute is assigned or deleted
    "called",
    "argument",  # of a call, positional or with a keyword
    "spread",  # with stars, into a call or display
    "bound",  # assigned to targets
    "same",  # the holder has the same value: a branch of a conditional expression, `await`
    "item",  # of a tuple, list, set or dict
    "key",  # of a dict
    "opened",  # an item of it is read: `value[key]`
    "written",  # an item of it is assigned or deleted
    "looked up",  # it is the key of another object's item
    "looped",
    "element",  # of a comprehension's result
    "operand",
    "formatted",
    "compared",
    "tested",
    "returned",
    "dropped",
    "unseen",
]


class Step(NamedTuple):
    """A use of the value of an expression."""

    how: How
    #: The node that uses the value: an attribute, a call, a statement.
    holder: ast.AST | None
    #: The call that uses the value or its method.
    call: ast.Call | None = None
    #: The keyword of the argument.
    keyword: str | None = None
    #: The assignment targets.
    targets: tuple[ast.expr, ...] = ()


def onward(node: ast.AST, parent_of: Mapping[ast.AST, ast.AST]) -> Step:
    """The step from an expression or keyword to the node that uses it."""
    holder = parent_of.get(node)
    if isinstance(holder, ast.Attribute):
        return _of_attribute(holder, parent_of)
    if isinstance(holder, ast.Call):
        return Step("called" if holder.func is node else "argument", holder, holder)
    if isinstance(holder, ast.keyword):
        call = parent_of.get(holder)
        if not isinstance(call, ast.Call):
            return Step("unseen", holder)
        return Step("argument" if holder.arg is not None else "spread", holder, call, holder.arg)
    if isinstance(holder, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        targets = tuple(holder.targets) if isinstance(holder, ast.Assign) else (holder.target,)
        return Step("dropped" if node in targets else "bound", holder, targets=targets)
    if isinstance(holder, ast.NamedExpr):
        return Step("same", holder, targets=(holder.target,))
    if isinstance(holder, ast.IfExp):
        return Step("tested" if holder.test is node else "same", holder)
    if isinstance(holder, ast.Subscript):
        return Step(_of_subscript(holder, node), holder)
    if isinstance(holder, ast.Dict):
        return Step(_of_dict(holder, node), holder)
    if isinstance(holder, (ast.For, ast.AsyncFor, ast.comprehension)):
        is_source = holder.iter is node
        return Step(
            "looped" if is_source else "tested", holder, targets=(holder.target,) if is_source else ()
        )
    if isinstance(holder, ast.DictComp):
        return Step("key" if holder.key is node else "element", holder)
    how = _PLAIN.get(type(holder), "unseen") if holder is not None else "unseen"
    return Step(how, holder)


_PLAIN: dict[type[ast.AST], How] = {
    ast.BoolOp: "same", ast.Await: "same", ast.Starred: "spread", ast.Tuple: "item", ast.List: "item", ast.Set: "item",
    ast.ListComp: "element", ast.SetComp: "element", ast.GeneratorExp: "element", ast.BinOp: "operand",
    ast.UnaryOp: "operand", ast.JoinedStr: "formatted", ast.FormattedValue: "formatted", ast.Compare: "compared",
    ast.If: "tested", ast.While: "tested", ast.Assert: "tested", ast.Return: "returned", ast.Yield: "returned",
    ast.YieldFrom: "returned", ast.Expr: "dropped", ast.Delete: "dropped", ast.Raise: "dropped",
}  # fmt: skip


def _of_attribute(holder: ast.Attribute, parent_of: Mapping[ast.AST, ast.AST]) -> Step:
    call = parent_of.get(holder)
    if isinstance(call, ast.Call) and call.func is holder:
        return Step("method", holder, call)
    return Step("attribute" if isinstance(holder.ctx, ast.Load) else "store", holder)


def _of_subscript(holder: ast.Subscript, node: ast.AST) -> How:
    if holder.value is not node:
        return "looked up"
    return "opened" if isinstance(holder.ctx, ast.Load) else "written"


def _of_dict(holder: ast.Dict, node: ast.AST) -> How:
    if node in holder.keys:
        return "key"
    spread = any(value is node and key is None for key, value in zip(holder.keys, holder.values, strict=True))
    return "spread" if spread else "item"
