"""Finds the other modules of the project that may get a loaded object; only used if a finding depends on it.

A module that imports the file and mentions the function or class around the load gets its object, and so may
the modules that import it. Their text is searched like that of the file: code that occurs in none of them is
not applied to the object.
"""

from __future__ import annotations

import ast
import re

from telepathy_lint.flow.tree import Tree
from telepathy_lint.hints import NamedTuple
from telepathy_lint.sites import Site


class Reach(NamedTuple):
    """The other modules that an object may get to."""

    #: The texts of modules that import the file and mention the function or class around the load.
    users: tuple[str, ...]
    #: The texts of these and of all modules that import them.
    texts: tuple[str, ...]
    #: The paths of `texts`.
    paths: tuple[str, ...]


def reach_of(site: Site) -> Reach | None:
    """The modules of the project that get the object of a site; None if there are none, or they are not all known."""
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
    """The name of the module-level function or class that contains a load."""
    tree = site.context.scope.tree
    found: str | None = None
    node: ast.AST | None = site.node
    while node is not None:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found = node.name
        node = tree.parent.get(node)
    return found


def trees(site: Site, reach: Reach, word: str) -> list[Tree] | None:
    """The trees of these modules, if they contain a word; None if one is a notebook, or cannot be read."""
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
