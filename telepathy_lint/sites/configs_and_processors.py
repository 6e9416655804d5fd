"""Finds loads of configs, generation configs and processors. They load no weights, so they are separate kinds."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.flow.arguments import single_string
from telepathy_lint.flow.file import File
from telepathy_lint.knowledge import transformers_names as catalog
from telepathy_lint.sites.direct_loads import Loads
from telepathy_lint.sites.site import Kind, Site

_IDENTITY = "pretrained_model_name_or_path"


def find(file: File) -> Iterator[Site]:
    """Yield sites for `X.from_pretrained(...)` where X is a transformers class without weights, and not a load."""
    found = file.fact(Loads)
    callees = found.callees
    for call in found.direct.others:
        if call in file.objects.loading:
            continue
        assert isinstance(call.func, ast.Attribute)
        context = file.tree.context_of(call)
        values = list(callees.classes_of(file.values.evaluate(call.func.value, context)))
        if not all(value.kind == "symbol" for value in values):
            continue
        classes = tuple(dict.fromkeys(str(value.data) for value in values))
        kinds = {kind_of(name) for name in classes}
        kind = kinds.pop() if len(kinds) == 1 else None
        if kind is None:
            continue
        given, opaque = file.arguments.read(call, context, (_IDENTITY,))
        identity = given.get(_IDENTITY)
        model_id = single_string(identity.values) if identity is not None else None
        yield Site(kind, file, call, context, classes, given, opaque, model_id)


def kind_of(dotted: str) -> Kind | None:
    """The kind of site for a class, if it loads no weights and is not a tokenizer."""
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
