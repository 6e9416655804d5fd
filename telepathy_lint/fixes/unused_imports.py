"""Which imported names the rewritten calls leave unused."""

from __future__ import annotations

import ast
import os
import re
from bisect import bisect_left
from collections.abc import Iterator

from telepathy_lint.flow.tree import Scope
from telepathy_lint.sites import Scan, Site
from telepathy_lint.source.prefilter import find_words
from telepathy_lint.source.text import Ranges

_KEEP = r"(?i)#\s*noqa(?!\s*:\s*(?!.*F401))"


class UnusedNames:
    """Asked after all calls of a file are rewritten: `used` are they, each with its new text."""

    def __init__(self, scan: Scan, used: list[tuple[Site, str]]) -> None:
        self.scan = scan
        self.source = scan.source
        self.used = sorted(used, key=lambda each: each[0].start)
        self._wanting: dict[tuple[str, Scope], list[int]] = {}

    def of(self, stmt: ast.Import | ast.ImportFrom, replaced: set[str], scope: Scope) -> list[ast.alias]:
        """The names of an import that only the rewritten calls used, of those that they did use."""
        if isinstance(stmt, ast.Import) or os.path.basename(self.source.path) == "__init__.py":
            return []
        assert self.scan.finder is not None
        parent = self.scan.finder.tree.parent.get(stmt)
        if isinstance(parent, ast.Try) and stmt in parent.body:
            return []  # the import asks whether transformers is there; the loader's would always succeed
        first, last = (
            self.source.line_of(self.source.start_of(stmt)),
            self.source.line_of(self.source.end_of(stmt)),
        )
        if any(re.search(_KEEP, self.source.line(number)) for number in range(first, last + 1)):
            return []
        if self.source.once(reads_namespaces):
            return []
        if not scope.is_function and not self.is_program():
            return []
        return [
            alias
            for alias in stmt.names
            if alias.asname != alias.name
            and (alias.asname or alias.name) in replaced
            and any(_mentions(site.text, alias.asname or alias.name) for site, _ in self.used)
            and not self._is_wanted(alias.asname or alias.name, stmt, scope)
        ]

    def is_program(self) -> bool:
        """Whether the file is run rather than imported: other files may import the names of a module, even by `*`."""
        return (
            "__main__" in self.source.text
            or self.source.place(0, 0).cell >= 0
            or any(site.context.scope.parent is None for site, _ in self.used)
        )

    def _is_wanted(self, name: str, stmt: ast.stmt, scope: Scope) -> bool:
        """Whether the name stands anywhere else where this import is seen: code, strings, type comments."""
        key = name, scope
        if any(_mentions(text, name) for text in self.source.unread):
            return True
        if key not in self._wanting:  # a notebook may import the same in every cell
            self._wanting[key] = list(self._wanted_at(name, scope))
        places = self._wanting[key]
        return bool(places) and (
            places[0] < self.source.start_of(stmt) or places[-1] >= self.source.end_of(stmt)
        )

    def _wanted_at(self, name: str, scope: Scope) -> Iterator[int]:
        """Where the name stands once the calls are rewritten, imports included; first -1 if new calls have it."""
        text, source = self.source.text, self.source
        assert self.scan.finder is not None
        if scope.is_function:
            assert isinstance(scope.node, (ast.FunctionDef, ast.AsyncFunctionDef))
            seen = (source.start_of(scope.node), source.end_of(scope.node))
            hidden = []
        else:
            seen = (0, len(text))
            hidden = [
                (source.start_of(other.node), source.end_of(other.node))
                for other in self.scan.finder.tree.all_scopes()
                if other.is_function and isinstance(other.node, ast.stmt) and other.binds(name)
            ]
        first = bisect_left(self.used, seen[0], key=lambda used: used[0].start)
        last = bisect_left(self.used, seen[1], key=lambda used: used[0].start)
        if any(_mentions(new, name) for _, new in self.used[first:last]):
            yield -1
        covered = Ranges([*hidden, *((site.start, site.end) for site, _ in self.used[first:last])])
        for offset in find_words(text[seen[0] : seen[1]], name):
            offset += seen[0]
            if offset in covered:
                continue
            line = source.line(source.line_of(offset))
            before = line[: offset - source.line_starts[source.line_of(offset) - 1]]
            in_comment = "#" in before and not self.scan.finder.words.in_code(offset)
            if in_comment and "type:" not in line and not self.scan.finder.words.in_string(offset):
                continue
            yield offset


def reads_namespaces(text: str) -> bool:
    return "globals()" in text or "locals()" in text


def _mentions(text: str, name: str) -> bool:
    return bool(find_words(text, name))
