"""How names get their values: the bindings that reach a place."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from telepathy_lint.flow.bindings import Binding
from telepathy_lint.flow.reaching import reaching
from telepathy_lint.flow.tree import Context, Scope


class Names:
    """Looks names up, and remembers what it found."""

    def __init__(self) -> None:
        self._arrived: dict[tuple[Scope, str, ast.AST | None], list[tuple[Binding, Scope]]] = {}

    def owner(self, name: str, context: Context) -> Scope | None:
        """The scope whose binding a name has at `context`; None: not bound."""
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
        """The bindings by which a plain name can get its value at `context`, each with its scope; None: not bound."""
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
        if not (found or scope.is_class) and _are_one(bindings):
            return [(bindings[0], scope)]  # nothing else can arrive: no need to walk
        arrived = reaching(scope, name, stmt) if stmt is not None else None
        if arrived is not None:
            if None in arrived:
                found.extend(self._before_all(scope, name))
            found.extend((binding, scope) for binding in in_order(arrived))
            if found:
                return found
        return found + [(binding, scope) for binding in bindings]

    def _before_all(self, scope: Scope, name: str) -> list[tuple[Binding, Scope]]:
        """What gives a name its value that is bound in a scope, before the first of its statements does."""
        if scope.is_function:
            return [(binding, scope) for binding in scope.bindings[name] if binding.kind == "param"][:1]
        if scope.is_class and scope.parent is not None:
            return self.ways(name, Context(scope.parent, None)) or []
        return []

    def writers(self, scope: Scope, name: str) -> list[Scope]:
        """Scopes other than `scope` that write the name by `global` or `nonlocal`."""
        return [
            other for other in scope.tree.declaring(name) if other is not scope and name in other.bindings
        ]


def _are_one(bindings: list[Binding]) -> bool:
    """Whether it makes no difference which binding arrives: there is one, or every cell of a notebook has the same import."""
    first = bindings[0] if bindings else None
    return first is not None and (
        len(bindings) == 1 or all(each.kind == "import" and each.symbol == first.symbol for each in bindings)
    )


def in_order(arrived: Iterable[Binding | None]) -> list[Binding]:
    """Bindings in reading order: sets have none, and what is reported must not depend on it."""
    return sorted((each for each in arrived if each is not None), key=_place)


def _place(binding: Binding) -> tuple[int, tuple[int, ...]]:
    column = getattr(binding.value or binding.stmt, "col_offset", 0)
    return binding.line, (column, *(-1 if index is None else index for index in binding.path))
