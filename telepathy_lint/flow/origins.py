"""Where an object comes from: the calls in the file whose result it may be.

Demand-driven and field-based: names go back to their bindings, parameters to the arguments of the calls in the file,
attributes to every store into an attribute of that name, results of local functions to what they return. A call into
code that cannot be seen is taken to hand its arguments through (`prepare(model)`, `get_peft_model(model, ...)`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from telepathy_lint.flow.bindings import Binding, dotted
from telepathy_lint.flow.calls import CallGraph, is_property, is_static
from telepathy_lint.flow.evaluate import Evaluator
from telepathy_lint.flow.tree import Context, Scope
from telepathy_lint.flow.uses import FUNCTIONS, Function, Index
from telepathy_lint.knowledge import transformers_names as catalog

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)


class _Unknown(ast.expr):
    """Stands for an origin outside the file: a parameter nobody in the file fills, an inherited attribute."""


UNKNOWN: Final = _Unknown()
Origin = ast.Call | _Unknown
Path = tuple[int | None, ...]
_MAX_PATH = 3


class Edge(NamedTuple):
    """The value of an expression flows on to the one asked for; `path` picks items out of a tuple."""

    node: ast.expr
    context: Context
    path: Path = ()


Origins = frozenset[Origin]


class OriginFinder(CallGraph):
    """Answers `origins(expression)` for one file."""

    def __init__(self, index: Index, evaluator: Evaluator) -> None:
        super().__init__(index, evaluator)
        self._known: dict[ast.AST, Origins] = {}
        self._families: dict[str, list[tuple[tuple[Binding, Scope], frozenset[ast.ClassDef] | None]]] = {}
        self._steps: dict[tuple[ast.AST, Path], list[Origin | Edge]] = {}

    def origins(self, node: ast.expr, context: Context) -> Origins:
        """The calls whose result `node` may be: everything that can be reached from it against the flow."""
        if (known := self._known.get(node)) is not None:
            return known
        found: set[Origin] = set()
        seen: set[tuple[ast.AST, Path]] = set()
        pending = [Edge(node, context)]
        while pending:
            edge = pending.pop()
            key = edge.node, edge.path[:_MAX_PATH]
            if key in seen:
                continue
            seen.add(key)
            steps = self._steps.get(key)
            if steps is None:
                steps = self._steps[key] = list(self._origins(edge.node, edge.context, key[1]))
            for step in steps:
                if isinstance(step, Edge):
                    pending.append(step)
                else:
                    found.add(step)
        self._known[node] = result = frozenset(found)
        return result

    def _origins(self, node: ast.expr, context: Context, path: Path) -> Iterable[Origin | Edge]:
        """One step against the flow."""
        kind = type(node)
        if kind is ast.Name:
            return self._name(node, context, path)  # type: ignore[arg-type]
        if kind is ast.Call:
            return self._call(node, context, path)  # type: ignore[arg-type]
        if kind is ast.Attribute:
            return self._attribute(node, context, path)  # type: ignore[arg-type]
        return () if kind is ast.Constant else self._parts(node, context, path)

    def _parts(self, node: ast.expr, context: Context, path: Path) -> Iterator[Edge]:
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            index = path[0] if path else None
            if index is not None and -len(node.elts) <= index < len(node.elts):
                yield Edge(node.elts[index], context, path[1:])
            else:
                for item in node.elts:
                    yield Edge(item, context)
        elif isinstance(node, ast.Dict):
            for item in node.values:
                yield Edge(item, context)
        elif isinstance(node, ast.Subscript):
            index_ = node.slice.value if isinstance(node.slice, ast.Constant) else None
            inner = (index_, *path) if isinstance(index_, int) and not isinstance(index_, bool) else ()
            yield Edge(node.value, context, inner)
        elif isinstance(node, ast.IfExp):
            yield Edge(node.body, context, path)
            yield Edge(node.orelse, context, path)
        elif isinstance(node, ast.BoolOp):
            for arm in node.values:
                yield Edge(arm, context, path)
        elif isinstance(node, (ast.NamedExpr, ast.Await, ast.Starred)):
            yield Edge(node.value, context, path)
        elif isinstance(node, _COMPREHENSIONS):
            element = node.value if isinstance(node, ast.DictComp) else node.elt
            yield Edge(element, Context(context.scope, context.stmt, (node, *context.inner)))
        elif isinstance(node, (ast.Yield, ast.YieldFrom)) and node.value is not None:
            yield Edge(node.value, context, path)

    # ---- names

    def _name(self, node: ast.Name, context: Context, path: Path) -> Iterator[Origin | Edge]:
        for inner in context.inner:
            if isinstance(inner, _COMPREHENSIONS):
                for generator in inner.generators:
                    if any(isinstance(t, ast.Name) and t.id == node.id for t in ast.walk(generator.target)):
                        outside = Context(context.scope, context.stmt, context.inner[1:])
                        yield from self._iterated(generator.iter, outside, ())
                        return
        found = self.evaluator.names.ways(node.id, context)
        if found is None:
            # Bound nowhere that is seen from here: a `global` forgotten, most likely of some function's local.
            for scope in self.tree.all_scopes():
                for local in scope.bindings.get(node.id, ()) if scope.is_function else ():
                    if local.kind != "param":
                        yield from self._bound(local, scope, path)
            return
        container = False
        for binding, scope in found:
            yield from self._bound(binding, scope, path)
            container = container or _is_container(binding.value)
        if container:
            yield from self._written_items(node.id)

    def _bound(self, binding: Binding, scope: Scope, path: Path) -> Iterable[Origin | Edge]:
        """One step from a binding to what it gives its name."""
        kind, value = binding.kind, binding.value
        if kind in ("assign", "with") and value is not None:
            return (Edge(value, Context(scope, binding.stmt), (*binding.path, *path)),)
        if kind == "for" and value is not None:
            return self._iterated(value, Context(scope, binding.stmt), binding.path)
        if kind == "param" and isinstance(binding.stmt, FUNCTIONS):
            return self._passed(binding.stmt, binding.name, scope)
        return (UNKNOWN,) if kind == "param" else ()

    def _iterated(self, iterable: ast.expr, context: Context, path: Path) -> Iterator[Origin | Edge]:
        """The items of `iterable`, of which `path` picks one where they are tuples."""
        if isinstance(iterable, ast.Call):
            name = dotted(iterable.func)
            if name == "zip" and path and path[0] is not None and path[0] < len(iterable.args):
                yield from self._iterated(iterable.args[path[0]], context, path[1:])
                return
            if name == "enumerate" and iterable.args and path:
                if path[0] == 1:
                    yield from self._iterated(iterable.args[0], context, path[1:])
                return
        if isinstance(iterable, (ast.Tuple, ast.List)):
            for item in iterable.elts:
                yield Edge(item, context, path)
            return
        yield Edge(iterable, context)

    def _written_items(self, name: str) -> Iterator[Origin | Edge]:
        """What is put into the container called `name` after it was made: item writes, `append` and its like."""
        for use in self.uses(name.rpartition(".")[2]):
            holder = self.tree.parent.get(use)
            if isinstance(holder, ast.Subscript) and holder.value is use:
                stmt = self.tree.parent.get(holder)
                if isinstance(stmt, ast.Assign) and holder in stmt.targets:
                    yield Edge(stmt.value, self.tree.context_of(holder))
                elif isinstance(stmt, ast.Tuple) and isinstance(
                    whole := self.tree.parent.get(stmt), ast.Assign
                ):
                    yield Edge(whole.value, self.tree.context_of(holder))
            elif isinstance(holder, ast.Attribute) and holder.attr in (
                "append", "add", "insert", "extend", "update", "setdefault", "appendleft",
            ):  # fmt: skip
                call = self.tree.parent.get(holder)
                if isinstance(call, ast.Call) and call.func is holder:
                    context = self.tree.context_of(call)
                    for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
                        yield Edge(argument, context)

    # ---- attributes

    def _attribute(self, node: ast.Attribute, context: Context, path: Path) -> Iterator[Origin | Edge]:
        if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            stores = self._related(node.attr, context)
        else:
            stores = self.index.stores().get(node.attr, [])
        container = False
        for binding, scope in stores:
            yield from self._bound(binding, scope, path)
            container = container or _is_container(binding.value)
        if container:
            yield from self._written_items(node.attr)
        base = node.value
        properties = [each for each in self.index.methods(node.attr) if is_property(each)]
        for method in properties:
            yield from self.returned(method, path)
        if isinstance(base, ast.Name) and base.id in ("self", "cls"):
            if not stores and not properties and self.evaluator.enclosing_class(context.scope) is not None:
                yield UNKNOWN
            return
        yield Edge(base, context)

    def _related(self, attribute: str, context: Context) -> list[tuple[Binding, Scope]]:
        """The stores that a `self.x` here can mean: those of this class and of what it shares ancestors with."""
        own = self.evaluator.enclosing_class(context.scope)
        if own is None:
            return self.index.stores().get(attribute, [])
        if attribute not in self._families:
            stores = self.index.stores().get(attribute, [])
            self._families[attribute] = [(store, self._family(*store)) for store in stores]
        family = self.ancestors(own)
        return [store for store, other in self._families[attribute] if other is None or family & other]

    def _family(self, binding: Binding, scope: Scope) -> frozenset[ast.ClassDef] | None:
        """The class whose attribute a store writes, with its ancestors; None where it may be anybody's."""
        if not binding.name.startswith(("self.", "cls.")) and not scope.is_class:
            return None
        owner = self.evaluator.enclosing_class(scope)
        return self.ancestors(owner) if owner is not None else None

    # ---- calls

    def _call(self, node: ast.Call, context: Context, path: Path) -> Iterator[Origin | Edge]:
        if self._is_load(node, context):
            yield node
            return
        functions = list(self.called(node, context))
        for function in functions:
            yield from self.returned(function, path)
        if functions and not isinstance(node.func, ast.Attribute):
            return
        yield node
        if isinstance(node.func, ast.Attribute):
            yield Edge(node.func.value, context)
        if functions:
            return
        for index, argument in enumerate(node.args):
            # `model, optimizer = prepare(model, optimizer)` hands each through in its place.
            if path and len(node.args) > 1 and path[0] is not None and path[0] != index:
                continue
            yield Edge(argument, context)
        for keyword in node.keywords:
            yield Edge(keyword.value, context)

    def _is_load(self, node: ast.Call, context: Context) -> bool:
        """Whether the call makes its object anew, out of an id: nothing it is given lives on in it."""
        func = node.func
        if not isinstance(func, ast.Attribute) or func.attr not in ("from_pretrained", "from_config"):
            return False
        values = self.evaluator.evaluate(func.value, context)
        return all(value.kind == "symbol" and catalog.in_transformers(str(value.data)) for value in values)

    def returned(self, function: Function, path: Path) -> Iterator[Origin | Edge]:
        scope = self.tree.scope_at(function)
        scope.read()
        for stmt in scope.statements:
            context = Context(scope, stmt)
            if (isinstance(stmt, ast.Return) and stmt.value is not None) or (
                isinstance(stmt, ast.Expr) and isinstance(stmt.value, (ast.Yield, ast.YieldFrom))
            ):
                yield Edge(stmt.value, context, path)

    def _passed(self, function: Function, parameter: str, scope: Scope) -> Iterator[Origin | Edge]:
        """What the calls in the file pass for a parameter."""
        owner = scope.parent
        in_class = owner is not None and owner.is_class
        arguments = [*function.args.posonlyargs, *function.args.args]
        names = [argument.arg for argument in arguments]
        if in_class and names and parameter == names[0] and not is_static(function):
            return  # self
        seen = False
        for call, context, bound in self.callers(function, owner):
            seen = True
            if call is None:
                yield UNKNOWN
                continue
            skip = 1 if in_class and bound and not is_static(function) else 0
            position = names.index(parameter) - skip if parameter in names else None
            yield from self._argument(call, context, parameter, position)
        if not seen:
            yield UNKNOWN

    def _argument(
        self, call: ast.Call, context: Context, parameter: str, position: int | None
    ) -> Iterator[Origin | Edge]:
        for keyword in call.keywords:
            if keyword.arg == parameter:
                yield Edge(keyword.value, context)
                return
        starred = next(
            (i for i, item in enumerate(call.args) if isinstance(item, ast.Starred)), len(call.args)
        )
        if position is None:  # *args or **kwargs: anything may arrive there
            for item in [*call.args, *(keyword.value for keyword in call.keywords)]:
                yield Edge(item, context)
        elif position < starred and position < len(call.args):
            yield Edge(call.args[position], context)
        elif starred < len(call.args) or any(keyword.arg is None for keyword in call.keywords):
            for item in [*call.args[starred:], *(k.value for k in call.keywords if k.arg is None)]:
                yield Edge(item, context)


def _is_container(value: ast.expr | None) -> bool:
    if isinstance(value, (ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp)):
        return True
    return isinstance(value, ast.Call) and (dotted(value.func) or "").rpartition(".")[2] in (
        "dict", "list", "set", "defaultdict", "OrderedDict", "deque", "SimpleNamespace", "Namespace",
    )  # fmt: skip
