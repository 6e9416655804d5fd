"""`.to(...)` and `.cuda()` on a model that the file loads with a device map."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property

from telepathy_lint.flow.arguments import Arguments
from telepathy_lint.flow.bindings import Binding, bindings_of, walruses
from telepathy_lint.flow.evaluate import Evaluator, Value
from telepathy_lint.flow.tree import Context, Tree
from telepathy_lint.sites.site import Argument, Site, merged_values
from telepathy_lint.source.prefilter import CodeWords

_MOVES = ("to", "cuda")
#: Methods of a module that give the module itself.
_SAME = frozenset({"eval", "train", "requires_grad_", "half", "bfloat16", "float"})


def moves(
    sites: list[Site], tree: Tree, words: CodeWords, evaluator: Evaluator, arguments: Arguments
) -> Iterator[Site]:
    """Sites of the moves; each has the map of the loads it follows as its `device_map`.

    Only where every object that the receiver can be is one of these loads: what a function hands back, a part of the
    model or a wrapped model is not followed.
    """
    mapped: dict[ast.AST, Site] = {site.call: site for site in sites if _map_of(site) is not None}
    if not mapped:
        return
    follows = _Follows(tree, words, mapped)
    for node in tree.visit(tree.lines_of(words.find(*(f".{name}(" for name in _MOVES), whole=False))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr not in _MOVES or not follows.may_be_loaded(node.func.value):
            continue
        context = tree.context_of(node)
        loads = [mapped.get(call) for call in _made_by(node.func.value, context, evaluator)]
        if not loads or None in loads:
            continue
        given, opaque = arguments.read(node, context, ("device", "dtype"))
        given_maps = [found for load in loads if load is not None and (found := _map_of(load)) is not None]
        maps = merged_values(found.values for found in given_maps)
        optional = any(found.optional for found in given_maps)
        given["device_map"] = Argument("device_map", maps, "wrapper", node, optional)
        first = next(load for load in loads if load is not None)
        yield first._replace(
            kind="move",
            call=node,
            context=context,
            classes=(f"{first.class_name}.{node.func.attr}",),
            arguments=given,
            opaque=opaque,
            generative=False,
            indirect=True,
        )


def _map_of(site: Site) -> Argument | None:
    """The device map that a load gets; the companion loader's own choice where its call gives none."""
    if site.kind != "model":
        return None
    given = site.arguments.get("device_map")
    spread = any(keyword.arg is None for keyword in site.call.keywords)
    if given is not None or not site.loader or spread:
        return given
    default = ast.Constant("resolve")
    return Argument("device_map", (Value("const", "resolve", default, site.context),), "wrapper", site.call)


class _Follows:
    """Whether what is moved may be a load, asked before anything is followed: mostly it is a tensor."""

    def __init__(self, tree: Tree, words: CodeWords, loads: dict[ast.AST, Site]) -> None:
        self.tree = tree
        self.words = words
        self.loads = loads
        self.statements = {load.context.stmt for load in loads.values()}
        self._known: dict[str, bool] = {}

    def may_be_loaded(self, node: ast.expr) -> bool:
        """No where a call makes something else, or a name is never given a load or handed on from another name."""
        if isinstance(node, ast.Call):
            func = node.func
            called = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", None)
            return node in self.loads or called in _SAME or called in ("get", "getattr", None)
        if not isinstance(node, ast.Name):
            return True
        if node.id not in self._known:
            self._known[node.id] = any(map(self._may_load, self._bindings(node.id)))
        return self._known[node.id]

    def _bindings(self, name: str) -> Iterator[Binding]:
        for stmt in self.tree.statements(self.tree.lines_of(self.words.find(name))):
            for bound, binding in bindings_of(stmt):
                if bound == name:
                    yield binding
        yield from self._walruses.get(name, ())

    @cached_property
    def _walruses(self) -> dict[str, list[Binding]]:
        found: dict[str, list[Binding]] = {}
        for stmt in self.tree.statements(self.tree.walruses):
            for name, binding in walruses(stmt):
                found.setdefault(name, []).append(binding)
        return found

    def _may_load(self, binding: Binding) -> bool:
        value = binding.value
        if isinstance(value, ast.Call):
            same = isinstance(value.func, ast.Attribute) and value.func.attr in _SAME
            return same or binding.stmt in self.statements
        return value is not None or binding.stmt in self.statements


def _made_by(node: ast.expr, context: Context, evaluator: Evaluator) -> Iterator[ast.AST]:
    """The calls that make what an expression can be."""
    for value in evaluator.evaluate(node, context):
        call = value.node
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr in _SAME
            and call.func.value is not node
        ):
            yield from _made_by(call.func.value, value.context, evaluator)
        else:
            yield call
