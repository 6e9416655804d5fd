"""Removes assignments of arguments that rewritten calls no longer have: `dtype = torch.float16` that nothing reads."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from telepathy_lint.findings.violation import Edit
from telepathy_lint.fixes.effects import acts
from telepathy_lint.fixes.unused_imports import UnusedNames, reads_namespaces
from telepathy_lint.flow.tree import Scope
from telepathy_lint.sites import Scan, Site
from telepathy_lint.source.prefilter import find_words
from telepathy_lint.source.text import Ranges, Source


def leftovers(scan: Scan, rewritten: Sequence[tuple[Site, str]]) -> Iterator[Edit]:
    """Yield the edits that remove assignments whose last use was a rewritten call; `rewritten` has calls and new texts.

    Only for a name with a single plain value in the call's scope, outside branches and on its own lines;
    other assignments may have a different purpose.
    """
    source = scan.source
    if source.once(reads_namespaces):
        return
    unused = UnusedNames(scan, list(rewritten))
    program = unused.is_program()
    gone = [(site.start, site.end) for site, _ in rewritten]
    waiting = dict.fromkeys(_of_calls(rewritten))
    while waiting:
        name, scope = waiting.popitem()[0]
        # Names that other files import from a module are usually in capitals.
        if not (scope.is_function or (program and name.islower() and not unused.is_wanted_elsewhere(name))):
            continue
        stmt = _assignment(name, scope)
        if stmt is None or (lines := _lines_of(stmt, source)) is None:
            continue
        if any(find_words(text, name) for text in source.unread):
            continue
        if any(_reads(text, offset, name) for _, text in rewritten for offset in find_words(text, name)):
            continue
        known = Ranges([*gone, (source.start_of(stmt), source.end_of(stmt))])
        if any(
            offset not in known and _reads(source.text, offset, name) and not _in_comment(scan, offset)
            for offset in _inside(scope, find_words(source.text, name), source)
        ):
            continue
        gone.append((source.start_of(stmt), source.end_of(stmt)))
        waiting |= dict.fromkeys((read, scope) for read in _names(stmt.value) if read != name)
        yield source.edit(*lines, "")


def _inside(scope: Scope, offsets: Sequence[int], source: Source) -> Sequence[int]:
    """The offsets at which a name may be the scope's."""
    if not isinstance(scope.node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return offsets
    start, end = source.start_of(scope.node), source.end_of(scope.node)
    return [offset for offset in offsets if start <= offset < end]


def _reads(text: str, offset: int, name: str) -> bool:
    """Whether a word is a read of the name, not an attribute or keyword."""
    before = text[max(offset - 200, 0) : offset].rstrip()[-1:]
    behind = text[offset + len(name) : offset + len(name) + 40].lstrip()
    names_argument = before in ("(", ",") and behind.startswith("=") and not behind.startswith("==")
    return before != "." and not names_argument


def _in_comment(scan: Scan, offset: int) -> bool:
    assert scan.file is not None
    words, line = scan.file.words, scan.source.line(scan.source.line_of(offset))
    return "#" in line and not words.in_code(offset) and not words.in_string(offset)


def _lines_of(stmt: ast.stmt, source: Source) -> tuple[int, int] | None:
    """The offsets of a statement's lines; None if they contain anything else."""
    start, end = source.start_of(stmt), source.end_of(stmt)
    first = source.line_starts[source.line_of(start) - 1]
    last = source.line_of(end)
    line_end = source.line_starts[last] if last < len(source.line_starts) else len(source.text)
    return (first, line_end) if source.text[first:line_end].strip() == source.text[start:end] else None


def _of_calls(rewritten: Sequence[tuple[Site, str]]) -> Iterator[tuple[str, Scope]]:
    """The names that are a whole argument of a call, with the call's scope."""
    for site, _ in rewritten:
        scope = site.context.scope
        for keyword in site.call.keywords:
            if isinstance(keyword.value, ast.Name) and not scope.is_class:
                yield keyword.value.id, scope


def _assignment(name: str, scope: Scope) -> ast.Assign | None:
    """The only assignment of a name in a scope, if it is plain and outside branches, loops and `with`."""
    bindings = scope.bindings.get(name, ())
    stmt = bindings[0].stmt if len(bindings) == 1 else None
    if (
        isinstance(stmt, ast.Assign)
        and len(stmt.targets) == 1
        and isinstance(stmt.targets[0], ast.Name)
        and scope.tree.parent.get(stmt) is scope.node
        and _is_plain(stmt.value)
    ):
        return stmt
    return None


def _names(value: ast.expr) -> list[str]:
    return [node.id for node in ast.walk(value) if isinstance(node, ast.Name)]


def _is_plain(value: ast.expr) -> bool:
    """A constant, a dotted name, a call without side effects, or a dict or conditional expression of these."""
    return not acts(value) and all(
        isinstance(
            node,
            (
                ast.Constant,
                ast.Attribute,
                ast.Name,
                ast.Dict,
                ast.IfExp,
                ast.UnaryOp,
                ast.Call,
                ast.BoolOp,
                ast.Compare,
                ast.expr_context,
                ast.unaryop,
                ast.boolop,
                ast.cmpop,
            ),
        )
        for node in ast.walk(value)
    )
