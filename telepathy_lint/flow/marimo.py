"""Supports marimo notebooks: each cell is a function whose parameters are names that other cells bind."""

from __future__ import annotations

import ast

from telepathy_lint.flow.tree import Scope, Tree


def is_cell(node: ast.AST) -> bool:
    """Whether a function is a cell, decorated with `@app.cell`."""
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and any(
        isinstance(target := each.func if isinstance(each, ast.Call) else each, ast.Attribute)
        and target.attr == "cell"
        for each in node.decorator_list
    )


def cells_of(tree: Tree) -> list[Scope]:
    """The scopes of a notebook's cells; empty for other files."""
    if "marimo" not in tree.text:
        return []
    tree.top.read()
    return [tree.scope_at(each) for each in tree.top.definitions if is_cell(each)]
