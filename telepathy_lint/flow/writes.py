"""Finds what a statement does to the dict or list that a name refers to: writes, and uses that allow others to write."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from telepathy_lint.flow.bindings import dotted

_Parents = Mapping[ast.AST, ast.AST]

#: Methods that change more than one key of a dict or list.
_CHANGING = frozenset(
    {
        "append", "extend", "insert", "remove", "reverse", "sort", "popitem",
        "__ior__", "__iadd__",
    }
)  # fmt: skip
#: All methods that change a dict or list.
CHANGING = _CHANGING | {"update", "pop", "setdefault", "clear", "__setitem__", "__delitem__"}
#: Functions and methods that do not change a dict passed to them.
_HARMLESS = frozenset(
    {
        "print", "len", "str", "repr", "dict", "list", "sorted", "set", "tuple", "bool", "isinstance", "type", "hasattr",
        "getattr", "any", "all", "iter", "enumerate", "zip", "id", "vars", "max", "min", "sum", "map", "filter", "copy",
        "deepcopy", "dumps", "dump", "pprint", "pformat", "info", "debug", "warning", "warn", "error", "log", "format", "join",
        "update", "asdict", "write", "extend", "items", "keys", "values", "get", "OrderedDict", "safe_dump", "MappingProxyType",
        "from_pretrained", "from_config", "pipeline", "parametrize", "product", "chain",
    }
)  # fmt: skip


class Write:
    """One effect of a statement on a dict.

    "set" and "default" (`setdefault`) have a key and a value (None: unknown); "drop" has a key; "update" has
    a call, or the right-hand side of `|=` as value; "clear" has nothing; "given" is a call with the dict as
    an argument; "shared" creates an alias (`name`) or stores the dict where it is not followed; "unseen" is
    any other change.
    """

    __slots__ = ("call", "key", "kind", "name", "stmt", "value")

    def __init__(
        self,
        kind: str,
        stmt: ast.AST,
        key: ast.expr | None = None,
        value: ast.expr | None = None,
        call: ast.Call | None = None,
        name: str | None = None,
    ) -> None:
        self.kind = kind
        self.stmt = stmt
        self.key = key
        self.value = value
        self.call = call
        self.name = name


def writes_of(stmt: ast.stmt, name: str, nodes: list[ast.AST], parent_of: _Parents) -> list[Write]:
    """The effects of a statement (`nodes` are its own nodes) on the dict called `name`, in the order of execution."""
    if isinstance(stmt, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return []
    found: list[Write] = []
    stores: list[Write] = []
    for node in uses_in(nodes, name):
        for write in of_use(node, stmt, parent_of):
            (found if write.call is not None else stores).append(write)
    if len(found) > 1:
        found.sort(key=_end)
    return found + stores


def uses_in(nodes: list[ast.AST], name: str) -> Iterator[ast.expr]:
    """The nodes that are this name, or this chain of attributes."""
    _, dot, last = name.rpartition(".")
    if not dot:
        yield from (node for node in nodes if type(node) is ast.Name and node.id == name)
        return
    for node in nodes:
        if type(node) is ast.Attribute and node.attr == last and dotted(node) == name:
            yield node


def _end(write: Write) -> tuple[int, int]:
    assert write.call is not None
    return write.call.end_lineno or 0, write.call.end_col_offset or 0


def of_use(node: ast.expr, stmt: ast.AST, parent_of: _Parents) -> Iterator[Write]:
    """The possible effects of one use of a dict."""
    parent = parent_of.get(node)
    if type(parent) is ast.Subscript:
        if parent.value is node:
            yield from _of_item(parent, stmt, parent_of)
    elif type(parent) is ast.Attribute:
        yield from _of_method(parent, stmt, parent_of)
    elif type(parent) is ast.AugAssign:
        if parent.target is node:
            joins = isinstance(parent.op, ast.BitOr)
            yield Write("update" if joins else "unseen", stmt, value=parent.value)
    elif type(getattr(node, "ctx", None)) is ast.Load or not hasattr(node, "ctx"):
        yield from _of_value(node, stmt, parent_of)


def _of_item(item: ast.Subscript, stmt: ast.AST, parent_of: _Parents) -> Iterator[Write]:
    """The effects of `name[key] = value` and similar statements."""
    if isinstance(item.ctx, ast.Del):
        yield Write("drop", stmt, item.slice)
    elif isinstance(item.ctx, ast.Store):
        holder = parent_of.get(item)
        plain = isinstance(holder, ast.Assign) or (
            isinstance(holder, ast.AnnAssign) and holder.target is item
        )
        value = holder.value if plain else None  # type: ignore[union-attr]
        if value is not None or not isinstance(holder, ast.AnnAssign):
            yield Write("set", stmt, item.slice, value)


def _of_method(method: ast.Attribute, stmt: ast.AST, parent_of: _Parents) -> Iterator[Write]:
    """The effects of `name.update(...)` and similar calls."""
    attribute, call = method.attr, parent_of.get(method)
    if attribute not in CHANGING:
        return
    if not isinstance(call, ast.Call) or call.func is not method:
        yield Write("unseen", stmt)
    elif attribute == "update":
        yield Write("update", stmt, call=call)
    elif attribute == "clear":
        yield Write("clear", stmt, call=call)
    elif attribute in _CHANGING or not call.args or isinstance(call.args[0], ast.Starred):
        yield Write("unseen", stmt, call=call)
    elif attribute in ("pop", "__delitem__"):
        yield Write("drop", stmt, call.args[0], call=call)
    else:
        value = call.args[1] if len(call.args) > 1 else ast.copy_location(ast.Constant(None), call)
        yield Write("default" if attribute == "setdefault" else "set", stmt, call.args[0], value, call)


def _of_value(node: ast.AST, stmt: ast.AST, parent_of: _Parents) -> Iterator[Write]:
    """The effects of passing the dict itself on: to another name, a call, or another object."""
    parent = parent_of.get(node)
    while isinstance(parent, (ast.IfExp, ast.BoolOp, ast.NamedExpr, ast.Await)):
        if isinstance(parent, ast.IfExp) and node is parent.test:
            return
        if isinstance(parent, ast.NamedExpr):
            yield Write("shared", stmt, name=dotted(parent.target))
        node, parent = parent, parent_of.get(parent)
    if isinstance(parent, ast.keyword):
        call = parent_of.get(parent)
        if parent.arg is not None and isinstance(call, ast.Call) and not _is_harmless(call):
            yield Write("given", stmt, call=call, value=parent.value)
    elif isinstance(parent, ast.Call):
        if node is not parent.func and not _is_harmless(parent):
            yield Write("given", stmt, call=parent, value=node)  # type: ignore[arg-type]
    elif isinstance(parent, (ast.Assign, ast.AnnAssign)):
        for target in parent.targets if isinstance(parent, ast.Assign) else [parent.target]:
            if not isinstance(target, (ast.Tuple, ast.List)):
                yield Write("shared", stmt, name=dotted(target))
    elif isinstance(parent, (ast.Tuple, ast.List, ast.Set)):
        if not isinstance(parent_of.get(parent), (ast.Return, ast.Compare)):
            yield Write("shared", stmt)
    elif isinstance(parent, ast.Dict):
        if any(
            value is node and key is not None for key, value in zip(parent.keys, parent.values, strict=True)
        ):
            yield Write("shared", stmt)
    elif isinstance(parent, (ast.Yield, ast.YieldFrom)):
        yield Write("shared", stmt)


def _is_harmless(call: ast.Call) -> bool:
    func = call.func
    called = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
    return called in _HARMLESS
