"""What other modules of the project do with what a file loads: asked only where a finding depends on it.

The modules that import the file's module and name the function or class around the load have its object; those that import
them may get it. Their text is looked at, as that of the file itself is: what none of them has anywhere, none does with it.
"""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

from telepathy_lint.flow.tree import Tree
from telepathy_lint.sites import Site


class Reach(NamedTuple):
    """The modules that an object may get to beside the file that loads it."""

    #: Those that import the file and name what loads.
    users: tuple[str, ...]
    #: Those, and all that import them.
    texts: tuple[str, ...]
    #: The paths of `texts`.
    paths: tuple[str, ...]


def reach_of(site: Site) -> Reach | None:
    """The modules of the project that get what a site loads; None where there is none, or they cannot all be told."""
    modules = site.file.modules
    if modules is None or site.source.path.endswith(".ipynb"):
        return None
    name = _definition_around(site)
    if name is None:
        return None
    return site.file.remember(("reach", name), lambda: _reach(site, name))


def _reach(site: Site, name: str) -> Reach | None:
    modules = site.file.modules
    assert modules is not None
    found = modules.importers(site.source.path)
    if found is None:
        return None
    direct, paths = found
    word = re.compile(rf"\b{re.escape(name)}\b")
    users = tuple([text for path in direct if word.search(text := modules.text(path))])
    return Reach(users, tuple(map(modules.text, paths)), paths) if users else None


def _definition_around(site: Site) -> str | None:
    """The name of the module's function or class that a load stands in."""
    tree = site.context.scope.tree
    found: str | None = None
    node: ast.AST | None = site.node
    while node is not None:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found = node.name
        node = tree.parent.get(node)
    return found


def trees(site: Site, reach: Reach, word: str) -> list[Tree] | None:
    """The trees of the modules reached that have a word; None where one is a notebook, or cannot be read."""
    modules = site.file.modules
    assert modules is not None
    found: list[Tree] = []
    for path, text in zip(reach.paths, reach.texts, strict=True):
        if word in text:
            tree = modules.tree(path) if path.endswith(".py") else None
            if tree is None:
                return None
            found.append(tree)
    return found
