"""Finds the place of a new import: in the order of sorted imports, and outside a `try` around a transformers import."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence

from telepathy_lint.source.text import Source

_Import = ast.Import | ast.ImportFrom


def place_of(
    stmt: _Import, line: str, block: Sequence[ast.stmt], parent_of: Mapping[ast.AST, ast.AST], source: Source
) -> int | None:
    """Return the offset of the line before which to add the import; None to add it after `stmt`.

    `line` is the new import, `block` contains the statements next to `stmt`.
    """
    holder = parent_of.get(stmt)
    if isinstance(holder, ast.Try) and stmt in holder.body and any(map(_catches_imports, holder.handlers)):
        # The handler is for a missing transformers, and would hide a missing loader.
        return _line_start(holder, source)
    if not isinstance(holder, ast.Module):
        return None
    run = list(_run_around(stmt, block, source))
    keys = [key for each in run if (key := _key(each)) is not None]
    # A single import has no order.
    if len(run) < 2 or len(keys) < len(run) or keys != sorted(keys):
        return None
    new = _key(ast.parse(line).body[0])
    behind = next((each for each, key in zip(run, keys, strict=True) if new is not None and key > new), None)
    # The place before the next import is the place after this one.
    follows = behind is not None and run.index(behind) == run.index(stmt) + 1
    return None if behind is None or follows else _line_start(behind, source)


def _line_start(stmt: ast.stmt, source: Source) -> int | None:
    """The start of the statement's line, if nothing else precedes it there."""
    start = source.start_of(stmt)
    first = source.line_starts[source.line_of(start) - 1]
    return first if not source.text[first:start].strip() else None


def _catches_imports(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {ast.unparse(kind) for kind in kinds if kind is not None}
    return handler.type is None or bool(
        names & {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
    )


def _run_around(stmt: _Import, block: Sequence[ast.stmt], source: Source) -> Iterator[_Import]:
    """The imports on adjacent lines, with nothing between them."""
    at = block.index(stmt)
    first = last = at
    while first > 0 and _adjoin(block[first - 1], block[first], source):
        first -= 1
    while last + 1 < len(block) and _adjoin(block[last], block[last + 1], source):
        last += 1
    for each in block[first : last + 1]:
        assert isinstance(each, (ast.Import, ast.ImportFrom))
        yield each


def _adjoin(one: ast.stmt, other: ast.stmt, source: Source) -> bool:
    if not isinstance(one, (ast.Import, ast.ImportFrom)) or not isinstance(
        other, (ast.Import, ast.ImportFrom)
    ):
        return False
    start, end = source.end_of(one), source.start_of(other)
    return (
        source.line_of(end) == source.line_of(start) + 1
        and source.place(start, start).cell == source.place(end, end).cell
    )


def _key(stmt: ast.stmt) -> tuple[str, str] | None:
    """The sort key of isort and Ruff for an import of another package; None for one in another section."""
    if isinstance(stmt, ast.Import):
        module = stmt.names[0].name if len(stmt.names) == 1 else ""
        kind = "0"
    else:
        assert isinstance(stmt, ast.ImportFrom)
        module = stmt.module if stmt.module and not stmt.level else ""
        kind = "1"
    root = (module or "").partition(".")[0]
    if not root or root == "__future__" or root in sys.stdlib_module_names:
        return None
    return kind, module.lower() if module else ""
