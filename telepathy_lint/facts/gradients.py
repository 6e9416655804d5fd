"""Finds models in evaluation mode whose parameters collect unused gradients.

A backward pass through a model allocates a gradient for each parameter that requires one; after a load, all
do. They take as much memory as the weights until the process ends. `eval()` does not change that.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.file import File
from telepathy_lint.flow.makers import PARTS, are_open
from telepathy_lint.flow.objects import GRADIENT, PARAMETERS, SURELY_IS, Maker, Makers
from telepathy_lint.flow.tree import Context
from telepathy_lint.knowledge import transformers_names as catalog
from telepathy_lint.sites.site import Site

#: Names of classes and functions that make an optimizer: what they contain, how they end, and whole names.
_OPTIMIZER_STEMS = ("Adam", "Lion")
_OPTIMIZER_ENDS = ("SGD", "Adafactor", "RMSprop", "Adagrad", "Muon", "LBFGS", "Lamb")
_MAKE_OPTIMIZERS = ("create_optimizer", "get_optimizer", "make_optimizer", "build_optimizer")
_OPTIMIZERS = ("Adam", "SGD", "Optim", "optim", "Adafactor")
#: Expressions that may return an object in them.
_HANDS_ON = (
    ast.Name, ast.Attribute, ast.Call, ast.IfExp, ast.BoolOp, ast.Subscript, ast.Tuple, ast.List, ast.NamedExpr, ast.Await,
)  # fmt: skip
#: Functions that read a model and do not store it.
_LOOKERS = frozenset(
    {"print", "len", "isinstance", "hasattr", "getattr", "id", "type", "next", "str", "sum", "del"}
)


def may_train_through(file: File) -> bool:
    """Whether the file has an evaluation mode, a backward pass and an optimizer; a cheap test."""
    words = file.words
    return words.has("backward") and words.has("eval") and words.has(*_OPTIMIZERS, whole=False)


class Gradients:
    """Finds, for the loads in one file, the call that allocates unused gradients.

    Facts about all models in the file are collected once, when the first load needs them.
    """

    def __init__(self, file: File) -> None:
        self.file = file
        self.tree = file.tree
        self.words = file.words
        self.objects = file.objects

    def trained_through(self, site: Site) -> ast.Call | None:
        """The forward call of a model in evaluation mode that is not frozen; None if anything about it is uncertain."""
        if site.unseen or site.indirect or self._is_quantized(site):
            return None
        load = site.call
        # Cheap tests first: most models are frozen, or never in evaluation mode.
        if load not in self._evaluated or load in self._trained or are_open(self._trained):
            return None
        if load in self._freed or are_open(self._freed):
            return None
        trained = self._optimized
        if trained is None or load in trained:
            return None
        forward = [call for call, called in self._forward if called == {load}]
        for call in forward:
            calls = self._inputs(call)
            if calls & trained or any(
                isinstance(each, ast.Call) and self._called(each) & trained for each in calls
            ):
                return None if self._is_handed_over(load) else call
        return None

    # ---- the parts of the answer

    def _is_quantized(self, site: Site) -> bool:
        return site.argument("load_in_4bit", "load_in_8bit", "quantization_config") is not None

    @cached_property
    def _evaluated(self) -> Makers:
        """The objects on which `eval()` is called."""
        return frozenset().union(*self._owners_of_calls("eval"))

    @cached_property
    def _trained(self) -> Makers:
        """The objects on which `train()` is called."""
        return frozenset().union(*self._owners_of_calls("train"))

    def _owners_of_calls(self, method: str) -> Iterator[Makers]:
        for use in self.file.uses.of(method):
            call = self.tree.parent.get(use)
            if isinstance(use, ast.Attribute) and isinstance(call, ast.Call) and call.func is use:
                yield self._of(use.value)

    @cached_property
    def _forward(self) -> list[tuple[ast.Call, Makers]]:
        """The calls that lead to a `backward`, in reading order, each with the called object."""
        found: dict[ast.Call, None] = {}
        for use in self.file.uses.of("backward"):
            call = self.tree.parent.get(use)
            if not isinstance(use, ast.Attribute) or not isinstance(call, ast.Call) or call.func is not use:
                continue
            if any(keyword.arg == "inputs" for keyword in call.keywords):
                continue  # gradients are only computed for the named inputs
            context = self.tree.context_of(call)
            for node in [use.value, *call.args]:
                for each in self.objects.makers(node, context, GRADIENT):
                    if isinstance(each, ast.Call) and isinstance(each.func, (ast.Name, ast.Attribute)):
                        found[each] = None
        ordered = sorted(found, key=lambda each: (each.lineno, each.col_offset))
        return [(call, self._called(call)) for call in ordered]

    def _inputs(self, call: ast.Call) -> Makers:
        """The makers of the inputs of a forward pass."""
        context = self.tree.context_of(call)
        given = [*call.args, *(keyword.value for keyword in call.keywords)]
        return frozenset().union(*(self.objects.makers(node, context, GRADIENT) for node in given))

    @cached_property
    def _freed(self) -> Makers:
        """The objects whose `requires_grad` may be set, or whose gradients are read."""
        found: set[Maker] = set()
        for word in ("requires_grad", "requires_grad_", "grad"):
            for use in self.file.uses.of(word):
                if not isinstance(use, ast.Attribute) or (
                    word == "requires_grad" and not isinstance(use.ctx, ast.Store)
                ):
                    continue
                if word == "grad" and dotted(use) in ("torch.grad", "autograd.grad", "torch.autograd.grad"):
                    continue
                found |= self._owners(use.value)
        return frozenset(found)

    def _owners(self, node: ast.expr, depth: int = 0) -> Makers:
        """The objects whose parameters or parts an expression may be."""
        found: set[Maker] = set()
        for each in self._of(node):
            if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and depth < 4:
                found |= self._owners(each.func.value, depth + 1)
            found.add(each)
        return frozenset(found)

    def _is_handed_over(self, load: ast.Call) -> bool:
        """Whether the model itself is passed to unknown code, or stored in another object."""
        if load in self._kept:
            return True
        for name in self._names.get(load, ()):
            for use in self.file.uses.of(name):
                child, holder = use, self.tree.parent.get(use)
                while isinstance(holder, (ast.keyword, ast.Tuple, ast.List, ast.Dict, ast.Starred)):
                    child, holder = holder, self.tree.parent.get(holder)
                if not isinstance(holder, ast.Call) or child is holder.func or not isinstance(use, ast.expr):
                    continue
                if load in self._of(use) and not self._only_looks(holder):
                    return True
        return False

    @cached_property
    def _kept(self) -> Makers:
        """The objects that are stored in attributes."""
        found: set[Maker] = set()
        for entries in self.file.uses.stores().values():
            for binding, scope in entries:
                if binding.kind == "assign" and isinstance(binding.value, _HANDS_ON):
                    found |= self.objects.makers(binding.value, Context(scope, binding.stmt), SURELY_IS)
        return frozenset(found)

    @cached_property
    def _names(self) -> dict[Maker, list[str]]:
        """The names of each object, in any scope."""
        found: dict[Maker, dict[str, None]] = {}
        for scope in self.tree.all_scopes():
            for name, bindings in scope.bindings.items():
                for binding in bindings if "." not in name else ():
                    if binding.kind == "param" or isinstance(binding.value, _HANDS_ON):
                        for origin in self.objects.bound(binding, scope, SURELY_IS):
                            found.setdefault(origin, {})[name] = None
        return {origin: list(names) for origin, names in found.items()}

    def _only_looks(self, call: ast.Call) -> bool:
        name = dotted(call.func) or ""
        if name in _LOOKERS or name == "torch.compile":
            return True
        return isinstance(call.func, ast.Name) and bool(
            list(self.file.calls.called(call, self.tree.context_of(call)))
        )

    @cached_property
    def _optimized(self) -> Makers | None:
        """The objects whose parameters the file's optimizers get; None if unknown."""
        found: set[Maker] = set()
        for call in self._calls_of_optimizers():
            context = self.tree.context_of(call)
            given = call.args[0] if call.args else None
            given = given or next((k.value for k in call.keywords if k.arg in ("params", "model")), None)
            if given is None:
                return None
            owners: set[Maker] = set()
            for each in self.objects.makers(given, context, PARAMETERS):
                if not isinstance(each, ast.Call):
                    return None
                if isinstance(each, ast.Call) and is_parameters(each):
                    assert isinstance(each.func, ast.Attribute)
                    owners |= self._of(each.func.value)
                elif isinstance(each, ast.Call) and catalog.last(dotted(each.func) or "") == "Parameter":
                    owners.add(each)
            if not owners or are_open(frozenset(owners)):
                return None
            found |= owners
        return frozenset(found) if found else None

    def _calls_of_optimizers(self) -> Iterator[ast.Call]:
        for node in self.tree.visit(self.tree.lines_of(self.words.find(*_OPTIMIZERS, whole=False))):
            if isinstance(node, ast.Call) and _makes_optimizer(catalog.last(dotted(node.func) or "")):
                yield node

    def _called(self, call: ast.Call) -> Makers:
        """The module whose forward pass a call runs."""
        func = call.func
        return self._of(func.value if isinstance(func, ast.Attribute) and func.attr == "forward" else func)

    def _of(self, node: ast.expr) -> Makers:
        return self.objects.makers(node, policy=SURELY_IS)


def _makes_optimizer(name: str) -> bool:
    return (
        any(stem in name for stem in _OPTIMIZER_STEMS)
        or name.endswith(_OPTIMIZER_ENDS)
        or name in _MAKE_OPTIMIZERS
    )


def is_parameters(call: ast.Call) -> bool:
    """Whether a call returns the parameters or parts of its object."""
    return isinstance(call.func, ast.Attribute) and call.func.attr in PARTS
