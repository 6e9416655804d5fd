"""Follows objects backwards through calls: return values, parameters, and calls that return their argument."""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Iterator

from telepathy_lint.flow import same_object
from telepathy_lint.flow.bindings import default_of, written
from telepathy_lint.flow.calls import CallGraph, is_static
from telepathy_lint.flow.makers import UNFILLED, UNKNOWN, Edge, Maker, Makers, Policy
from telepathy_lint.flow.same_object import Path
from telepathy_lint.flow.tree import Context, Scope
from telepathy_lint.flow.uses import Function
from telepathy_lint.knowledge import transformers_names as catalog

_NO_GRADIENTS = ("no_grad", "inference_mode", "set_grad_enabled")
#: Methods whose results have no gradients.
_CUTS = frozenset({"item", "detach", "tolist", "numpy", "argmax", "no_grad", "size", "numel"})


class Calls:
    """The backward steps that lead through calls."""

    def __init__(
        self,
        calls: CallGraph,
        policy: Policy,
        loading: frozenset[ast.AST],
        pairs: dict[ast.Call, ast.Call],
    ) -> None:
        self.policy = policy
        self.loading = loading
        self.pairs = pairs
        self.calls = calls
        self.uses = calls.index
        self.tree = calls.tree
        self.values = calls.evaluator
        self._open: set[ast.AST] = set()
        self._stopping: dict[ast.expr, bool] = {}

    @abstractmethod
    def reached(self, pending: list[Edge]) -> Makers:
        """All makers that can be reached backwards from expressions."""

    @abstractmethod
    def makers(self, node: ast.expr, context: Context) -> Makers:
        """The calls that created the object."""

    def through_call(self, node: ast.Call, context: Context, path: Path) -> Iterator[Maker | Edge]:
        if node in self.pairs:
            if path[:1] == (0,):
                yield node
            elif path[:1] == (1,):
                yield self.pairs[node]
            else:  # the tuple itself, or an unknown item
                yield from (UNKNOWN,) if self.policy.exact else (node, self.pairs[node])
        elif self._is_load(node, context):
            # An item of a model is not a model, unless the load returns a tuple.
            more = path and not any(keyword.arg == "output_loading_info" for keyword in node.keywords)
            yield UNKNOWN if more and self.policy.exact else node
        elif self.policy.exact:
            yield from self._exact_call(node, context, path)
        elif self.policy.computes:
            yield from self._computation(node, context, path)
        else:
            functions = list(self.calls.called(node, context))
            for function in functions:
                yield from self.returned(function, path)
            yield node
            if isinstance(node.func, ast.Attribute):
                yield Edge(node.func.value, context)
            if functions:
                return
            for index, argument in enumerate(node.args):
                # `model, optimizer = prepare(model, optimizer)` returns each argument at its own index.
                if path and len(node.args) > 1 and path[0] is not None and path[0] != index:
                    continue
                yield Edge(argument, context)
            for keyword in node.keywords:
                yield Edge(keyword.value, context)

    def _exact_call(self, node: ast.Call, context: Context, path: Path) -> Iterator[Maker | Edge]:
        func = node.func
        functions = self._functions(node, context)
        if node in self.loading and not path and not (functions and self._gives_others(functions, node)):
            yield node  # a load through a function in the file, from the caller's point of view
            return
        if functions is None:
            given = same_object.given_back(node, path)
            wraps = given is not None and given.how == "function" and self.policy.itself
            ends = isinstance(func, ast.Attribute) and func.attr in self.policy.ends
            yield node if given is None or wraps or ends else Edge(given.node, context, given.path)
        elif functions:
            for function in functions:
                yield from self.returned(function, path)
        elif (
            isinstance(func, ast.Attribute)
            and isinstance(func.value, ast.Name)
            and func.value.id in ("self", "cls")
        ):
            yield UNKNOWN  # a method of an unknown class
        else:
            yield node

    def class_made(self, maker: Maker) -> ast.ClassDef | None:
        """The class in the file that a call instantiates."""
        if not isinstance(maker, ast.Call):
            return None
        if not isinstance(maker.func, (ast.Name, ast.Attribute)):
            return None
        values = self.values.evaluate(maker.func, self.tree.context_of(maker))
        made = values[0].node
        local = (
            len(values) == 1 and isinstance(made, ast.ClassDef) and values[0].context.scope.tree is self.tree
        )
        return made if local else None  # type: ignore[return-value]

    def _functions(self, node: ast.Call, context: Context) -> list[Function] | None:
        """Functions in the file, one of which the call certainly runs; [] if unknown, None if it runs other functions."""
        func = node.func
        if isinstance(func, ast.Name):
            named = list(self.calls.called(node, context))
            sure = len(named) == len(self.values.evaluate(func, context)) if named else True
            return (named or None) if sure else []
        if not isinstance(func, ast.Attribute) or not (methods := self.uses.methods(func.attr)):
            return None
        if isinstance(func.value, ast.Name) and func.value.id in ("self", "cls"):
            owner = self.values.enclosing_class(context.scope)
            if owner is None:
                return None
            family = self.calls.ancestors(owner)
            own = [each for each in methods if self._owner(each) in family]
            return own if len(own) == 1 == len(methods) else [] if own else None
        if func in self._open:
            return []
        self._open.add(func)
        try:
            found: list[Function] = []
            makers = self.makers(func.value, context)
            for maker in makers:
                made = self.class_made(maker)
                family = self.calls.ancestors(made) if made is not None else frozenset()
                found += [each for each in methods if self._owner(each) in family]
            if found and len(found) != len(makers):
                return []
            return found or None
        finally:
            self._open.discard(func)

    def _gives_others(self, functions: list[Function], node: ast.Call) -> bool:
        """Whether functions may return anything else than the results of their loads."""
        if node in self._open:
            return True
        self._open.add(node)
        try:
            steps = [step for each in functions for step in self.returned(each, ())]
            return not self.reached(steps) <= self.loading
        finally:
            self._open.discard(node)

    def _owner(self, function: Function) -> ast.AST | None:
        parent = self.tree.scope_at(function).parent
        return parent.node if parent is not None else None

    def _computation(self, node: ast.Call, context: Context, path: Path) -> Iterator[Maker | Edge]:
        func = node.func
        name = func.attr if isinstance(func, ast.Attribute) else ""
        if name in self.policy.ends:
            yield node
            return
        stmt = context.stmt
        if stmt is not None and node not in self.tree.parent and stmt in self.tree.parent:
            self.tree.own_nodes(stmt)  # sets the parents, without a search for the statement
        if name in _CUTS or self.keeps_no_gradients(node):
            return
        yield node
        functions = list(self.calls.called(node, context))
        for function in functions:
            if not any("no_grad" in ast.unparse(each) for each in function.decorator_list):
                yield from self.returned(function, path)
        if isinstance(func, ast.Attribute):
            yield Edge(func.value, context)
        if not functions:
            for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
                yield Edge(argument, context)

    def _is_load(self, node: ast.Call, context: Context) -> bool:
        """Whether the call creates a new object from an id, so that no argument is part of it."""
        func = node.func
        if not isinstance(func, ast.Attribute) or func.attr not in ("from_pretrained", "from_config"):
            return False
        values = self.values.evaluate(func.value, context)
        return all(value.kind == "symbol" and catalog.in_transformers(str(value.data)) for value in values)

    def returned(self, function: Function, path: Path) -> Iterator[Edge]:
        yield from (Edge(node, context, path) for node, context in self.calls.results(function))
        for stmt in self.tree.scope_at(function).statements:
            if isinstance(stmt, ast.Expr) and isinstance(stmt.value, (ast.Yield, ast.YieldFrom)):
                yield Edge(stmt.value, Context(self.tree.scope_at(function), stmt), path)

    def passed(self, function: Function, parameter: str, scope: Scope, path: Path) -> Iterator[Maker | Edge]:
        """The arguments that calls in the file pass for a parameter."""
        owner = scope.parent
        in_class = owner is not None and owner.is_class
        names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
        if in_class and names and parameter == names[0] and not is_static(function):
            return  # `self`
        seen = False
        for given, context in self.calls.given(function, parameter):
            seen = True
            if given is None:
                yield UNKNOWN
                continue
            yield from (Edge(node, context, path) for node in given)
            default = default_of(function, parameter) if not given else None
            if default is not None:
                yield Edge(default, Context(scope.parent or self.tree.top, function), path)
        if not seen:
            yield UNFILLED

    # ---- gradients

    def keeps_no_gradients(self, node: ast.AST) -> bool:
        if node not in self.tree.parent:
            self.tree.context_of(node)  # sets the parents of the node
        current: ast.AST | None = node
        while current is not None:
            if isinstance(current, (ast.With, ast.AsyncWith)):
                if any(self._stops_gradients(item.context_expr) for item in current.items):
                    return True
            elif isinstance(current, (ast.FunctionDef, ast.AsyncFunctionDef)):
                return any(map(self._stops_gradients, current.decorator_list))
            current = self.tree.parent.get(current)
        return False

    def _stops_gradients(self, node: ast.expr) -> bool:
        """Whether a context manager or decorator turns gradients off."""
        known = self._stopping.get(node)
        if known is None:
            bare = isinstance(node, ast.Call) and not node.args and not node.keywords
            text = written(node.func if bare else node)  # type: ignore[attr-defined]
            known = self._stopping[node] = any(word in text for word in _NO_GRADIENTS)
        return known
