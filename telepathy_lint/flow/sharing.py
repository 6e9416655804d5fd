"""Finds other writers of a dict: aliases, functions that get it, other scopes, and the owners of its inner dicts."""

from __future__ import annotations

import ast
from collections.abc import Hashable, Iterator

from telepathy_lint.flow.bindings import dotted, filled_parameter
from telepathy_lint.flow.reaching import Walk, walk_of
from telepathy_lint.flow.tree import Context, Scope, Tree
from telepathy_lint.flow.writes import Write, of_use, uses_in
from telepathy_lint.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from telepathy_lint.flow.protocols import ValueReader

_DEPTH = 4
#: Methods that return an item of a dict.
_HANDS_OUT = ("get", "pop", "setdefault")
#: A placeholder for all keys.
ANY = object()


class Sharing:
    """Answers questions about the names of one file; the evaluator caches the results."""

    __slots__ = ("_evaluator",)

    def __init__(self, evaluator: ValueReader) -> None:
        self._evaluator = evaluator

    def foreign(self, scope: Scope, name: str) -> tuple[tuple[Write, Context], ...]:
        """The writes of other scopes into the dict that `name` refers to in `scope`; their order is unknown."""
        known, key = self._evaluator.known.foreign, (scope, name)
        if key not in known:
            known[key] = ()  # in case of recursion
            found = []
            for node, stmt, where in _foreign_uses(scope, name):
                context = Context(where, stmt)
                for write in of_use(node, stmt, scope.tree.parent):
                    if self.is_harmless(write, context):
                        continue
                    if "." in name and dotted(node) != name:
                        write = Write("unseen", stmt)  # possibly into another object's dict
                    found.append((write, context))
            known[key] = tuple(found)
        return known[key]

    def is_harmless(self, write: Write, context: Context, depth: int = 0) -> bool:
        """Whether a write leaves the dict unchanged: an alias that only reads it, or a function that does not write."""
        if write.kind == "shared":
            return write.name is not None and not self.changed(context.scope, write.name, depth + 1)
        if write.kind != "given" or depth > _DEPTH:
            return False
        assert write.call is not None and write.value is not None
        for value in self._evaluator.evaluate(write.call.func, context):
            function = value.node
            name = filled_parameter(function, write.call, write.value)
            if value.kind != "function" or name is None:
                return False
            if self.changed(value.context.scope.tree.scope_at(function), name, depth + 1):
                return False
        return True

    def changed(self, scope: Scope, name: str, depth: int = 0) -> bool:
        """Whether a dict may be changed through a name in the scope."""
        if depth > _DEPTH:
            return True
        walk = walk_of(scope, name, writes=True)
        for stmt in walk.writing:
            for write in walk.writes_in(stmt):
                if not self.is_harmless(write, Context(scope, stmt), depth):
                    return True
        return bool(self.foreign(scope, name))

    def late_writers(self, scope: Scope, name: str, stmt: ast.AST | None) -> Iterator[tuple[str, Context]]:
        """Other names of the dict that may write after one of the name's own writes, and before `stmt` reads it.

        What they write counts where they begin; a later write of the name itself would replace it there.
        """
        walk = walk_of(scope, name, writes=True)
        own = [
            each
            for each in walk.writing
            if any(write.kind not in ("shared", "given") for write in walk.writes_in(each))
        ]
        for other, context in self._aliases(walk, scope, name) if own else ():
            begun = context.stmt
            assert begun is not None
            again = in_loop(scope.tree, begun, scope)
            if stmt is not None and not again and line_of(begun) >= line_of(stmt):
                continue
            after = [
                line_of(begun) if in_loop(scope.tree, each, scope) else line_of(each)
                for each in own
                if again or line_of(each) > line_of(begun)
            ]
            theirs = walk_of(scope, other, writes=True).writing
            if after and (
                any(again or line_of(each) > min(after) for each in theirs) or self.foreign(scope, other)
            ):
                yield other, context

    def _aliases(self, walk: Walk, scope: Scope, name: str) -> Iterator[tuple[str, Context]]:
        """The other names of a dict in its scope, each where it begins."""
        for each in walk.writing:
            for write in walk.writes_in(each):
                if write.kind == "shared" and write.name is not None:
                    yield write.name, Context(scope, each)
        for binding in scope.bindings.get(name, ()):
            if binding.kind == "assign" and binding.value is not None and not binding.path:
                context = Context(scope, binding.stmt)
                for other in self.other_names(binding.value, name, context):
                    yield other, context

    def other_names(self, value: ast.expr, name: str, context: Context) -> Iterator[str]:
        """Other names in the scope for the dict that a statement binds: `b` in `a = b` and in `a = b = {}`."""
        scope, source = context.scope, dotted(value)
        # Writes by other scopes are read with them.
        if source is not None and ("." in source or self._evaluator.names.owner(source, context) is scope):
            yield source
        if isinstance(context.stmt, ast.Assign):
            for target in context.stmt.targets:
                other = dotted(target)
                if other is not None and other != name:
                    yield other

    def touched(self, scope: Scope, name: str) -> frozenset[Hashable]:
        """The keys of a name's dict whose inner dicts may be changed; includes `ANY` if the keys are unknown."""
        known, key = self._evaluator.known.touched, (scope, name)
        if key not in known:
            known[key] = frozenset()
            known[key] = frozenset(self._touched(scope, name))
        return known[key]

    def _touched(self, scope: Scope, name: str) -> Iterator[Hashable]:
        tree = scope.tree
        walk = walk_of(scope, name, writes=True)
        uses = [
            (node, stmt, scope) for stmt in walk.writing for node in uses_in(tree.own_nodes(stmt), name)
        ] + [*_foreign_uses(scope, name)]
        for node, stmt, where in uses:
            context = Context(where, stmt)
            for item, key in _items(node, tree.parent):
                if isinstance(item, str):
                    if self.changed(where, item, 1):
                        yield ANY
                elif any(not self.is_harmless(w, context) for w in of_use(item, stmt, tree.parent)):
                    yield key.value if isinstance(key, ast.Constant) else ANY


