"""Whether what is assigned may be None: who sets something to None asks for nothing."""

from __future__ import annotations

import ast

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.sites import Site

#: Functions and methods that give a value whatever they get.
_GIVING = frozenset(
    {
        "abs", "bool", "convert_tokens_to_ids", "float", "get_lang_id", "int", "len", "list", "max", "min", "round", "str", "sum",
        "tuple",
    }
)  # fmt: skip
_LITERALS = (
    ast.BinOp, ast.Compare, ast.Dict, ast.JoinedStr, ast.List, ast.ListComp, ast.Set, ast.Tuple, ast.UnaryOp,
)  # fmt: skip


def is_never_none(site: Site, node: ast.expr) -> bool:
    """Whether an expression is certainly not None, by how it is written and what its names are bound to."""
    return _is_never_none(site, node, frozenset())


def may_be_none(site: Site, node: ast.expr) -> bool:
    """Whether something shows that an expression may be None: a value of its own, or a check around it."""
    if _is_checked(site, node):
        return True
    if isinstance(node, ast.IfExp):
        given = not _asks_for(node.test, ast.unparse(node.body)) and may_be_none(site, node.body)
        return given or may_be_none(site, node.orelse)
    if isinstance(node, ast.BoolOp):
        return may_be_none(site, node.values[-1])
    if isinstance(node, ast.Call) and (dotted(node.func) or "").endswith(".get"):
        return len(node.args) == 1 and not node.keywords
    values = site.file.values.evaluate(node, site.context)
    return any(value.kind == "const" and value.data is None for value in values)


def _is_never_none(site: Site, node: ast.expr, seen: frozenset[str]) -> bool:
    if isinstance(node, ast.Constant):
        return node.value is not None
    if isinstance(node, _LITERALS):
        return True
    if isinstance(node, ast.IfExp):
        return _is_never_none(site, node.body, seen) and _is_never_none(site, node.orelse, seen)
    if isinstance(node, ast.BoolOp):
        given = node.values[-1:] if isinstance(node.op, ast.Or) else node.values
        return all(_is_never_none(site, each, seen) for each in given)
    if isinstance(node, ast.Call):
        return (dotted(node.func) or "").rpartition(".")[2] in _GIVING
    if isinstance(node, ast.Subscript):
        return (dotted(node.value) or "").rpartition(".")[2] == "lang_code_to_id"
    if isinstance(node, ast.Name) and node.id not in seen:
        bound = site.context.scope.bindings.get(node.id, ())
        return bool(bound) and all(
            each.value is not None and not each.path and _is_never_none(site, each.value, seen | {node.id})
            for each in bound
        )
    return False


def _is_checked(site: Site, node: ast.expr) -> bool:
    """Whether a condition around the assignment asks for the value, so that it may be missing."""
    parents = site.context.scope.tree.parent
    written = ast.unparse(node)
    below: ast.AST = site.node
    above = parents.get(below)
    while above is not None and not isinstance(above, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        if isinstance(above, ast.If) and below in above.body and _asks_for(above.test, written):
            return True
        below, above = above, parents.get(above)
    return False


def _asks_for(test: ast.expr, written: str) -> bool:
    """Whether a condition is one of `x`, `x is not None` and what joins these with `and`."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return any(_asks_for(each, written) for each in test.values)
    if _checks_none(test):
        assert isinstance(test, ast.Compare)
        test = test.left
    return ast.unparse(test) == written


def _checks_none(test: ast.expr) -> bool:
    return (
        isinstance(test, ast.Compare)
        and len(test.ops) == 1
        and isinstance(test.ops[0], (ast.Is, ast.IsNot))
        and isinstance(test.comparators[0], ast.Constant)
        and test.comparators[0].value is None
    )
