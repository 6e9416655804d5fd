"""The names that a file gives to what it imports of NumPy and torch, read as the names that evidence is looked for by."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from telepathy_lint.flow.tree import Tree
from telepathy_lint.source.occurs import places

#: Kinds of evidence that are known by what a module of these libraries is called.
KINDS = frozenset({"numpy", "modules", "products", "floats-only"})
_LIBRARIES = r"(?:numpy|torch)(?:\.|$)"
#: Names that everybody uses, and which the patterns know.
_USUAL = {"np": "numpy", "nn": "torch.nn", "F": "torch.nn.functional"}


def own_names(tree: Tree) -> Mapping[str, str]:
    """Name -> what it is, of the imports whose name says less."""
    found: dict[str, str] = {}
    lines = tree.lines_of(places(r"\bimport\b", tree.text))
    for node in tree.visit(lines):
        if isinstance(node, ast.Import):
            found |= {one.asname: one.name for one in node.names if one.asname is not None}
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            found |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    return {
        name: full
        for name, full in found.items()
        if re.match(_LIBRARIES, full) and _USUAL.get(name) != full and name != full
    }


def read_as_usual(node: ast.AST, names: Mapping[str, str]) -> ast.AST:
    """The expression with full names, or itself where it has none of these."""
    if not isinstance(node, (ast.Call, ast.BinOp)):
        return node
    if not any(isinstance(each, ast.Name) and each.id in names for each in ast.walk(node)):
        return node
    import copy  # needed for few files

    return _Full(names).visit(copy.deepcopy(node))  # type: ignore[no-any-return]


class _Full(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        full = self.names.get(node.id)
        return node if full is None else ast.copy_location(ast.parse(full, mode="eval").body, node)
