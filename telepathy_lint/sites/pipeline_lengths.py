"""Calls of pipelines that the file makes, with a `max_length`."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.flow.file import File
from telepathy_lint.sites.loads import loads_of
from telepathy_lint.sites.site import Site


def find(file: File) -> Iterator[Site]:
    tree, words = file.tree, file.words
    if not words.has("pipeline") or not words.has("max_length"):
        return
    for call in tree.visit(tree.lines_of(words.find("max_length"))):
        if not isinstance(call, ast.Call) or not any(each.arg == "max_length" for each in call.keywords):
            continue
        if isinstance(call.func, (ast.Name, ast.Attribute)):
            context = tree.context_of(call)
            about = loads_of(file, call.func, context, "pipeline")
            if about:
                arguments, opaque = file.arguments.read(call, context, ())
                classes = ("transformers.pipeline",)
                yield Site(
                    "pipeline_call", file, call, context, classes, arguments, opaque, None, about=about
                )
