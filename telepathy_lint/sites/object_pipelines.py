"""Finds `pipeline(...)` calls that certainly get a loaded model. They accept and ignore the arguments of loads."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.file import File
from telepathy_lint.flow.objects import SURELY_IS
from telepathy_lint.knowledge import transformers_names as catalog
from telepathy_lint.sites.loads import loads
from telepathy_lint.sites.pipelines import POSITIONS
from telepathy_lint.sites.site import Site

#: Methods and functions that return a model, of any class.
_GIVE_MODELS = frozenset({"from_pretrained", "from_quantized", "get_peft_model", "load_model"})


def find(file: File) -> Iterator[Site]:
    """Yield the pipelines with a loaded model; `about` are the model's loads if all are known."""
    tree, words = file.tree, file.words
    if not words.has("pipeline"):
        return
    known: dict[ast.AST, Site] = {site.node: site for site in file.fact(loads)}
    names = ("pipeline", *(name for name, symbol in file.uses.imports() if catalog.is_pipeline(symbol)))
    for node in tree.visit(tree.lines_of(words.find(*dict.fromkeys(names)))):
        if not isinstance(node, ast.Call) or node in known:
            continue
        if not (dotted(node.func) or "").endswith(names):
            continue
        context = tree.context_of(node)
        values = file.values.evaluate(node.func, context)
        if not all(value.kind == "symbol" and catalog.is_pipeline(str(value.data)) for value in values):
            continue
        read, opaque = file.arguments.read(node, context, POSITIONS)
        model = read.get("model")
        given = getattr(model.node, "value", model.node) if model is not None else None
        if not isinstance(given, (ast.Name, ast.Attribute, ast.Call)):
            continue
        if model is not None and any(
            value.kind in ("const", "text") and not value.is_none for value in model.values
        ):
            continue  # an id in some of the cases
        made_by = file.objects.makers(given, context, SURELY_IS)
        if not made_by or not all(
            isinstance(each, ast.Call) and catalog.last(dotted(each.func) or "") in _GIVE_MODELS
            for each in made_by
        ):
            continue
        about = tuple(known[each] for each in made_by if each in known)
        if any(site.kind != "model" for site in about):
            continue
        yield Site(
            kind="object_pipeline",
            file=file,
            node=node,
            context=context,
            classes=("transformers.pipeline",),
            arguments=read,
            opaque=opaque,
            model_id=about[0].model_id if len(about) == 1 else None,
            about=about if len(about) == len(made_by) else (),
        )
