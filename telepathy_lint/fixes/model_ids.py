"""Finds literal model ids, and replaces them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.findings.change import Change, Repair
from telepathy_lint.sites import Site, Value
from telepathy_lint.source.prefilter import ID_PREFIXES

_ARGUMENTS = ("pretrained_model_name_or_path", "model")


def literal_ids(site: Site) -> Iterator[tuple[ast.AST, Value]]:
    """The literal ids in a load's call, or the id that is the site, each with the node to report."""
    if site.kind == "identifier":
        assert isinstance(site.node, ast.Constant)
        yield site.node, Value("const", site.node.value, site.node, site.context)
        return
    argument = site.argument(*_ARGUMENTS)
    if argument is None or site.indirect or argument.how not in ("positional", "keyword"):
        return
    ids = [one for one in argument.values if isinstance(one.data, str) and one.data.startswith(ID_PREFIXES)]
    inside = set(ast.walk(argument.node)) if ids else set()
    for value in ids:
        if value.node in inside:
            yield argument.node, value


def id_repair(site: Site, argument: ast.AST, value: Value, name: str) -> Repair | None:
    """Replace a literal id; None if the id is not exactly one literal."""
    old = str(value.data)
    assert isinstance(value.node, ast.Constant)
    start, end = site.range_of(value.node)
    text = site.source.text[start:end]
    if text.count(old) != 1:
        return None
    written = text.replace(old, name)
    if site.kind == "identifier":
        change = Change(texts=((start, end, written),))
    elif isinstance(argument, ast.keyword) and argument.value is value.node and argument.arg is not None:
        change = Change(replaced=((argument.arg, written),))
    elif argument is value.node:
        change = Change(positional=((site.call.args.index(value.node), written),))
    else:
        return None
    # An offline machine may have the model in its cache only under the old id.
    return Repair("unsafe", f"write {name!r}", change)
