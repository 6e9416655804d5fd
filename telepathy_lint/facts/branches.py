"""Decides whether a load and a use of its object are in branches for different names, as in `if "qwen" in name:`."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from telepathy_lint.sites import Site


def is_of_other_names(site: Site, offset: int) -> bool:
    """Whether code at an offset only runs for names, of models or tasks, for which the load may not have run.

    Such code compares with texts that no condition around the load compares with.
    """
    tree, source = site.context.scope.tree, site.source
    found = [
        node
        for node in tree.visit(tree.lines_of([offset]))
        if isinstance(node, ast.Call) and source.start_of(node) <= offset + 1 <= source.end_of(node)
    ]
    if not found:
        return False
    asked = set(_names_around(found[0], tree.parent))
    return bool(asked) and not asked <= set(_names_around(site.node, tree.parent))


def _names_around(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> Iterator[str]:
    """The texts with which the conditions around a node compare, where they must be true."""
    while (above := parents.get(node)) is not None:
        if isinstance(above, ast.If) and node in above.body:
            for each in ast.walk(above.test):
                if isinstance(each, ast.Compare) and isinstance(each.ops[0], (ast.In, ast.Eq)):
                    sides = (each.left, *each.comparators)
                    yield from (
                        one.value.lower()
                        for one in sides
                        if isinstance(one, ast.Constant) and isinstance(one.value, str)
                    )
        node = above