def _items(
    node: ast.expr, parent_of: dict[ast.AST, ast.AST]
) -> Iterator[tuple[ast.expr | str, ast.expr | None]]:
    """The items that a use of a dict leads to (an expression, or a loop variable for all items), and their keys."""
    parent = parent_of.get(node)
    if isinstance(parent, ast.Subscript) and parent.value is node and isinstance(parent.ctx, ast.Load):
        yield parent, parent.slice
    elif isinstance(parent, ast.Attribute):
        call = parent_of.get(parent)
        if isinstance(call, ast.Call) and call.func is parent:
            if parent.attr in _HANDS_OUT and call.args:
                yield call, call.args[0]
            elif parent.attr in ("values", "items"):
                yield from ((each, None) for each in _looped(call, parent_of))
    else:
        yield from ((each, None) for each in _looped(node, parent_of))


def _looped(node: ast.expr, parent_of: dict[ast.AST, ast.AST]) -> Iterator[str]:
    parent = parent_of.get(node)
    if isinstance(parent, (ast.For, ast.AsyncFor)) and parent.iter is node:
        yield from (each.id for each in ast.walk(parent.target) if isinstance(each, ast.Name))


def _foreign_uses(scope: Scope, name: str) -> Iterator[tuple[ast.expr, ast.stmt, Scope]]:
    """The uses, in other scopes, of what a name refers to: inner functions, and methods for an attribute."""
    tree = scope.tree
    base, _, last = name.rpartition(".")
    lines = tree.lines_with(last)
    if base or scope.is_class:
        wanted = f".{last}"
    elif scope.is_function and not scope.definitions and "lambda" not in tree.text:
        return
    else:
        wanted = ""
        if scope is not tree.top:
            first, end = scope.node.lineno, scope.node.end_lineno or 0  # type: ignore[union-attr]
            lines = [line for line in lines if first <= line <= end]
    for node in tree.visit(lines):
        if wanted:
            if type(node) is not ast.Attribute or node.attr != last:
                continue
        elif type(node) is not ast.Name or node.id != name or not isinstance(node.ctx, ast.Load):
            continue
        where = tree.scope_of(node)
        if where is scope and (not base or dotted(node) == name):
            continue
        if not wanted and owner_of(where, name) is not scope:
            continue
        assert isinstance(node, ast.expr)
        stmt = tree.context_of(node).stmt
        if isinstance(stmt, ast.stmt):
            yield node, stmt, where


def owner_of(scope: Scope | None, name: str) -> Scope | None:
    """The scope that a name belongs to."""
    here = True
    while scope is not None and not ((here or not scope.is_class) and scope.binds(name)):
        scope, here = scope.parent, False
    return scope


def in_loop(tree: Tree, stmt: ast.AST, scope: Scope) -> bool:
    """Whether a statement in a scope may run more than once."""
    holder = tree.parent.get(stmt)
    while holder is not None and holder is not scope.node:
        if isinstance(holder, (ast.For, ast.AsyncFor, ast.While)):
            return True
        holder = tree.parent.get(holder)
    return False


def line_of(stmt: ast.AST) -> int:
    return int(getattr(stmt, "lineno", 0))
