"""`.to(...)` and `.cuda()` on a model that the file loads with a device map."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from telepathy_lint.scan.arguments import Arguments
from telepathy_lint.scan.scopes import Context, Tree
from telepathy_lint.scan.site import Argument, Site, merged_values
from telepathy_lint.scan.values import Evaluator
from telepathy_lint.triggers import CodeWords

_MOVES = ("to", "cuda")
#: Methods of a module that give the module itself.
_SAME = frozenset({"eval", "train", "requires_grad_", "half", "bfloat16", "float"})


def moves(
    sites: list[Site], tree: Tree, words: CodeWords, evaluator: Evaluator, arguments: Arguments
) -> Iterator[Site]:
    """Sites of the moves; each has the map of the loads it follows as its `device_map`.

    Only where every object that the receiver can be is one of these loads: what a function hands back, a part of the
    model or a wrapped model is not followed.
    """
    mapped: dict[ast.AST, Site] = {
        site.call: site for site in sites if site.kind == "model" and "device_map" in site.arguments
    }
    if not mapped:
        return
    statements = {load.context.stmt for load in mapped.values()}
    for node in tree.visit(tree.lines_of(words.find(*(f".{name}(" for name in _MOVES), whole=False))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr not in _MOVES or not _may_be_loaded(node.func.value, tree, statements):
            continue
        context = tree.context_of(node)
        loads = [mapped.get(call) for call in _made_by(node.func.value, context, evaluator)]
        if not loads or None in loads:
            continue
        given, opaque = arguments.read(node, context, ("device", "dtype"))
        maps = merged_values(load.arguments["device_map"].values for load in loads if load is not None)
        optional = any(load.arguments["device_map"].optional for load in loads if load is not None)
        given["device_map"] = Argument("device_map", maps, "wrapper", node, optional)
        first = next(load for load in loads if load is not None)
        yield replace(
            first,
            kind="move",
            call=node,
            context=context,
            classes=(f"{first.class_name}.{node.func.attr}",),
            arguments=given,
            opaque=opaque,
            generative=False,
            indirect=True,
        )


def _may_be_loaded(node: ast.expr, tree: Tree, statements: set[ast.AST | None]) -> bool:
    """Whether a plain name is ever given a load, or handed on from another name: most of what is moved are tensors."""
    if not isinstance(node, ast.Name):
        return True
    for scope in tree.all_scopes():
        for binding in scope.bindings.get(node.id, ()):
            value = binding.value
            same = (
                isinstance(value, ast.Call)
                and isinstance(value.func, ast.Attribute)
                and value.func.attr in _SAME
            )
            if binding.stmt in statements or same or (value is not None and not isinstance(value, ast.Call)):
                return True
    return False


def _made_by(node: ast.expr, context: Context, evaluator: Evaluator) -> Iterator[ast.AST]:
    """The calls that make what an expression can be."""
    for value in evaluator.evaluate(node, context):
        call = value.node
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr in _SAME
            and call.func.value is not node
        ):
            yield from _made_by(call.func.value, value.context, evaluator)
        else:
            yield call
