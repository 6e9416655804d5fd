"""Finds models that one job holds in memory at the same time: loads in one function, or at the top level of a script.

The loads have different variables, none is deleted in between, and they are not in alternative branches.
"""

from __future__ import annotations

import ast
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.tree import Tree
from telepathy_lint.sites import Site
from telepathy_lint.source.prefilter import CodeWords

#: A function with more loads is probably a test or generated.
_MOST = 24
#: Statements with alternative blocks.
_BRANCHING = (ast.If, ast.Try, ast.Match)


@dataclass(frozen=True, slots=True)
class _Held:
    """A load, and the variable that holds its result."""

    site: Site
    statement: ast.stmt
    name: str | None
    #: The enclosing branches: the statement, and which of its blocks.
    branches: tuple[tuple[ast.AST, str], ...]


def groups(sites: Iterable[Site], tree: Tree, words: CodeWords) -> Iterator[tuple[Site, ...]]:
    """Yield the largest sets of two or more loads that are held together."""
    by_scope: dict[ast.AST, list[_Held]] = defaultdict(list)
    for site in sites:
        if site.kind in ("model", "pipeline") and (held := _held(site, tree)) is not None:
            by_scope[site.context.scope.node].append(held)
    for scope, loads in by_scope.items():
        if 2 <= len(loads) <= _MOST:
            yield from _largest(
                sorted(loads, key=lambda held: held.site.start), list(_freed(scope, tree, words))
            )


def _largest(loads: list[_Held], freed: list[tuple[str, int]]) -> Iterator[tuple[Site, ...]]:
    """Yield each pair of loads that are held together, extended by all loads that are held with both."""
    found: list[set[int]] = []
    for first, second in itertools.combinations(range(len(loads)), 2):
        group: list[int] = []
        for index in (first, second, *range(len(loads))):
            if index not in group and all(_together(loads[each], loads[index], freed) for each in group):
                group.append(index)
        if second in group and not any(set(group) <= each for each in found):
            found.append(set(group))
    yield from (tuple(loads[index].site for index in sorted(group)) for group in found)


def _held(site: Site, tree: Tree) -> _Held | None:
    branches = []
    statement: ast.stmt | None = None
    node: ast.AST = site.call
    while (parent := tree.parent.get(node)) is not None and node is not site.context.scope.node:
        if isinstance(node, ast.stmt) and statement is None:
            statement = node
        if isinstance(parent, _BRANCHING) or (isinstance(parent, ast.IfExp) and node is not parent.test):
            branches.append((parent, _block(parent, node)))
        node = parent
    if statement is None:
        return None
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    return _Held(site, statement, dotted(target) if target is not None else None, tuple(branches))


def _block(parent: ast.AST, node: ast.AST) -> str:
    """The block of a branching statement that contains a node; the body and `else` of a `try` run together."""
    for name, value in ast.iter_fields(parent):
        if value is node:
            return name
        if isinstance(value, list) and any(each is node for each in value):
            if isinstance(parent, ast.Try):
                return name if name == "handlers" else "body"
            return f"{name}{value.index(node)}" if name == "cases" else name
    return ""


def _freed(scope: ast.AST, tree: Tree, words: CodeWords) -> Iterator[tuple[str, int]]:
    """The names that a function deletes or rebinds to None, each with its line."""
    for node in tree.visit(tree.lines_of(words.find("del", "None"))):
        let_go = isinstance(node, ast.Delete) or (
            isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value is None
        )
        if let_go and isinstance(node, (ast.Delete, ast.Assign)) and tree.scope_of(node).node is scope:
            yield from ((name, node.lineno) for target in node.targets if (name := dotted(target)))


def _together(one: _Held, other: _Held, freed: list[tuple[str, int]]) -> bool:
    if other.site.start < one.site.start:
        one, other = other, one
    if one.name is not None and one.name == other.name:
        return False
    blocks = dict(one.branches)
    if any(blocks.get(statement, block) != block for statement, block in other.branches):
        return False
    first, second = one.statement.lineno, other.statement.lineno
    return not any(name == one.name and first <= line <= second for name, line in freed)
