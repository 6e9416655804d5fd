"""Finds the places that configure an unused model, according to the analysis of the whole project."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.flow.file import File
from telepathy_lint.sites.site import Site
from telepathy_lint.source.prefilter import find_words


def find(file: File) -> Iterator[Site]:
    """Yield the first literal of each id that is neither compared nor part of a longer expression."""
    tree = file.tree
    for model in file.settings.unused_models:
        for node in tree.visit(tree.lines_of(find_words(tree.text, model.model_id))):
            if (
                isinstance(node, ast.Constant)
                and node.value == model.model_id
                and not isinstance(tree.parent.get(node), (ast.Compare, ast.Expr))
            ):
                context = tree.context_of(node)
                yield Site("entry", file, node, context, ("",), {}, False, model.model_id, indirect=True)
                break
