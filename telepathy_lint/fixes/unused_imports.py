"""Finds imported names that the rewritten calls leave unused."""

from __future__ import annotations

import ast
import os
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Set

from telepathy_lint.facts.replaced import is_replaced, is_taken
from telepathy_lint.flow.tree import Scope
from telepathy_lint.sites import Scan, Site
from telepathy_lint.source.occurs import occurs
from telepathy_lint.source.prefilter import find_words
from telepathy_lint.source.text import Ranges

_KEEP = r"(?i)#\s*noqa(?!\s*:\s*(?!.*F401))"

#: Libraries from which arguments of loads are imported.
_ROOTS = ("transformers", "torch", "accelerate", "os")


class UnusedNames:
    """Finds unused names after all calls in a file are rewritten; `used` are these calls with their new texts."""

    def __init__(self, scan: Scan, used: list[tuple[Site, str]]) -> None:
        self.scan = scan
        self.source = scan.source
        self.used = sorted(used, key=lambda each: each[0].start)
        self._wanting: dict[tuple[str, Scope], list[int]] = {}
        self._imported: dict[tuple[str, Scope], list[tuple[int, int]]] = {}
        self._called_later: dict[tuple[str, Scope], list[int]] = {}

    def of(self, stmt: ast.Import | ast.ImportFrom, replaced: Set[str], scope: Scope) -> list[ast.alias]:
        """The names of an import that only the rewritten calls used.

        As in Ruff, a package's `__init__.py` keeps all names, because it exports them; other files keep those
        that another module or a test of the project uses.
        """
        if os.path.basename(self.source.path) == "__init__.py":
            return []
        assert self.scan.file is not None
        first, last = (
            self.source.line_of(self.source.start_of(stmt)),
            self.source.line_of(self.source.end_of(stmt)),
        )
        if any(re.search(_KEEP, self.source.line(number)) for number in range(first, last + 1)):
            return []
        if self.source.once(reads_namespaces):
            return []
        gone = [
            alias
            for alias in stmt.names
            if alias.asname != alias.name
            and (alias.asname or alias.name) in replaced
            and (isinstance(stmt, ast.ImportFrom) or self._may_go(alias, scope))
            and any(_mentions(site.text, alias.asname or alias.name) for site, _ in self.used)
            and not self._is_wanted(alias.asname or alias.name, stmt, scope)
            and not (scope.parent is None and self.is_wanted_elsewhere(alias.asname or alias.name))
        ]
        parent = self.scan.file.tree.parent.get(stmt)
        if len(gone) == len(stmt.names) and isinstance(parent, ast.Try) and stmt in parent.body:
            return []  # the import tests whether the library is installed
        return gone

    def is_wanted_elsewhere(self, name: str) -> bool:
        """Whether another module of the project gets the name from this one, or a test replaces it here."""
        assert self.scan.file is not None
        file, path = self.scan.file, os.path.abspath(self.source.path)
        return is_taken(file, path, name) or is_replaced(file, path, name)

    def _may_go(self, alias: ast.alias, scope: Scope) -> bool:
        """Whether an imported module may be removed; other files may get `torch` from this one with `import *`."""
        return alias.name in ("torch", "os") and (scope.is_function or self.is_program())

    def beside(self) -> Iterator[tuple[ast.Import | ast.ImportFrom, set[str], Scope]]:
        """The imports of names that the calls no longer use: `torch` in `torch_dtype=torch.float16`."""
        found: dict[tuple[ast.Import | ast.ImportFrom, Scope], set[str]] = {}
        for site, text in self.used:
            for node in ast.walk(site.call):
                if not isinstance(node, ast.Name) or _mentions(text, node.id):
                    continue
                scope: Scope | None = site.context.scope
                while scope is not None and not scope.binds(node.id):
                    scope = scope.parent
                for binding in scope.bindings.get(node.id, ()) if scope is not None else ():
                    stmt, root = binding.stmt, binding.symbol.partition(".")[0]
                    if isinstance(stmt, (ast.Import, ast.ImportFrom)) and root in _ROOTS:
                        assert scope is not None
                        found.setdefault((stmt, scope), set()).add(node.id)
        for (stmt, scope), names in found.items():
            yield stmt, names, scope

    def is_program(self) -> bool:
        """Whether the file is run rather than imported; other files may import names from a module, even with `*`."""
        return (
            "__main__" in self.source.text
            or self.source.place(0, 0).cell >= 0
            or any(site.context.scope.parent is None for site, _ in self.used)
        )

    def _is_wanted(self, name: str, stmt: ast.stmt, scope: Scope) -> bool:
        """Whether the name is used elsewhere where this import is visible: in code, strings, type comments."""
        key = name, scope
        if any(_mentions(text, name) for text in self.source.unread):
            return True
        if key not in self._wanting:  # a notebook may have the same import in each cell
            self._wanting[key] = list(self._wanted_at(name, scope))
        start, end = self.source.start_of(stmt), self.source.end_of(stmt)
        imports = self._imports(name, scope)
        places = self._wanting[key]
        if len(imports) < 2:
            return bool(places) and (places[0] < start or places[-1] >= end)
        # Code after another equal import, or code that ran before this one, uses another binding.
        if places and places[0] < 0:
            return True
        later = self._later(name, scope, places)
        if later and later[0] < start:
            return True
        at = bisect_right(imports, (start, end))
        until = imports[at][0] if at < len(imports) else len(self.source.text)
        return bisect_left(places, end) < bisect_left(places, until)

    def _imports(self, name: str, scope: Scope) -> list[tuple[int, int]]:
        """The positions of the imports of a name, if all are equal and at module level."""
        key = name, scope
        if key not in self._imported:
            assert self.scan.file is not None
            parent_of, bindings = self.scan.file.tree.parent, scope.bindings.get(name, ())
            alike = len({binding.symbol for binding in bindings}) == 1 and all(
                binding.kind == "import" and isinstance(parent_of.get(binding.stmt), ast.Module)
                for binding in bindings
            )
            stmts = [each.stmt for each in bindings if isinstance(each.stmt, ast.stmt)] if alike else []
            self._imported[key] = sorted(
                {(self.source.start_of(each), self.source.end_of(each)) for each in stmts}
            )
            inside = Ranges(self._imported[key])
            self._wanting[key] = [place for place in self._wanting[key] if not alike or place not in inside]
        return self._imported[key]

    def _later(self, name: str, scope: Scope, places: list[int]) -> list[int]:
        """The positions in code that runs when a function is called, not in the order of the text."""
        key = name, scope
        if key not in self._called_later:
            self._called_later[key] = [place for place in places if self._runs_later(place)]
        return self._called_later[key]

    def _runs_later(self, place: int) -> bool:
        """Whether code runs when a function is called, not in the order of the text."""
        assert self.scan.file is not None
        return any(
            self.source.start_of(scope.node) <= place < self.source.end_of(scope.node)
            for scope in self.scan.file.tree.all_scopes()
            if isinstance(scope.node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        )

    def _wanted_at(self, name: str, scope: Scope) -> Iterator[int]:
        """The positions of the name after the rewrite, including imports; the first is -1 if new calls use it."""
        text, source = self.source.text, self.source
        assert self.scan.file is not None
        if scope.is_function:
            assert isinstance(scope.node, (ast.FunctionDef, ast.AsyncFunctionDef))
            seen = (source.start_of(scope.node), source.end_of(scope.node))
            hidden = []
        else:
            seen = (0, len(text))
            hidden = [
                (source.start_of(other.node), source.end_of(other.node))
                for other in self.scan.file.tree.all_scopes()
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
            in_comment = "#" in before and not self.scan.file.words.in_code(offset)
            if in_comment and "type:" not in line and not self.scan.file.words.in_string(offset):
                continue
            yield offset


#: Code that reads names as text, or runs a text that may.
_BY_NAME = r"(?<![.\w])(?:(?:exec|eval)\(|(?:vars|dir)\(\s*\))|\bsys\.modules\[\s*__name__|\bimport_module\(\s*__name__"


def reads_namespaces(text: str) -> bool:
    """Whether code may read names of the file in a way that does not show them."""
    return "globals()" in text or "locals()" in text or occurs(_BY_NAME, text)


def _mentions(text: str, name: str) -> bool:
    return bool(find_words(text, name))
