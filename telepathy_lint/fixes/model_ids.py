"""Model ids that stand in the code as text: where they are, and another id in their place."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from telepathy_lint.findings.change import Change, Repair
from telepathy_lint.sites import Site, Value
from telepathy_lint.source.prefilter import ID_PREFIXES

_ARGUMENTS = ("pretrained_model_name_or_path", "model")


def literal_ids(site: Site) -> Iterator[tuple[ast.AST, Value]]:
    """The ids written in a load's own call, or the one that the site is, with where to point."""
    if site.kind == "identifier":
        literal = site.call.func
        assert isinstance(literal, ast.Constant)
        yield literal, Value("const", literal.value, literal, site.context)
        return
    argument = site.argument(*_ARGUMENTS)
    if argument is None or site.indirect or argument.how not in ("positional", "keyword"):
        return
    ids = [one for one in argument.values if isinstance(one.data, str) and one.data.startswith(ID_PREFIXES)]
    inside = set(ast.walk(argument.node)) if ids else set()
    for value in ids:
        if value.node in inside:
            yield argument.node, value


def id_repair(site: Site, renamed: Callable[[str], str | None]) -> Repair | None:
    """Writes the id that `renamed` gives in place of the literal."""
    for argument, value in literal_ids(site):
        old = str(value.data)
        name = renamed(old)
        if name is None:
            continue
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
        # A machine that is offline may have the model in its cache under the old name only.
        return Repair("unsafe", f"write {name!r}", change)
    return None
