"""Names that held an argument which the rewritten calls no longer have: `dtype = torch.float16` that no line reads."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence, Set

from telepathy_lint.findings.violation import Edit
from telepathy_lint.fixes.effects import acts
from telepathy_lint.fixes.unused_imports import UnusedNames, reads_namespaces
from telepathy_lint.flow.tree import Scope
from telepathy_lint.sites import Scan, Site
from telepathy_lint.source.prefilter import find_words
from telepathy_lint.source.text import Ranges, Source


def leftovers(scan: Scan, rewritten: Sequence[tuple[Site, str]]) -> Iterator[Edit]:
    """The edits that take out assignments whose last use was a rewritten call; `rewritten` has each with its new text.

    Only plain values in the call's own scope, on lines of their own: anything else may be there for more than its name.
    """
    source = scan.source
    if source.once(reads_namespaces):
        return
    program = UnusedNames(scan, list(rewritten)).is_program()
    calls = [(site.start, site.end) for site, _ in rewritten]
    gone: list[ast.stmt] = []
    waiting = dict.fromkeys(_of_calls(rewritten))
    while waiting:
        name, scope = waiting.popitem()[0]
        stmts = _assignments(name, scope)
        # What another file imports from a module is written in capitals.
        own = scope.is_function or (program and name.islower())
        if not own or not stmts or any(find_words(text, name) for text in source.unread):
            continue
        if any(_reads(text, offset, name) for _, text in rewritten for offset in find_words(text, name)):
            continue
        going = [*gone, *stmts]
        known = Ranges([*calls, *((source.start_of(stmt), source.end_of(stmt)) for stmt in going)])
        if any(
            offset not in known and _reads(source.text, offset, name) and not _in_comment(scan, offset)
            for offset in _inside(scope, find_words(source.text, name), source)
        ):
            continue
        if all(_lines_of(stmt, source) is not None for stmt in stmts):
            gone = going
            waiting |= dict.fromkeys(
                (read, scope) for stmt in stmts for read in _names(stmt.value) if read != name
            )
    yield from _removed(gone, rewritten, scan)


def _inside(scope: Scope, offsets: Sequence[int], source: Source) -> Sequence[int]:
    """Those of the offsets at which a name may be the scope's."""
    if not isinstance(scope.node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return offsets
    start, end = source.start_of(scope.node), source.end_of(scope.node)
    return [offset for offset in offsets if start <= offset < end]


def _reads(text: str, offset: int, name: str) -> bool:
    """Whether a word is more than an attribute, or the name of an argument."""
    before = text[max(offset - 200, 0) : offset].rstrip()[-1:]
    behind = text[offset + len(name) : offset + len(name) + 40].lstrip()
    names_argument = before in ("(", ",") and behind.startswith("=") and not behind.startswith("==")
    return before != "." and not names_argument


def _in_comment(scan: Scan, offset: int) -> bool:
    assert scan.finder is not None
    words, line = scan.finder.words, scan.source.line(scan.source.line_of(offset))
    return "#" in line and not words.in_code(offset) and not words.in_string(offset)


def _lines_of(stmt: ast.stmt, source: Source) -> tuple[int, int] | None:
    """The offsets of a statement's lines, None where something else stands on them."""
    start, end = source.start_of(stmt), source.end_of(stmt)
    first = source.line_starts[source.line_of(start) - 1]
    last = source.line_of(end)
    line_end = source.line_starts[last] if last < len(source.line_starts) else len(source.text)
    return (first, line_end) if source.text[first:line_end].strip() == source.text[start:end] else None


def _removed(gone: Sequence[ast.stmt], rewritten: Sequence[tuple[Site, str]], scan: Scan) -> Iterator[Edit]:
    """The edits: a statement that is alone in its block leaves a `pass`, an `if` of nothing else goes as a whole."""
    source, going = scan.source, {id(stmt) for stmt in gone}
    parent_of = rewritten[0][0].context.scope.tree.parent if rewritten else {}
    whole: dict[int, ast.If] = {}
    for stmt in gone:
        holder = parent_of.get(stmt)
        blocks = _blocks(holder)
        if (
            isinstance(holder, ast.If)
            and all(id(each) in going for block in blocks for each in block)
            and _is_plain(holder.test)
            and not _is_elif(holder, parent_of.get(holder))
            and _lines_of(holder, source) is not None
            and "#" not in source.text[source.start_of(holder) : source.end_of(holder)]
        ):
            whole[id(holder)] = holder
    for holder in whole.values():
        yield from _without(holder, _blocks(parent_of.get(holder)), {id(holder)}, source)
    for stmt in gone:
        holder = parent_of.get(stmt)
        if id(holder) not in whole:
            yield from _without(stmt, _blocks(holder), going, source)


def _without(
    stmt: ast.stmt, blocks: Sequence[list[ast.stmt]], going: Set[int], source: Source
) -> Iterator[Edit]:
    """Take out a statement; the last of a block that loses all leaves `pass`."""
    block = next((each for each in blocks if any(one is stmt for one in each)), [])
    if block and block[-1] is stmt and all(id(one) in going for one in block):
        yield source.edit(source.start_of(stmt), source.end_of(stmt), "pass")
    elif (lines := _lines_of(stmt, source)) is not None:
        yield source.edit(*lines, "")


def _blocks(holder: ast.AST | None) -> list[list[ast.stmt]]:
    found = (getattr(holder, name, None) for name in ("body", "orelse", "finalbody"))
    return [block for block in found if isinstance(block, list) and block]


def _is_elif(stmt: ast.If, holder: ast.AST | None) -> bool:
    """Whether an `if` may be the `elif` of another."""
    return isinstance(holder, ast.If) and holder.orelse == [stmt]


def _of_calls(rewritten: Sequence[tuple[Site, str]]) -> Iterator[tuple[str, Scope]]:
    """The names that are a whole argument of a call, each with the call's scope."""
    for site, _ in rewritten:
        scope = site.context.scope
        for keyword in site.call.keywords:
            if isinstance(keyword.value, ast.Name) and not scope.is_class:
                yield keyword.value.id, scope


def _assignments(name: str, scope: Scope) -> list[ast.Assign]:
    """All that give a name its value in a scope, if each of them is a plain assignment."""
    stmts = [binding.stmt for binding in scope.bindings.get(name, ())]
    plain = [
        stmt
        for stmt in stmts
        if isinstance(stmt, ast.Assign)
        and len(stmt.targets) == 1
        and isinstance(stmt.targets[0], ast.Name)
        and _is_plain(stmt.value)
    ]
    return plain if len(plain) == len(stmts) else []


def _names(value: ast.expr) -> list[str]:
    return [node.id for node in ast.walk(value) if isinstance(node, ast.Name)]


def _is_plain(value: ast.expr) -> bool:
    """A constant, a dotted name, a call that only looks, or a dict or conditional of such."""
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
