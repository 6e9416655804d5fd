"""Tells the objects of several loads in a file apart: which load an expression gets its object from."""

from __future__ import annotations

import ast

from telepathy_lint.flow.makers import OUTSIDE
from telepathy_lint.sites import Site


def is_of_another_load(site: Site, node: ast.expr) -> bool:
    """Whether an expression certainly has the object of another load than this one.

    The cells of a notebook run in their order, so that a name in a cell has the object of the last load before it.
    """
    objects = site.file.objects
    makers = objects.makers(node, site.context.scope.tree.context_of(node))
    loads = makers & objects.loading
    if _is_before(site, node):
        return True
    if not loads:
        return False
    if site.call not in loads:
        return not makers & OUTSIDE
    if not site.source.path.endswith(".ipynb"):
        return False
    own, here = _cell(site, site.call), _cell(site, node)
    others = [_cell(site, each) for each in loads if isinstance(each, ast.Call) and each is not site.call]
    return any((own < each or own > here) and each <= here for each in others)


def _is_before(site: Site, node: ast.expr) -> bool:
    """Whether a notebook runs an expression, outside of functions, in an earlier cell than the load."""
    if not site.source.path.endswith(".ipynb") or site.context.scope.tree.scope_of(node).is_function:
        return False
    return _cell(site, node) < _cell(site, site.call)


def _cell(site: Site, node: ast.expr) -> int:
    start = site.source.start_of(node)
    cell = site.source.place(start, start).cell
    return cell if cell is not None else -1
