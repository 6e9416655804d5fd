"""Finds assignments to the environment variables that set the location of Hugging Face's files."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.flow.arguments import Argument, merged_values
from telepathy_lint.flow.evaluate import Evaluator
from telepathy_lint.flow.file import File
from telepathy_lint.flow.tree import Tree
from telepathy_lint.sites.site import Site
from telepathy_lint.source.prefilter import may_set_cache


def find(file: File) -> Iterator[Site]:
    """Yield sites for `os.environ[NAME] = ...` and `os.environ.update(...)`; each variable is an argument of the site.

    `setdefault` is not included, because it does not override the user's value.
    """
    if not may_set_cache(file.tree.text):
        return
    tree, evaluator = file.tree, file.values
    for node in tree.visit(tree.lines_of(file.words.find("environ"))):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
            if not isinstance(target, ast.Subscript) or not _is_environ(target.value, tree, evaluator):
                continue
            context = tree.context_of(node)
            keys = evaluator.evaluate(target.slice, context)
            if len(keys) != 1 or not isinstance(keys[0].data, str):
                continue
            name, values = keys[0].data, evaluator.evaluate(node.value, context)
            given = {name: Argument(name, values, "positional", node.value)}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr != "update" or not node.args:
                continue
            if not _is_environ(node.func.value, tree, evaluator):
                continue
            context = tree.context_of(node)
            dicts = evaluator.dicts
            given = {
                name: Argument(name, merged_values([dicts.values(change)]), "spread", node.args[0])
                for name, change in dicts.content(node.args[0], context).changes.items()
                if isinstance(name, str) and not change.absent
            }
        else:
            continue
        yield Site("path", file, node, context, ("os.environ",), given, opaque=False, model_id=None)


def _is_environ(node: ast.expr, tree: Tree, evaluator: Evaluator) -> bool:
    values = evaluator.evaluate(node, tree.context_of(node))
    return all(value.kind == "symbol" and value.data == "os.environ" for value in values)
