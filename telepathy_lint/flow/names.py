"""Resolves names: the bindings that reach a use."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from telepathy_lint.flow.bindings import Binding
from telepathy_lint.flow.marimo import cells_of, is_cell
from telepathy_lint.flow.reaching import reaching
from telepathy_lint.flow.tree import Context, Scope

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Names:
    """Resolves names, and caches the results."""

    def __init__(self) -> None:
        self._arrived: dict[tuple[Scope, str, ast.AST | None], list[tuple[Binding, Scope]]] = {}

    def owner(self, name: str, context: Context) -> Scope | None:
        """The scope that a name at `context` belongs to; None if it is not bound."""
        scope: Scope | None = context.scope
        here = True
        while scope is not None:
            if (here or not scope.is_class) and scope.binds(name):
                return scope
            here = False
            scope = scope.parent
        top = context.scope.tree.top
        return top if top.bindings.get(name) else None

    def ways(self, name: str, context: Context) -> list[tuple[Binding, Scope]] | None:
        """The bindings that may give a name its value at `context`, each with its scope; None if it is not bound."""
        scope = self.owner(name, context)
        if scope is None:
            return None
        return self.in_scope(scope, name, context.stmt if scope is context.scope else None)

    def in_scope(self, scope: Scope, name: str, stmt: ast.AST | None) -> list[tuple[Binding, Scope]]:
        key = (scope, name, stmt)
        if key not in self._arrived:
            self._arrived[key] = self._read(scope, name, stmt)
        return self._arrived[key]

    def _read(self, scope: Scope, name: str, stmt: ast.AST | None) -> list[tuple[Binding, Scope]]:
        found: list[tuple[Binding, Scope]] = []
        if scope.tree.has_global:
            for other in self.writers(scope, name):
                found.extend((binding, other) for binding in other.bindings[name])
        bindings = [binding for binding in scope.bindings[name] if binding.kind != "annotation"]
        if "param" in {binding.kind for binding in bindings} and is_cell(scope.node):
            found += self._of_cells(scope, name)
            if found:
                return found + [(binding, scope) for binding in bindings if binding.kind != "param"]
        if not (found or scope.is_class) and _are_one(bindings):
            return [(bindings[0], scope)]  # only this binding can reach it
        arrived = reaching(scope, name, stmt) if stmt is not None else None
        if arrived is not None:
            if None in arrived:
                found.extend(self._before_all(scope, name))
            found.extend((binding, scope) for binding in in_order(arrived))
            if found:
                return found
        return found + [(binding, scope) for binding in bindings]

    def _of_cells(self, scope: Scope, name: str) -> list[tuple[Binding, Scope]]:
        """The bindings in other cells of a marimo notebook for a cell's parameter."""
        return [
            (binding, cell)
            for cell in cells_of(scope.tree)
            for binding in cell.bindings.get(name, ())
            if binding.kind not in ("param", "annotation")
        ]

    def _before_all(self, scope: Scope, name: str) -> list[tuple[Binding, Scope]]:
        """The bindings of a name before the first statement of the scope that binds it."""
        if scope.is_function:
            return [(binding, scope) for binding in scope.bindings[name] if binding.kind == "param"][:1]
        if scope.is_class and scope.parent is not None:
            return self.ways(name, Context(scope.parent, None)) or []
        return []

    def writers(self, scope: Scope, name: str) -> list[Scope]:
        """Other scopes that assign the name with `global` or `nonlocal`."""
        return [
            other for other in scope.tree.declaring(name) if other is not scope and name in other.bindings
        ]


def _are_one(bindings: list[Binding]) -> bool:
    """Whether all bindings are equivalent: there is only one, or each cell of a notebook has the same import."""
    first = bindings[0] if bindings else None
    return first is not None and (
        len(bindings) == 1 or all(each.kind == "import" and each.symbol == first.symbol for each in bindings)
    )


def in_order(arrived: Iterable[Binding | None]) -> list[Binding]:
    """Sort bindings in reading order: sets have no order, and the output must not depend on it."""
    return sorted((each for each in arrived if each is not None), key=_place)


def _place(binding: Binding) -> tuple[int, tuple[int, ...]]:
    column = getattr(binding.value or binding.stmt, "col_offset", 0)
    return binding.line, (column, *(-1 if index is None else index for index in binding.path))


def comprehension_of(node: ast.Name, context: Context) -> ast.comprehension | None:
    """The generator of an enclosing comprehension that binds a name."""
    for inner in context.inner:
        if isinstance(inner, _COMPREHENSIONS):
            for generator in inner.generators:
                if any(isinstance(t, ast.Name) and t.id == node.id for t in ast.walk(generator.target)):
                    return generator
    return None
