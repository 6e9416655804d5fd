"""Follows model ids across files: `load(model_id)` defined in one file and called in another."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import replace

from telepathy_lint.audit.data import FileFacts, Given, Load, Wanted
from telepathy_lint.audit.follow import Follower
from telepathy_lint.audit.options import Options
from telepathy_lint.flow.bindings import dotted


def wanted_of(files: Iterable[FileFacts]) -> tuple[Wanted, ...]:
    """The parameters through which loads get their ids from other files."""
    return tuple(
        sorted({each for facts in files for load in facts.loads if load.open for each in load.wanted})
    )


class MayCall:
    """Says of a file, by its bytes, whether it may import a module with a wanted function and name the function."""

    def __init__(self, wanted: Iterable[Wanted]) -> None:
        #: The module of each function -> its path, and the function.
        self._functions: dict[bytes, set[tuple[str, bytes]]] = {}
        for each in wanted:
            module = _module_of(each.path).encode()
            self._functions.setdefault(module, set()).add((each.path, each.function.encode()))

    def __call__(self, path: str, data: bytes) -> bool:
        if not path.endswith((".py", ".ipynb")):
            return False
        imports = _imports(data)
        return any(
            module in imports and any(defined != path and function in data for defined, function in functions)
            for module, functions in self._functions.items()
        )


def _imports(data: bytes) -> bytes:
    """The lines with imports, with those that brackets and backslashes join to them."""
    found: list[bytes] = []
    end, at = 0, data.find(b"import")
    while at >= 0:
        start = data.rfind(b"\n", end, at) + 1 or end
        while data[max(start - 3, 0) : start].rstrip().endswith(b"\\"):
            start = data.rfind(b"\n", 0, start - 1) + 1
        end = _line_end(data, at)
        if data.find(b"(", at, end) >= 0 and data.find(b")", at, end) < 0:
            end = _line_end(data, data.find(b")", end))
        while data.endswith((b"\\", b"\\\r"), 0, end) and end < len(data):
            end = _line_end(data, end + 1)
        found.append(data[start:end])
        at = data.find(b"import", end)
    return b"\n".join(found)


def _line_end(data: bytes, at: int) -> int:
    """The offset behind the line at an offset; that of the file for -1."""
    end = data.find(b"\n", at) if at >= 0 else -1
    return end if end >= 0 else len(data)


def _module_of(path: str) -> str:
    """The module name with which a file is imported."""
    module = posixpath.splitext(posixpath.basename(path))[0]
    return posixpath.basename(posixpath.dirname(path)) if module == "__init__" else module


def given_by(follower: Follower, wanted: Iterable[Wanted]) -> Iterator[Given]:
    """The values that the calls in one file pass for the wanted parameters."""
    file = follower.file
    imports = [(name, symbol.split(".")) for name, symbol in file.uses.imports()]
    for each in wanted:
        if each.path == follower.path:
            continue
        names = set(_names_of(each, imports))
        if not names:
            continue
        for node in file.tree.visit(
            file.tree.lines_of(file.words.find(*{name.rpartition(".")[2] for name in names}))
        ):
            if not isinstance(node, ast.Call) or dotted(node.func) not in names:
                continue
            argument = next(
                (keyword.value for keyword in node.keywords if keyword.arg == each.parameter), None
            )
            if argument is None and 0 <= each.position < len(node.args):
                before = node.args[: each.position + 1]
                argument = None if any(isinstance(one, ast.Starred) for one in before) else before[-1]
            if argument is not None:
                found = follower.ids(file.values.evaluate(argument, file.tree.context_of(argument)))
                yield Given(
                    each,
                    follower.path,
                    found.chosen,
                    found.is_open,
                    found.options,
                    follower.keys(found.options),
                )


def _names_of(wanted: Wanted, imports: Iterable[tuple[str, list[str]]]) -> Iterator[str]:
    """The names of another file's function in this file: `load`, or `models.load`."""
    module = _module_of(wanted.path)
    for name, parts in imports:
        if parts[-2:] == [module, wanted.function]:
            yield name
        elif parts[-1] == module:
            yield f"{name}.{wanted.function}"


def with_ids(loads: Iterable[Load], given: Iterable[Given], options: Options) -> tuple[Load, ...]:
    """The loads, with the ids that calls in other files and scripts pass to them."""
    by_wanted: dict[Wanted, list[Given]] = {}
    for each in given:
        by_wanted.setdefault(each.wanted, []).append(each)
    return tuple(_with(load, by_wanted, options) for load in loads)


def _with(load: Load, given: dict[Wanted, list[Given]], options: Options) -> Load:
    ids = set(load.ids)
    for wanted in load.wanted:
        for each in given.get(wanted, ()):
            passed = options.given(
                replace(
                    load,
                    place=replace(load.place, path=each.path),
                    ids=(),
                    options=each.options,
                    keys=each.keys,
                )
            )
            how = f"parameter {wanted.parameter} of {wanted.function}, from {each.path}"
            ids |= {replace(one, via=how if one in each.ids else one.via) for one in (*each.ids, *passed.ids)}
    return replace(load, ids=tuple(sorted(ids))) if len(ids) > len(load.ids) else load
