"""Loads of what comes with a model: configs, generation configs, processors. No weights, so kinds of their own."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from telepathy_lint.flow.arguments import Arguments
from telepathy_lint.flow.tree import Tree
from telepathy_lint.knowledge import transformers_names as catalog
from telepathy_lint.sites.loaded_classes import Callees
from telepathy_lint.sites.site import Kind, Site, single_string

_IDENTITY = "pretrained_model_name_or_path"


def companions(
    calls: Iterable[ast.Call], tree: Tree, callees: Callees, arguments: Arguments
) -> Iterator[Site]:
    """Sites of the `X.from_pretrained(...)` among the calls whose X is a class of transformers without weights."""
    for call in calls:
        assert isinstance(call.func, ast.Attribute)
        context = tree.context_of(call)
        values = list(callees.classes_of(callees.evaluator.evaluate(call.func.value, context)))
        if not all(value.kind == "symbol" for value in values):
            continue
        classes = tuple(dict.fromkeys(str(value.data) for value in values))
        kinds = {kind_of(name) for name in classes}
        kind = kinds.pop() if len(kinds) == 1 else None
        if kind is None:
            continue
        given, opaque = arguments.read(call, context, (_IDENTITY,))
        identity = given.get(_IDENTITY)
        model_id = single_string(identity.values) if identity is not None else None
        yield Site(kind, tree.source, call, context, classes, given, opaque, model_id)


def kind_of(dotted: str) -> Kind | None:
    """What a class of transformers loads, if it loads no weights and is no tokenizer."""
    name = catalog.last(dotted)
    if not catalog.in_transformers(dotted):
        return None
    if name == "GenerationConfig":
        return "generation_config"
    if name.endswith("Config"):
        return "config"
    if name.endswith(("Processor", "ProcessorFast", "ProcessorPil", "FeatureExtractor")):
        return "processor"
    return None
