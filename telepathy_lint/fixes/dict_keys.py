"""Finds the keys of a dict that is only spread into loads, to rename an argument there."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.flow.evaluate import Evaluator
from telepathy_lint.flow.onward import onward
from telepathy_lint.flow.tree import Scope, Tree
from telepathy_lint.flow.value import GIVES
from telepathy_lint.knowledge import transformers_names as catalog
from telepathy_lint.sites import Argument, Site


class _ElsewhereError(Exception):
    """The dict is used in a way that cannot be followed."""


def key_places(site: Site, argument: Argument, new: str) -> tuple[tuple[int, int, str], ...]:
    """Return the edits that rename the argument in the dict in this file that contains it; none if unsure."""
    node = argument.node
    if argument.how != "spread" or not isinstance(node, ast.keyword) or not isinstance(node.value, ast.Name):
        return ()
    scope = _owner(site.context.scope, node.value.id)
    # Other modules may use a name at module level.
    if scope is None or not scope.is_function:
        return ()
    try:
        places = list(_places(scope, node.value.id, argument.name, new, site.call))
    except _ElsewhereError:
        return ()
    source = site.source
    edits = []
    for place in places:
        start = source.start_of(place)
        if isinstance(place, ast.keyword):
            edits.append((start, start + len(argument.name), new))
            continue
        end = source.end_of(place)
        quoted = source.text[start:end]
        if quoted[1:-1] != argument.name:
            return ()
        edits.append((start + 1, end - 1, new))
    return tuple(dict.fromkeys(edits))


def _owner(scope: Scope | None, name: str) -> Scope | None:
    while scope is not None and not scope.binds(name):
        scope = scope.parent
    return scope


def _places(
    scope: Scope, name: str, key: str, new: str, call: ast.Call
) -> Iterator[ast.Constant | ast.keyword]:
    """The nodes that contain the key, for the dict called `name`; what else `call` gets is known."""
    tree = scope.tree
    for node in tree.visit(tree.lines_with(name)):
        if (
            not isinstance(node, ast.Name)
            or node.id != name
            or _owner(tree.scope_of(node), name) is not scope
        ):
            continue
        if tree.scope_of(node) is not scope:
            raise _ElsewhereError  # an inner function uses it
        step = onward(node, tree.parent)
        if step.how == "spread" and step.call is not call and _may_pass(step.call, node, new):
            raise _ElsewhereError  # the call would get the new name twice
        yield from _used(tree, node, key, new)
    for binding in scope.bindings[name]:
        value = binding.value
        if binding.kind != "assign" or binding.path or value is None:
            raise _ElsewhereError
        tree.visit(range(value.lineno, (value.end_lineno or value.lineno) + 1))
        yield from _written(value, key, new)


def _may_pass(call: ast.AST | None, spread: ast.Name, name: str) -> bool:
    """Whether a call passes an argument beside a dict that is spread into it, or may in another dict."""
    return isinstance(call, ast.Call) and any(
        each.arg == name or (each.arg is None and each.value is not spread) for each in call.keywords
    )


def _used(tree: Tree, node: ast.Name, key: str, new: str) -> Iterator[ast.Constant | ast.keyword]:
    """The nodes that contain the key, in one use of the dict's name."""
    if isinstance(node.ctx, ast.Store):
        if isinstance(tree.parent.get(node), (ast.Assign, ast.AnnAssign)):
            return
        raise _ElsewhereError
    step = onward(node, tree.parent)
    holder, call = step.holder, step.call
    if isinstance(holder, ast.Subscript) and holder.value is node:
        yield from _constant(holder.slice, key, new)
    elif step.how == "spread" and call is not None:
        if not _is_load(tree, call):
            raise _ElsewhereError
    elif step.how == "method" and isinstance(holder, ast.Attribute) and holder.attr in GIVES:
        if call is None or not call.args:
            raise _ElsewhereError
        yield from _constant(call.args[0], key, new)
    elif isinstance(holder, ast.Compare) and holder.comparators == [node]:
        yield from _constant(holder.left, key, new)
    else:
        raise _ElsewhereError


def _written(value: ast.expr, key: str, new: str) -> Iterator[ast.Constant | ast.keyword]:
    """The nodes that contain the key, in the dict display."""
    if isinstance(value, ast.Dict):
        for each in value.keys:
            if each is None:
                raise _ElsewhereError
            yield from _constant(each, key, new)
    elif isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "dict":
        if value.args or any(keyword.arg in (None, new) for keyword in value.keywords):
            raise _ElsewhereError
        yield from (keyword for keyword in value.keywords if keyword.arg == key)
    else:
        raise _ElsewhereError


def _constant(node: ast.expr, key: str, new: str) -> Iterator[ast.Constant]:
    if not isinstance(node, ast.Constant) or node.value == new:
        raise _ElsewhereError
    if node.value == key:
        yield node


def _is_load(tree: Tree, call: ast.AST | None) -> bool:
    """Whether a call is a `from_pretrained` of transformers."""
    func = call.func if isinstance(call, ast.Call) else None
    if not isinstance(func, ast.Attribute) or func.attr != "from_pretrained":
        return False
    values = Evaluator(tree).evaluate(func.value, tree.context_of(func))
    return all(value.kind == "symbol" and catalog.in_transformers(str(value.data)) for value in values)
