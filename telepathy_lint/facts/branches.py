"""Decides whether a load and a use of its object are in branches for different names, as in `if "qwen" in name:`."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.calls import calls_at
from telepathy_lint.sites import Site


def is_of_other_names(site: Site, offset: int) -> bool:
    """Whether code at an offset only runs for names of models for which the load may not have run.

    Conditions around both compare one variable with texts, as `if "qwen" in name`, and the load's with other texts.
    """
    tree = site.context.scope.tree
    calls = calls_at(tree, offset)
    loaded = set(_compared_around(site.node, tree.parent)) if calls else set()
    compared = {variable for variable, _ in loaded}
    return bool(loaded) and any(
        each[0] in compared and each not in loaded for each in _compared_around(calls[0], tree.parent)
    )


def _compared_around(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> Iterator[tuple[str, str]]:
    """The variables, by their last names, that conditions around a node compare, and the texts, in lower case, that they must have or contain."""
    while (above := parents.get(node)) is not None:
        if isinstance(above, ast.If) and node in above.body:
            for each in must_hold(above.test):
                if isinstance(each, ast.Compare) and isinstance(each.ops[0], (ast.In, ast.Eq)):
                    sides = (each.left, each.comparators[0])
                    names = [name for one in sides if (name := _variable(one))]
                    texts = [one.value for one in sides if isinstance(one, ast.Constant)]
                    yield from ((name, str(text).lower()) for name in names for text in texts)
        node = above


def must_hold(test: ast.expr) -> Iterator[ast.expr]:
    """The parts of a condition that all have to hold: those that `and` joins."""
    for each in test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else ():
        yield from must_hold(each)
    if not isinstance(test, ast.BoolOp):
        yield test


def _variable(node: ast.expr) -> str:
    """The last name of `name`, `self.name` and `self.name.lower()`; empty for others."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
        node = node.func.value
    return (dotted(node) or "").rpartition(".")[2]
