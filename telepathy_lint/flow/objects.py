"""Finds the object of an expression, by following it backwards to the calls in the file that created it.

Names are followed to their bindings, parameters to the arguments of calls in the file, attributes to all
assignments to an attribute of that name, calls of the file's functions to their return values. A policy
(`makers.py`) decides about other steps. `onward.py` follows an object forwards.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from telepathy_lint.flow import same_object
from telepathy_lint.flow.bindings import Binding, dotted, targets_of
from telepathy_lint.flow.calls import CallGraph, is_property
from telepathy_lint.flow.makers import (
    GRADIENT,
    IS_ADAPTED,
    IS_ITSELF,
    MIGHT_BE,
    PARAMETERS,
    SURELY_IS,
    UNKNOWN,
    Edge,
    Maker,
    Makers,
    Policy,
)
from telepathy_lint.flow.object_calls import Calls
from telepathy_lint.flow.reaching import reaching
from telepathy_lint.flow.same_object import Path
from telepathy_lint.flow.tree import Context, Scope
from telepathy_lint.flow.uses import FUNCTIONS

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
_MAX_PATH = 3
_CONTAINERS = frozenset({ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp})
_MAKE_CONTAINERS = frozenset({
    "dict", "list", "set", "defaultdict", "OrderedDict", "deque", "SimpleNamespace", "Namespace",
})  # fmt: skip
#: Attributes that have no gradients.
_PLAIN = frozenset({"shape", "dtype", "device", "ndim", "data"})


class Objects:
    """Follows the objects of one file backwards."""

    def __init__(self, calls: CallGraph) -> None:
        self.calls = calls
        #: The calls that load, once they have been found.
        self.loading: frozenset[ast.AST] = frozenset()
        #: The loads that return two objects: the call stands for the first object, the value here for the
        #: second.
        self.pairs: dict[ast.Call, ast.Call] = {}
        self._followers: dict[Policy, _Follower] = {}

    def makers(self, node: ast.expr, context: Context | None = None, policy: Policy = MIGHT_BE) -> Makers:
        """The calls that may have created the object; includes UNKNOWN if it may come from elsewhere."""
        return self._by(policy).makers(node, context or self.calls.tree.context_of(node))

    def bound(self, binding: Binding, scope: Scope, policy: Policy = MIGHT_BE) -> Makers:
        """The makers of the value that a binding assigns."""
        return self._by(policy).bound_to(binding, scope)

    def keeps_no_gradients(self, node: ast.AST) -> bool:
        """Whether the node is inside `torch.no_grad()` or similar, in the same function."""
        return self._by(GRADIENT).keeps_no_gradients(node)

    def _by(self, policy: Policy) -> _Follower:
        follower = self._followers.get(policy)
        if follower is None:
            follower = self._followers[policy] = _Follower(self.calls, policy, self.loading, self.pairs)
        return follower


class _Follower(Calls):
    """Follows objects according to one policy, and caches the results."""

    def __init__(
        self,
        calls: CallGraph,
        policy: Policy,
        loading: frozenset[ast.AST],
        pairs: dict[ast.Call, ast.Call],
    ) -> None:
        super().__init__(calls, policy, loading, pairs)
        self._known: dict[ast.AST, Makers] = {}
        self._steps: dict[tuple[ast.AST, Path], list[Maker | Edge]] = {}
        self._families: dict[str, list[tuple[tuple[Binding, Scope], frozenset[ast.ClassDef] | None]]] = {}

    def makers(self, node: ast.expr, context: Context) -> Makers:
        if (known := self._known.get(node)) is not None:
            return known
        result = self.reached([Edge(node, context)])
        self._known[node] = result
        return result

    def bound_to(self, binding: Binding, scope: Scope) -> Makers:
        found: set[Maker] = set()
        for step in self._bound(binding, scope, ()):
            if not isinstance(step, Edge):
                found.add(step)
            else:
                found |= self.reached([step]) if step.path else self.makers(step.node, step.context)
        return frozenset(found)

    def reached(self, pending: list[Edge]) -> Makers:
        """All makers that can be reached backwards from expressions."""
        found: set[Maker] = set()
        seen: set[tuple[ast.AST, Path]] = set()
        while pending:
            edge = pending.pop()
            key = edge.node, edge.path[:_MAX_PATH]
            if key in seen:
                continue
            seen.add(key)
            steps = self._steps.get(key)
            if steps is None:
                steps = self._steps[key] = list(self._step(edge.node, edge.context, key[1]))
            for step in steps:
                if isinstance(step, Edge):
                    pending.append(step)
                else:
                    found.add(step)
        return frozenset(found)

    def _step(self, node: ast.expr, context: Context, path: Path) -> Iterable[Maker | Edge]:
        """One step backwards."""
        kind = type(node)
        if kind is ast.Name:
            return self._name(node, context, path)  # type: ignore[arg-type]
        if kind is ast.Call:
            return self.through_call(node, context, path)  # type: ignore[arg-type]
        if kind is ast.Attribute:
            return self._attribute(node, context, path)  # type: ignore[arg-type]
        return () if kind is ast.Constant else self._parts(node, context, path)

    def _parts(self, node: ast.expr, context: Context, path: Path) -> Iterator[Maker | Edge]:
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            index = path[0] if path else None
            plain = not any(isinstance(each, ast.Starred) for each in node.elts)
            if plain and isinstance(index, int) and -len(node.elts) <= index < len(node.elts):
                yield Edge(node.elts[index], context, path[1:])
            else:
                yield from (Edge(item, context, path[1:]) for item in node.elts)
        elif isinstance(node, ast.Dict):
            for key, item in zip(node.keys, node.values, strict=True):
                if not (path and isinstance(key, ast.Constant) and path[0] not in (None, key.value)):
                    yield Edge(item, context, path[1:] if key is not None else path)
        elif isinstance(node, ast.Subscript):
            if isinstance(node.slice, ast.Slice):
                yield Edge(node.value, context, (None, *path[1:]) if path else ())
            else:
                yield Edge(node.value, context, (same_object.key_of(node.slice), *path))
        elif isinstance(node, ast.IfExp):
            yield Edge(node.body, context, path)
            yield Edge(node.orelse, context, path)
        elif isinstance(node, ast.BoolOp):
            yield from (Edge(arm, context, path) for arm in node.values)
        elif isinstance(node, (ast.NamedExpr, ast.Await, ast.Starred)):
            yield Edge(node.value, context, path)
        elif isinstance(node, _COMPREHENSIONS):
            element = node.value if isinstance(node, ast.DictComp) else node.elt
            yield Edge(element, Context(context.scope, context.stmt, (node, *context.inner)), path[1:])
        elif isinstance(node, ast.Yield) and node.value is not None:
            yield Edge(node.value, context, path[1:])
        elif isinstance(node, ast.YieldFrom):
            yield Edge(node.value, context, path)
        elif self.policy.exact:
            yield UNKNOWN
        elif self.policy.computes and isinstance(node, ast.BinOp):
            yield Edge(node.left, context)
            yield Edge(node.right, context)
        elif self.policy.computes and isinstance(node, ast.UnaryOp):
            yield Edge(node.operand, context)

    # ---- names

    def _name(self, node: ast.Name, context: Context, path: Path) -> Iterator[Maker | Edge]:
        for depth, inner in enumerate(context.inner):
            if isinstance(inner, _COMPREHENSIONS):
                for generator in inner.generators:
                    for target, place in targets_of(generator.target):
                        if isinstance(target, ast.Name) and target.id == node.id:
                            outside = Context(context.scope, context.stmt, context.inner[depth + 1 :])
                            yield from self._iterated(generator.iter, outside, (*place, *path))
                            return
        found = self.values.names.ways(node.id, context)
        if found is None:
            if self.policy.exact:
                yield UNKNOWN  # possibly from a star import
            # Not bound in any visible scope: probably a local of a function in which `global` was forgotten.
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
            yield from self._written_items(node.id, path)

    def _bound(self, binding: Binding, scope: Scope, path: Path) -> Iterable[Maker | Edge]:
        """One step from a binding to the value that it assigns."""
        kind, value = binding.kind, binding.value
        if kind in ("assign", "with") and value is not None:
            return (Edge(value, Context(scope, binding.stmt), (*binding.path, *path)),)
        if kind == "for" and value is not None:
            return self._iterated(value, Context(scope, binding.stmt), (*binding.path, *path))
        if kind == "param":
            if isinstance(binding.stmt, FUNCTIONS):
                return self.passed(binding.stmt, binding.name, scope, path)
            return (UNKNOWN,)
        if kind == "augment" and self.policy.computes and value is not None:
            return (Edge(value, Context(scope, binding.stmt)),)
        return (UNKNOWN,) if self.policy.exact and kind != "annotation" else ()

    def _iterated(self, iterable: ast.expr, context: Context, path: Path) -> Iterator[Maker | Edge]:
        """The items of `iterable`; if they are tuples, `path` selects one element."""
        if isinstance(iterable, ast.Call):
            name = dotted(iterable.func)
            if name == "zip" and path and isinstance(path[0], int) and path[0] < len(iterable.args):
                yield from self._iterated(iterable.args[path[0]], context, path[1:])
                return
            if name == "enumerate" and iterable.args and path:
                if path[0] == 1:
                    yield from self._iterated(iterable.args[0], context, path[1:])
                return
            if isinstance(iterable.func, ast.Attribute) and iterable.func.attr in ("items", "values"):
                rest = path[1:] if iterable.func.attr == "items" else path
                yield Edge(iterable.func.value, context, (None, *rest))
                return
        yield Edge(iterable, context, (None, *path))

    def _written_items(self, name: str, path: Path) -> Iterator[Maker | Edge]:
        """The items that are added to a container later: item assignments, `append` and similar."""
        for use in self.uses.of(name.rpartition(".")[2]):
            holder = self.tree.parent.get(use)
            if isinstance(holder, ast.Subscript) and holder.value is use:
                stmt = self.tree.parent.get(holder)
                key = same_object.key_of(holder.slice)
                if path and None not in (path[0], key) and path[0] != key:
                    continue
                if isinstance(stmt, ast.Assign) and holder in stmt.targets:
                    yield Edge(stmt.value, self.tree.context_of(holder), path[1:])
                elif isinstance(stmt, ast.Tuple) and isinstance(
                    whole := self.tree.parent.get(stmt), ast.Assign
                ):
                    place = stmt.elts.index(holder)
                    yield Edge(whole.value, self.tree.context_of(holder), (place, *path[1:]))
            elif isinstance(holder, ast.Attribute) and holder.attr in (
                "append", "add", "insert", "extend", "update", "setdefault", "appendleft",
            ):  # fmt: skip
                call = self.tree.parent.get(holder)
                if isinstance(call, ast.Call) and call.func is holder:
                    context = self.tree.context_of(call)
                    whole_ = holder.attr in ("extend", "update")
                    for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
                        yield Edge(argument, context, path if whole_ else path[1:])

    # ---- attributes

    def _attribute(self, node: ast.Attribute, context: Context, path: Path) -> Iterator[Maker | Edge]:
        base, policy = node.value, self.policy
        if policy.computes and node.attr in _PLAIN:
            return
        if policy.exact and not policy.itself and node.attr in same_object.WRAPPED:
            yield Edge(base, context, path)
            return
        own = isinstance(base, ast.Name) and base.id in ("self", "cls")
        stores = (
            self._arriving(node, context, self._related(node.attr, context))
            if own
            else self.uses.stores().get(node.attr, [])
        )
        container = False
        stores = [
            each for each in stores if each[0].kind != "def"
        ]  # a method's result is followed from its call
        for binding, scope in stores:
            yield from self._bound(binding, scope, path)
            container = container or _is_container(binding.value)
        if container:
            yield from self._written_items(node.attr, path)
        properties = [each for each in self.uses.methods(node.attr) if is_property(each)]
        for method in properties:
            yield from self.returned(method, path)
        if policy.exact:
            if not (stores or properties) or not (own or self._is_of_the_file(base, context)):
                yield UNKNOWN
        elif own:
            if not stores and not properties and self.values.enclosing_class(context.scope) is not None:
                yield UNKNOWN
        else:
            yield Edge(base, context)

    def _is_of_the_file(self, base: ast.expr, context: Context) -> bool:
        """Whether an object is certainly an instance of one of the file's classes, or one of these classes."""
        if base in self._open:
            return False
        self._open.add(base)
        try:
            if all(value.kind == "class" for value in self.values.evaluate(base, context)):
                return True
            makers = self.makers(base, context)
            return bool(makers) and all(self.class_made(each) is not None for each in makers)
        finally:
            self._open.discard(base)

    def _arriving(
        self, node: ast.Attribute, context: Context, stores: list[tuple[Binding, Scope]]
    ) -> list[tuple[Binding, Scope]]:
        """Of the assignments of `self.x`, those that arrive at a use, if all are in the function of the use."""
        name = dotted(node)
        if name is None or context.stmt is None or any(scope is not context.scope for _, scope in stores):
            return stores
        arrived = reaching(context.scope, name, context.stmt) if len(stores) > 1 else None
        return [each for each in stores if each[0] in arrived] if arrived and None not in arrived else stores

    def _related(self, attribute: str, context: Context) -> list[tuple[Binding, Scope]]:
        """The assignments that `self.x` may refer to: those in this class and in classes with a common base class."""
        own = self.values.enclosing_class(context.scope)
        stores = self.uses.stores().get(attribute, [])
        if own is None:
            return stores
        if attribute not in self._families:
            self._families[attribute] = [(store, self._family(*store)) for store in stores]
        family = self.calls.ancestors(own)
        return [store for store, other in self._families[attribute] if other is None or family & other]

    def _family(self, binding: Binding, scope: Scope) -> frozenset[ast.ClassDef] | None:
        """The class whose attribute is assigned, with its base classes; None if it may be any class."""
        if not binding.name.startswith(("self.", "cls.")) and not scope.is_class:
            return None
        owner = self.values.enclosing_class(scope)
        return self.calls.ancestors(owner) if owner is not None else None


def _is_container(value: ast.expr | None) -> bool:
    kind = type(value)
    if kind is not ast.Call:
        return kind in _CONTAINERS
    func = value.func  # type: ignore[union-attr]
    last = func.attr if type(func) is ast.Attribute else func.id if type(func) is ast.Name else ""
    return last in _MAKE_CONTAINERS and dotted(func) is not None


__all__ = [
    "GRADIENT",
    "IS_ADAPTED",
    "IS_ITSELF",
    "MIGHT_BE",
    "PARAMETERS",
    "SURELY_IS",
    "UNKNOWN",
    "Maker",
    "Makers",
    "Objects",
    "Policy",
]
