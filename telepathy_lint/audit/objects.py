"""Follows values that the rules do not follow, because they are choices: loop variables, and function results."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.calls import CallGraph
from telepathy_lint.flow.file import File
from telepathy_lint.flow.tree import Context
from telepathy_lint.sites import Value

_DEPTH = 4
#: Calls that return the items of their argument, possibly reordered or numbered.
_PASSES = frozenset({"sorted", "list", "set", "tuple", "reversed", "tqdm", "iter"})


class Objects:
    """Finds the possible values of an expression within one file."""

    def __init__(self, file: File, graph: CallGraph) -> None:
        self.tree = file.tree
        self.evaluator = file.values
        self.graph = graph

    def of(self, value: Value, depth: int = 0) -> Iterator[Value]:
        """The possible values of a loop variable, an item, or a function's result; nothing if unknown."""
        if depth > _DEPTH:
            return
        if value.kind == "other" and isinstance(value.node, ast.Name):
            yield from self._of_loops(value.node, value.context, depth)
        elif value.kind == "call" and isinstance(value.node, ast.Call):
            yield from self._of_call(value, value.node, depth)
        elif value.kind == "choice":
            yield from self._of_choice(value, depth)
        elif value.kind in ("const", "dict", "sequence"):
            yield value

    def _of_choice(self, value: Value, depth: int) -> Iterator[Value]:
        found = [
            each
            for item in self.evaluator.dicts.chosen(value)
            for each in self.of(item, depth + 1)
        ]  # fmt: skip
        node = value.node
        if not found and isinstance(node, ast.Subscript):
            keys = self.evaluator.evaluate(node.slice, value.context)
            for base in self.evaluator.evaluate(node.value, value.context):
                for table in self.of(base, depth + 1):
                    for key in keys:
                        item = key.data if key.kind == "const" else ...
                        found += self.evaluator.dicts.items(table, item)
        yield from found

    # ---- functions

    def _of_call(self, value: Value, call: ast.Call, depth: int) -> Iterator[Value]:
        for function in self.graph.called(call, value.context):
            for node, _ in self.graph.results(function):
                for each in self.evaluator.evaluate(node, self.tree.context_of(node)):
                    yield from self.of(each, depth + 1)

    # ---- loops

    def _of_loops(self, name: ast.Name, context: Context, depth: int) -> Iterator[Value]:
        for target, iterated, around in self._loops(name, context):
            position = _position(target, name.id)
            if position is not None:
                yield from self._items(iterated, around, position, depth)

    def _loops(self, name: ast.Name, context: Context) -> Iterator[tuple[ast.expr, ast.expr, Context]]:
        """The loops that bind a name at its use, as (target, iterable, context)."""
        for inner in context.inner:
            for each in getattr(inner, "generators", ()):
                yield each.target, each.iter, context
        loops = [
            node
            for node in self.tree.visit(self.tree.lines_with(name.id))
            if isinstance(node, (ast.For, ast.AsyncFor))
            and _position(node.target, name.id) is not None
            and self.tree.scope_of(node) is context.scope
        ]
        around = [loop for loop in loops if loop.lineno <= name.lineno <= (loop.end_lineno or loop.lineno)]
        for loop in around[-1:] or loops:
            yield loop.target, loop.iter, self.tree.context_of(loop.iter)

    def _items(
        self, iterated: ast.expr, context: Context, position: tuple[int, ...], depth: int
    ) -> Iterator[Value]:
        """The values at one position of the items in an iterable."""
        if isinstance(iterated, ast.Call):
            name = (dotted(iterated.func) or "").rpartition(".")[2]
            if name in _PASSES and iterated.args:
                yield from self._items(iterated.args[0], context, position, depth)
                return
            if name == "enumerate" and iterated.args and position[:1] == (1,):
                yield from self._items(iterated.args[0], context, position[1:], depth)
                return
            if name == "zip" and position and position[0] < len(iterated.args):
                yield from self._items(iterated.args[position[0]], context, position[1:], depth)
                return
            if name in ("items", "keys", "values") and isinstance(iterated.func, ast.Attribute):
                yield from self._entries(iterated.func.value, name, context, position, depth)
                return
        yield from self._entries(iterated, "keys", context, position, depth)

    def _entries(
        self, base: ast.expr, how: str, context: Context, position: tuple[int, ...], depth: int
    ) -> Iterator[Value]:
        for value in self.evaluator.evaluate(base, context):
            for table in self.of(value, depth + 1):
                node = table.node
                if isinstance(node, (ast.ListComp, ast.SetComp)):
                    elements: list[tuple[ast.expr | None, Context]] = [(node.elt, table.context)]
                elif table.kind == "dict" and how == "items" and not position:
                    continue
                else:
                    side = position[0] if how == "items" and position else 0
                    value_side = table.kind == "sequence" or how == "values" or side == 1
                    elements = [
                        (item.node if value_side else item.key, item.context)
                        for item in self.evaluator.dicts.written(table)
                    ]
                left = position[1:] if how == "items" else position
                for element, where in elements:
                    if element is not None:
                        own = where.scope.tree is self.tree
                        around = self.tree.context_of(element) if own else where
                        yield from self._inside(element, around, left, depth)

    def _inside(
        self, element: ast.expr, context: Context, position: tuple[int, ...], depth: int
    ) -> Iterator[Value]:
        if position and isinstance(element, (ast.Tuple, ast.List)):
            if position[0] < len(element.elts):
                yield from self._inside(element.elts[position[0]], context, position[1:], depth)
        elif not position:
            for value in self.evaluator.evaluate(element, context):
                yield from self.of(value, depth + 1)


def _position(target: ast.expr, name: str) -> tuple[int, ...] | None:
    """The position of a name in a loop's target: () for the target itself, (1,) for the second of a tuple."""
    if isinstance(target, ast.Name):
        return () if target.id == name else None
    if isinstance(target, (ast.Tuple, ast.List)):
        for index, each in enumerate(target.elts):
            found = _position(each, name)
            if found is not None:
                return (index, *found)
    return None
