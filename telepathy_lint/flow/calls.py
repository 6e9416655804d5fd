"""The call graph of one file: which functions a call may run, and which calls run a function."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.flow.bindings import dotted, given_for
from telepathy_lint.flow.evaluate import Evaluator
from telepathy_lint.flow.tree import Context, Scope, Tree
from telepathy_lint.flow.uses import FUNCTIONS, Function, Index

#: Kinds of bindings that are never a function in this file.
_FOREIGN = frozenset({"import", "class", "param", "for", "with", "except", "other"})

_Caller = tuple[ast.Call | None, Context, bool]


class CallGraph:
    """Resolves calls within one file."""

    def __init__(self, index: Index, evaluator: Evaluator) -> None:
        self.index = index
        self.tree = index.tree
        self.evaluator = evaluator
        self._ancestors: dict[ast.ClassDef, set[ast.ClassDef]] = {}
        self._callers: dict[Function, list[_Caller]] = {}

    def called(self, node: ast.Call, context: Context) -> Iterator[Function]:
        """The functions in this file that a call may run; constructors are not followed."""
        func = node.func
        if isinstance(func, ast.Name):
            found = self.evaluator.names.ways(func.id, context)
            if found is None or all(binding.kind in _FOREIGN for binding, _ in found):
                return  # a name of another module, which need not be read
            for value in self.evaluator.evaluate(func, context):
                if value.kind == "function" and isinstance(value.node, FUNCTIONS):
                    yield value.node
        elif isinstance(func, ast.Attribute):
            base = func.value
            if isinstance(base, ast.Name):
                values = self.evaluator.evaluate(base, context)
                if any(value.kind == "symbol" for value in values):
                    return
            yield from self.index.methods(func.attr)

    def callers(self, function: Function) -> list[_Caller]:
        """The calls of a function in the file: the call, its context, and whether `self` is already bound.

        The call is None where the function is passed on as an object.
        """
        if function not in self._callers:
            owner = self.tree.scope_at(function).parent
            self._callers[function] = list(self._find_callers(function, owner))
        return self._callers[function]

    def _find_callers(self, function: Function, owner: Scope | None) -> Iterator[_Caller]:
        in_class = owner is not None and isinstance(owner.node, ast.ClassDef)
        name = function.name
        constructor = in_class and name in ("__init__", "__post_init__", "setup")
        names = [name]
        if constructor:
            assert owner is not None and isinstance(owner.node, ast.ClassDef)
            names.append(owner.node.name)
        elif in_class and name in ("__call__", "forward"):
            return
        for wanted in names:
            for use in self.index.of(wanted):
                parent = self.tree.parent.get(use)
                if isinstance(parent, ast.Call) and parent.func is use:
                    if isinstance(use, ast.Name) and in_class and wanted == name:
                        continue
                    bound = isinstance(use, ast.Attribute) or wanted != name
                    yield parent, self.tree.context_of(parent), bound
                elif (
                    isinstance(parent, ast.Call)
                    and (use in parent.args)
                    and isinstance(use, (ast.Name, ast.Attribute))
                ):
                    # partial(f, model), map(f, models), Process(target=f, args=...)
                    if dotted(parent.func) in ("partial", "functools.partial"):
                        shifted = ast.Call(func=use, args=parent.args[1:], keywords=parent.keywords)
                        yield shifted, self.tree.context_of(parent), isinstance(use, ast.Attribute)
                    else:
                        yield None, self.tree.context_of(parent), True

    def given(self, function: Function, parameter: str) -> Iterator[tuple[list[ast.expr] | None, Context]]:
        """For each call of a function in the file, yield the arguments for a parameter, and the context of the call.

        The list is empty if the call omits it, has several items with stars, and is None if the function is
        passed on as an object.
        """
        owner = self.tree.scope_at(function).parent
        in_class = owner is not None and owner.is_class
        names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
        for call, context, bound in self.callers(function):
            if call is None:
                yield None, context
                continue
            skip = 1 if in_class and bound and not is_static(function) else 0
            position = names.index(parameter) - skip if parameter in names else None
            if any(each.arg == parameter for each in function.args.kwonlyargs):
                position = len(call.args)  # a keyword-only parameter
            if position is not None and position < 0:  # `cls` or `self`: the object before the dot
                yield [call.func.value] if isinstance(call.func, ast.Attribute) else None, context
            else:
                yield list(given_for(call, parameter, position)), context

    def results(self, function: Function) -> Iterator[tuple[ast.expr, Context]]:
        """The expressions that a function in the file returns."""
        scope = self.tree.scope_at(function)
        scope.read()
        for stmt in scope.exits:
            if isinstance(stmt, ast.Return) and stmt.value is not None:
                yield stmt.value, Context(scope, stmt)

    def ancestors(self, owner: ast.ClassDef) -> frozenset[ast.ClassDef]:
        """A class in the file and its base classes in the file."""
        if owner not in self._ancestors:
            self._ancestors[owner] = found = {owner}
            scope = self.tree.scope_at(owner)
            for base in owner.bases:
                for value in self.evaluator.evaluate(base, Context(scope.parent or self.tree.top, owner)):
                    if isinstance(value.node, ast.ClassDef) and value.node in self.tree.parent:
                        found |= self.ancestors(value.node)
        return frozenset(self._ancestors[owner])


def is_static(function: Function) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "staticmethod" for node in function.decorator_list)


def is_property(function: Function) -> bool:
    return any(
        (isinstance(node, ast.Name) and node.id in ("property", "cached_property"))
        or (isinstance(node, ast.Attribute) and node.attr == "cached_property")
        for node in function.decorator_list
    )


def calls_at(tree: Tree, offset: int) -> list[ast.Call]:
    """The calls around an offset of the text."""
    source = tree.source
    return [
        node
        for node in tree.visit(tree.lines_of([offset]))
        if isinstance(node, ast.Call) and source.start_of(node) <= offset + 1 <= source.end_of(node)
    ]
