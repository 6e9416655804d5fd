"""Which object an expression surely is, and what a value was computed from.

`OriginFinder` takes an unseen call to hand its arguments through, which suits questions of the kind "might something
have set it?". Here the opposite is asked: `made_by` follows only what keeps an object the same, and any other call is an
object of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from telepathy_lint.flow.bindings import Binding, dotted, written
from telepathy_lint.flow.evaluate import Evaluator
from telepathy_lint.flow.origins import UNKNOWN, Edge, Origin, OriginFinder, Origins, Path
from telepathy_lint.flow.tree import Context, Scope
from telepathy_lint.flow.uses import Index
from telepathy_lint.knowledge import transformers_names as catalog

#: Methods that give back the object itself, or what a container holds.
_SAME_METHODS = frozenset(
    {"to", "cuda", "cpu", "eval", "train", "half", "float", "bfloat16", "requires_grad_", "tie_weights"}
)
_ITEM_METHODS = frozenset({"items", "values", "get", "pop"})
#: Functions that give back the model they get, wrapped or compiled.
_SAME_FUNCTIONS = frozenset(
    {"DataParallel", "DistributedDataParallel", "DDP", "FSDP", "FullyShardedDataParallel", "deepcopy"}
)
_WRAPPED = frozenset({"module", "_orig_mod"})
#: Expressions that hand on what they are made of; the value of any other is not known.
_FOLLOWED = frozenset({
    ast.Name, ast.Attribute, ast.Call, ast.Tuple, ast.List, ast.Set, ast.Dict, ast.Subscript, ast.IfExp, ast.BoolOp,
    ast.NamedExpr, ast.Await, ast.Starred, ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp, ast.Yield,
    ast.YieldFrom,
})  # fmt: skip


class Identity(OriginFinder):
    """Origins along which an object stays the same object."""

    def made_by(self, node: ast.expr, context: Context) -> Origins:
        """The calls that made the object, UNKNOWN among them where it may come from elsewhere."""
        return self.origins(node, context)

    def bound_to(self, binding: Binding, scope: Scope) -> Origins:
        """What a binding gives its name."""
        found: set[Origin] = set()
        for step in self._bound(binding, scope, ()):
            if isinstance(step, Edge):
                found |= self.origins(step.node, step.context)
            else:
                found.add(step)
        return frozenset(found)

    def _origins(self, node: ast.expr, context: Context, path: Path) -> Iterable[Origin | Edge]:
        if type(node) in _FOLLOWED:
            return super()._origins(node, context, path)
        return () if isinstance(node, ast.Constant) else (UNKNOWN,)

    def _name(self, node: ast.Name, context: Context, path: Path) -> Iterator[Origin | Edge]:
        unbound = True
        for step in super()._name(node, context, path):
            unbound = False
            yield step
        if unbound:  # a star import may bring it
            yield UNKNOWN

    def _bound(self, binding: Binding, scope: Scope, path: Path) -> Iterable[Origin | Edge]:
        if binding.kind in ("assign", "with", "for", "param", "annotation"):
            return super()._bound(binding, scope, path)
        return (UNKNOWN,)

    def _call(self, node: ast.Call, context: Context, path: Path) -> Iterator[Origin | Edge]:
        if self._is_load(node, context):
            yield node
            return
        func = node.func
        if isinstance(func, ast.Attribute) and func.attr in _SAME_METHODS | _ITEM_METHODS:
            own = (
                isinstance(func.value, ast.Name)
                and func.value.id == "self"
                and self._own_method(node, context)
            )
            if not own:
                yield Edge(func.value, context, () if func.attr in _ITEM_METHODS else path)
                return
        last = catalog.last(dotted(func) or "")
        if (last in _SAME_FUNCTIONS and node.args) or (dotted(func) == "torch.compile" and node.args):
            yield Edge(node.args[0], context)
            return
        if last == "prepare" and isinstance(func, ast.Attribute) and not node.keywords:
            # accelerator.prepare hands each object back in its place.
            index = path[0] if path else 0 if len(node.args) == 1 else None
            if index is not None and 0 <= index < len(node.args):
                yield Edge(node.args[index], context)
                return
        if isinstance(func, ast.Name):
            functions = list(self.called(node, context))
            for function in functions:
                yield from self.returned(function, path)
            if functions:
                return
        elif isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id == "self":
            functions = list(self.called(node, context))
            if len(functions) == 1:
                yield from self.returned(functions[0], path)
                return
        yield node

    def _own_method(self, node: ast.Call, context: Context) -> bool:
        """Whether a `self.get(...)` runs a method that the class, or one it derives from, defines in this file."""
        assert isinstance(node.func, ast.Attribute)
        owner = self.evaluator.enclosing_class(context.scope)
        family = self.ancestors(owner) if owner is not None else ()
        return any(node.func.attr in self.tree.scope_at(each).bindings for each in family)

    def _attribute(self, node: ast.Attribute, context: Context, path: Path) -> Iterator[Origin | Edge]:
        if node.attr in _WRAPPED:
            yield Edge(node.value, context)
            return
        known = False
        base = node.value
        if isinstance(base, ast.Name) and base.id in ("self", "cls"):
            stores = self._related(node.attr, context)
        else:
            stores = self.index.stores().get(node.attr, [])
        for binding, scope in stores:
            known = True
            yield from self._bound(binding, scope, path)
        if not known:
            yield UNKNOWN


class Computation(OriginFinder):
    """What a value was computed from, as far as gradients flow: the calls behind it."""

    _CUT = frozenset({"item", "detach", "tolist", "numpy", "argmax", "no_grad", "size", "numel"})
    _PLAIN = frozenset({"shape", "dtype", "device", "ndim", "data"})

    def __init__(self, index: Index, evaluator: Evaluator) -> None:
        super().__init__(index, evaluator)
        self._stopping: dict[ast.expr, bool] = {}

    def calls_behind(self, node: ast.expr, context: Context) -> Origins:
        """Every call whose result, or whose arguments, went into the value with gradients kept."""
        return self.origins(node, context)

    def _origins(self, node: ast.expr, context: Context, path: Path) -> Iterable[Origin | Edge]:
        if isinstance(node, ast.BinOp):
            return Edge(node.left, context), Edge(node.right, context)
        if isinstance(node, ast.UnaryOp):
            return (Edge(node.operand, context),)
        if isinstance(node, ast.Attribute) and node.attr in self._PLAIN:
            return ()
        return super()._origins(node, context, path)

    def _bound(self, binding: Binding, scope: Scope, path: Path) -> Iterable[Origin | Edge]:
        if binding.kind == "augment" and binding.value is not None:
            return (Edge(binding.value, Context(scope, binding.stmt)),)
        return super()._bound(binding, scope, path)

    def _call(self, node: ast.Call, context: Context, path: Path) -> Iterator[Origin | Edge]:
        func = node.func
        if isinstance(func, ast.Attribute) and func.attr in self._CUT:
            return
        if self.keeps_no_gradients(node):
            return
        yield node
        functions = list(self.called(node, context))
        for function in functions:
            if not any("no_grad" in ast.unparse(each) for each in function.decorator_list):
                yield from self.returned(function, path)
        if isinstance(func, ast.Attribute):
            yield Edge(func.value, context)
        if not functions:
            for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
                yield Edge(argument, context)

    def keeps_no_gradients(self, node: ast.AST) -> bool:
        """Whether the node stands under `torch.no_grad()` or its like, in its own function."""
        if node not in self.tree.parent:
            self.tree.context_of(node)  # its parents are known from here on
        current: ast.AST | None = node
        while current is not None:
            if isinstance(current, (ast.With, ast.AsyncWith)):
                for item in current.items:
                    if self._stops_gradients(item.context_expr):
                        return True
            elif isinstance(current, (ast.FunctionDef, ast.AsyncFunctionDef)):
                return any(map(self._stops_gradients, current.decorator_list))
            current = self.tree.parent.get(current)
        return False

    def _stops_gradients(self, node: ast.expr) -> bool:
        """Whether a context or a decorator is one under which no gradients are kept."""
        known = self._stopping.get(node)
        if known is None:
            bare = isinstance(node, ast.Call) and not node.args and not node.keywords
            text = written(node.func if bare else node)  # type: ignore[attr-defined]
            known = self._stopping[node] = any(word in text for word in NO_GRADIENTS)
        return known


#: Contexts and decorators under which nothing is kept for backward (`set_grad_enabled` may).
NO_GRADIENTS = ("no_grad", "inference_mode", "set_grad_enabled")

__all__ = ["Computation", "Identity"]
