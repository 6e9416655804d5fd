"""Protocols of the value evaluator and the dict reader, which use each other without importing each other."""

from __future__ import annotations

import ast
from collections.abc import Hashable, Iterable, Iterator

from telepathy_lint.flow.bindings import Binding
from telepathy_lint.flow.contents import Effect
from telepathy_lint.flow.known import Known
from telepathy_lint.flow.names import Names
from telepathy_lint.flow.tree import Context, Scope, Tree
from telepathy_lint.flow.value import Value
from telepathy_lint.hints import Protocol


class ValueReader(Protocol):
    """The evaluator (evaluate.py), as used by the readers of dicts."""

    names: Names
    known: Known

    def evaluate(self, node: ast.expr, context: Context) -> tuple[Value, ...]: ...
    def is_inner(self, node: ast.Name, context: Context) -> bool: ...
    def bound(self, binding: Binding, scope: Scope, node: ast.AST) -> Iterator[Value]: ...
    def enclosing_class(self, scope: Scope | None) -> ast.ClassDef | None: ...
    def attribute_bindings(
        self, owner: ast.ClassDef, attribute: str, tree: Tree, depth: int = 0
    ) -> Iterator[tuple[Binding, Scope]]: ...


class DictReader(Protocol):
    """The dict reader (dicts.py), as used by `DictContent`."""

    evaluator: ValueReader

    def content(self, node: ast.expr, context: Context) -> Effect: ...
    def read(self, node: ast.expr, context: Context) -> Effect | None: ...
    def arguments(self, call: ast.Call, context: Context) -> Effect: ...
    def keys(self, node: ast.expr, context: Context) -> tuple[Hashable, ...]: ...
    def each_of(self, iterable: ast.expr, context: Context) -> Effect | None: ...
    def of_values(self, values: Iterable[Value], origin: ast.expr | None = None) -> Effect | None: ...
