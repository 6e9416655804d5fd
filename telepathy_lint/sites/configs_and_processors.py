"""Finds loads of configs, generation configs and processors. They load no weights, so they are separate kinds."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.flow.arguments import single_string
from telepathy_lint.flow.file import File
from telepathy_lint.knowledge import transformers_names as catalog
from telepathy_lint.sites.direct_loads import IDENTITY, PROCESSOR, Loads
from telepathy_lint.sites.site import Kind, Site


def find(file: File) -> Iterator[Site]:
    """Yield sites for `X.from_pretrained(...)` where X is a transformers class without weights, and not a load."""
    found = file.fact(Loads)
    callees = found.callees
    for call in found.direct.others:
        if call in file.objects.loading:
            continue
        context = file.tree.context_of(call)
        if found.loads_processor(call):
            yield _site(file, call, "processor", (PROCESSOR,), loader=True)
            continue
        assert isinstance(call.func, ast.Attribute)
        values = list(callees.classes_of(file.values.evaluate(call.func.value, context)))
        if not all(value.kind == "symbol" for value in values):
            continue
        classes = tuple(dict.fromkeys(str(value.data) for value in values))
        kinds = {kind_of(name) for name in classes}
        kind = kinds.pop() if len(kinds) == 1 else None
        if kind is None:
            continue
        yield _site(file, call, kind, classes)


def _site(file: File, call: ast.Call, kind: Kind, classes: tuple[str, ...], loader: bool = False) -> Site:
    context = file.tree.context_of(call)
    given, opaque = file.arguments.read(call, context, (IDENTITY,))
    identity = given.get(IDENTITY) or (given.get("model_id") if loader else None)
    model_id = single_string(identity.values) if identity is not None else None
    return Site(kind, file, call, context, classes, given, opaque, model_id, loader=loader, spreads=opaque)


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
