"""`pipeline(...)` calls with a task that transformers 5 no longer has, whatever model they get."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.file import File
from telepathy_lint.knowledge import transformers_names as catalog
from telepathy_lint.knowledge.load_arguments import REMOVED_TASKS
from telepathy_lint.sites.pipelines import POSITIONS
from telepathy_lint.sites.site import Site


def find(file: File) -> Iterator[Site]:
    tree, words = file.tree, file.words
    if not words.has("pipeline") or not any(task in tree.text for task in REMOVED_TASKS):
        return
    names = ("pipeline", *(name for name, symbol in file.uses.imports() if catalog.is_pipeline(symbol)))
    for node in tree.visit(tree.lines_of(words.find(*dict.fromkeys(names)))):
        if not isinstance(node, ast.Call) or not (dotted(node.func) or "").endswith(names):
            continue
        context = tree.context_of(node)
        values = file.values.evaluate(node.func, context)
        if not all(value.kind == "symbol" and catalog.is_pipeline(str(value.data)) for value in values):
            continue
        arguments, opaque = file.arguments.read(node, context, POSITIONS)
        yield Site("pipeline_task", file, node, context, ("transformers.pipeline",), arguments, opaque, None)
