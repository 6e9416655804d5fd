"""Finds the other calls that a change rewrites with replacements of text: the config that a trainer gets."""

from __future__ import annotations

import ast

from telepathy_lint.findings.change import Change, slot
from telepathy_lint.sites import Scan, Site


def other_calls(site: Site, change: Change, scan: Scan) -> list[tuple[Site, str]]:
    """The calls whose callee a change replaces with a name that it imports, as sites, and their new texts."""
    assert scan.file is not None
    tree, source = scan.file.tree, scan.source
    found = []
    for start, end, new in change.texts:
        if not any(new == slot(need.name) for need in change.needs):
            continue
        for node in tree.visit(tree.lines_of([start])):
            if isinstance(node, ast.Call) and (source.start_of(node), source.end_of(node.func)) == (
                start,
                end,
            ):
                other = site._replace(node=node, context=tree.context_of(node), arguments={})
                inside = [text for at, _, text in change.texts if start < at <= other.end]
                found.append((other, "".join((new, source.text[end : other.end], *inside))))
    return found
