"""Dicts and sequences written out in the file, read as tables: the item under a key, or any of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from telepathy_lint.scan.bindings import dotted
from telepathy_lint.scan.scopes import Context
from telepathy_lint.scan.value import Value

if TYPE_CHECKING:
    from telepathy_lint.scan.values import Evaluator


class Tables:
    """Looks items up in visible displays."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluate = evaluator.evaluate

    def under(self, choice: Value, key: object) -> Iterator[Value]:
        """The items under `key` of whatever a table may have given: `TABLE[kind][1]`."""
        for row in self.chosen(choice):
            yield from self.items(row, key)

    def chosen(self, choice: Value) -> Iterator[Value]:
        """Everything that a choice may have come to."""
        if isinstance(choice.data, Value):
            yield from self.items(choice.data)
        elif isinstance(choice.data, tuple):
            yield from choice.data

    def get(self, node: ast.Call, context: Context) -> Iterator[Value]:
        """`table.get(key, default)` of a visible dict: the item and the default."""
        assert isinstance(node.func, ast.Attribute)
        default = self._evaluate(node.args[1], context) if len(node.args) > 1 else ()
        keys = self._evaluate(node.args[0], context)
        for table in self._evaluate(node.func.value, context):
            if table.kind != "dict":
                yield Value("call", dotted(node.func) or "", node, context)
            elif all(key.kind == "const" for key in keys):
                yield from [item for key in keys for item in self.items(table, key.data)] or default
            else:
                yield Value("choice", (*self.items(table), *default) or None, node, context)

    def items(self, table: Value, key: object = ...) -> Iterator[Value]:
        """The items of a visible display: the one under `key`, or all of them."""
        display = table.node
        if table.kind == "sequence":
            elements: list[ast.expr] = display.elts  # type: ignore[attr-defined]
            if key is ...:
                chosen = elements
            elif isinstance(key, int) and -len(elements) <= key < len(elements):
                chosen = [elements[key]]
            else:
                chosen = []
            for element in chosen:
                yield from self._evaluate(element, table.context)
        elif table.kind == "dict" and isinstance(display, ast.Dict):
            for name, item in zip(display.keys, display.values, strict=True):
                if name is not None and (
                    key is ... or (isinstance(name, ast.Constant) and name.value == key)
                ):
                    for value in self._evaluate(item, table.context):
                        yield value.through(*table.via) if table.via else value
