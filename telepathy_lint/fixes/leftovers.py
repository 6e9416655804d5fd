"""Names that held an argument which the rewritten calls no longer have: `dtype = torch.float16` that no line reads."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from telepathy_lint.findings.violation import Edit
from telepathy_lint.fixes.unused_imports import UnusedNames, reads_namespaces
from telepathy_lint.sites import Scan, Site
from telepathy_lint.source.prefilter import find_words
from telepathy_lint.source.text import Ranges


def leftovers(scan: Scan, rewritten: Sequence[tuple[Site, str]]) -> Iterator[Edit]:
    """The edits that take out assignments whose last use was a rewritten call; `rewritten` has each with its new text.

    Only a plain value in the call's own scope, on lines of its own: anything else may be there for more than its name.
    """
    source = scan.source
    if source.once(reads_namespaces):
        return
    program = UnusedNames(scan, list(rewritten)).is_program()
    calls = [(site.start, site.end) for site, _ in rewritten]
    for stmt, name, in_function in dict.fromkeys(_candidates(scan, rewritten)):
        start, end = source.start_of(stmt), source.end_of(stmt)
        known = Ranges([*calls, (start, end)])
        # What another file imports from a module is written in capitals.
        own = in_function or (program and name.islower())
        if not own or any(find_words(text, name) for text in source.unread):
            continue
        if any(find_words(text, name) for _, text in rewritten):
            continue
        if any(offset not in known for offset in find_words(source.text, name)):
            continue
        first = source.line_starts[source.line_of(start) - 1]
        last = source.line_of(end)
        line_end = source.line_starts[last] if last < len(source.line_starts) else len(source.text)
        if source.text[first:line_end].strip() == source.text[start:end]:
            yield source.edit(first, line_end, "")


def _candidates(scan: Scan, rewritten: Sequence[tuple[Site, str]]) -> Iterator[tuple[ast.Assign, str, bool]]:
    """The assignments of names that are a whole argument of a call, with the name, and whether a function has them."""
    for site, _ in rewritten:
        scope = site.context.scope
        for keyword in site.call.keywords:
            if not isinstance(keyword.value, ast.Name) or scope.is_class:
                continue
            bindings = scope.bindings.get(keyword.value.id, ())
            stmt = bindings[0].stmt if len(bindings) == 1 else None
            if (
                isinstance(stmt, ast.Assign)
                and len(stmt.targets) == 1
                and isinstance(stmt.targets[0], ast.Name)
                and _is_plain(stmt.value)
                and scope.tree.parent.get(stmt) is scope.node
            ):
                yield stmt, keyword.value.id, scope.is_function


def _is_plain(value: ast.expr) -> bool:
    """A constant, a dotted name, or a dict or conditional of such."""
    return all(
        isinstance(
            node,
            (
                ast.Constant,
                ast.Attribute,
                ast.Name,
                ast.Dict,
                ast.IfExp,
                ast.UnaryOp,
                ast.expr_context,
                ast.unaryop,
            ),
        )
        for node in ast.walk(value)
    )
