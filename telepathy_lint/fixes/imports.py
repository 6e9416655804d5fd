"""Plans the import edits for rewritten calls.

The loader is imported directly after the transformers import of the replaced class: in its scope and style,
and after everything that must come before it (`os.environ[...]`, `sys.path`). A name that the rewrite leaves
unused is removed, unless anything else may use it.
"""

from __future__ import annotations

import ast
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import cached_property

from telepathy_lint.findings.change import Name
from telepathy_lint.findings.violation import Edit
from telepathy_lint.fixes.import_names import Placed, import_names, import_text, without_names
from telepathy_lint.fixes.import_order import place_of
from telepathy_lint.fixes.name_capture import is_another, is_hidden, would_hide
from telepathy_lint.fixes.star_names import goes_with_star, may_come_with_star
from telepathy_lint.fixes.unused_imports import UnusedNames
from telepathy_lint.flow.bindings import Binding
from telepathy_lint.flow.tree import Scope
from telepathy_lint.knowledge import transformers_names as catalog
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Scan, Site
from telepathy_lint.source.prefilter import find_words

_Import = ast.Import | ast.ImportFrom


class ImportPlan:
    """Collects the loader names that rewritten calls use, and the class names that they no longer use."""

    def __init__(self, scan: Scan, settings: Settings) -> None:
        self.scan = scan
        self.source = scan.source
        self.loader = settings.loader
        self._used: list[tuple[list[Placed], Site, str]] = []
        # Answers about the whole file, cached for further calls.
        self._other_meaning: dict[tuple[str, str], bool] = {}
        self._shared: dict[tuple[str, str], bool] = {}
        self._bound_to: dict[tuple[ast.AST, str], list[Binding]] = {}
        self._repeated: dict[tuple[Scope, str, str], list[Binding]] = {}

    def fresh(self) -> ImportPlan:
        """Return a plan for other calls in the same file."""
        from copy import copy  # imports weakref; only needed for edits

        plan = copy(self)
        plan._used = []
        return plan

    # ---- places

    def place(self, site: Site, need: Name) -> Placed | None:
        """How the site's call can refer to a name; None if no import in the file has certainly run before it."""
        module, name = need.module, need.name
        root: ast.expr = site.call.func
        while isinstance(root, ast.Attribute):
            root = root.value
        named = self._import_of(root.id, site) if isinstance(root, ast.Name) else None
        found = named or self._any_import(site)
        if found is None:
            return None
        binding, scope = found
        stmt = binding.stmt
        assert isinstance(stmt, (ast.Import, ast.ImportFrom))
        if isinstance(stmt, ast.Import) and not self._means_something_else(module.partition(".")[0], module):
            here, package = module == catalog.ROOT, module.partition(".")[0]
            spelled = f"{binding.name if here else module}.{name}"
            present = here or self._imported_as(package, stmt, scope, site) == package
            return self._new(Placed(spelled, module, name, None, stmt, binding, scope, present), site)
        present_as = self._imported_as(f"{module}.{name}", stmt, scope, site)
        if present_as is not None:
            return Placed(present_as, module, name, None, stmt, binding, scope, True)
        asname = self._free_name(name, module)
        return self._new(Placed(asname or name, module, name, asname, stmt, binding, scope, False), site)

    def _new(self, placed: Placed, site: Site) -> Placed | None:
        """A name to import; None if the call would not get it, or another call would lose its own."""
        bound, scope = placed.bound, placed.scope
        lost = is_hidden(bound, scope, site) or would_hide(bound, scope, self.scan)
        return placed if placed.present or not lost else None

    def _import_of(self, name: str, site: Site) -> tuple[Binding, Scope] | None:
        """The import that binds the name of the class (or its module) at the site."""
        assert self.scan.file is not None
        found = self.scan.file.values.names.ways(name, site.context)
        if found is None:
            stars = [b for b in self.scan.file.tree.top.bindings.get("*", ()) if b.symbol == "transformers.*"]
            return (stars[0], self.scan.file.tree.top) if stars else None
        for binding, scope in found:
            if binding.kind == "import" and self._is_runtime_import(binding):
                nearest = self._nearest(binding, scope, site)
                if nearest is None or (
                    any(is_another(other, binding) for other, _ in found)
                    and not self._runs_first(nearest, scope, site)
                ):
                    return None
                return nearest, scope
        return None

    def _nearest(self, binding: Binding, scope: Scope, site: Site) -> Binding | None:
        """Among equal imports in several cells or branches, the last one that certainly runs before the call."""
        key = (scope, binding.name, binding.symbol)
        if key not in self._repeated:
            others = scope.bindings.get(binding.name, ())
            self._repeated[key] = [
                each for each in others if each.symbol == binding.symbol and self._is_runtime_import(each)
            ]
        again = self._repeated[key]
        if len(again) <= 1:
            return binding
        if site.context.scope is not scope:
            return next((each for each in again if self._runs_first(each, scope, site)), None)
        before = bisect_right(again, site.call.lineno, key=lambda each: each.line)
        places = (again[index] for index in range(before - 1, -1, -1))
        return next((each for each in places if self._runs_first(each, scope, site)), None)

    def _runs_first(self, binding: Binding, scope: Scope, site: Site) -> bool:
        """Whether an import has always run when the call is reached: all its branches also contain the call."""
        assert self.scan.file is not None and isinstance(binding.stmt, ast.stmt)
        parent_of = self.scan.file.tree.parent
        if parent_of.get(binding.stmt) is scope.node:
            return True
        block, node = self._block(binding.stmt), parent_of.get(site.call)
        while node is not None and not (isinstance(node, ast.stmt) and node in block):
            node = parent_of.get(node)
        return node is not None

    def _any_import(self, site: Site) -> tuple[Binding, Scope] | None:
        """For a class that comes from a variable: the module's last import from transformers before the site."""
        assert self.scan.file is not None
        top = self.scan.file.tree.top
        candidates = [
            binding
            for bindings in top.bindings.values()
            for binding in bindings
            if binding.kind == "import"
            and binding.symbol.startswith("transformers")
            and binding.line < site.call.lineno
            and self.scan.file.tree.parent.get(binding.stmt) is top.node
        ]
        return (max(candidates, key=lambda binding: binding.line), top) if candidates else None

    def _is_runtime_import(self, binding: Binding) -> bool:
        """Whether the import runs; not if it is under `if TYPE_CHECKING`."""
        assert self.scan.file is not None
        root = binding.symbol.partition(".")[0]
        if root != catalog.ROOT:
            return False
        parent = self.scan.file.tree.parent.get(binding.stmt)
        return not (isinstance(parent, ast.If) and "TYPE_CHECKING" in ast.unparse(parent.test))

    # ---- names

    def _imported_as(self, symbol: str, stmt: ast.stmt, scope: Scope, site: Site) -> str | None:
        """The name under which something is certainly imported, in the scope or module, when the call runs."""
        assert self.scan.file is not None
        parent_of, top = self.scan.file.tree.parent, self.scan.file.tree.top
        for each in (scope, top):
            for binding in self._imports_of(each, symbol):
                other = binding.stmt
                assert isinstance(other, ast.stmt)
                always = parent_of.get(other) is each.node or other in self._block(stmt)
                hidden = is_hidden(binding.name, each, site)
                if always and not hidden and self.source.end_of(other) < site.start:
                    return binding.name
        return None

    def _imports_of(self, scope: Scope, symbol: str) -> list[Binding]:
        """The imports of something in a scope, under names with no other binding there."""
        key = (scope.node, symbol)
        if key not in self._bound_to:
            self._bound_to[key] = [
                binding
                for bindings in scope.bindings.values()
                if all(each.kind == "import" and each.symbol == symbol for each in bindings)
                for binding in bindings
            ]
        return self._bound_to[key]

    def _block(self, stmt: ast.stmt) -> list[ast.stmt]:
        """The statements that run together with this one, without those after which the block may be left."""
        assert self.scan.file is not None
        parent = self.scan.file.tree.parent.get(stmt)
        if isinstance(parent, ast.Module):
            return parent.body
        blocks = (getattr(parent, name, None) for name in ("body", "orelse", "finalbody"))
        return next((each for each in blocks if isinstance(each, list) and stmt in each), [stmt])

    def _means_something_else(self, name: str, symbol: str) -> bool:
        """Whether any scope in the file binds `name` to something else."""
        key = (name, symbol)
        if key not in self._other_meaning:
            self._other_meaning[key] = self._is_bound_otherwise(name, symbol)
        return self._other_meaning[key]

    def _is_bound_otherwise(self, name: str, symbol: str) -> bool:
        assert self.scan.file is not None
        if not find_words(self.source.text, name):
            return False
        tree = self.scan.file.tree
        bindings = [each for scope in tree.all_scopes() for each in scope.bindings.get(name, ())]
        if not bindings:
            # A comprehension binds it, or something that is not in the file.
            lines = tree.lines_of(self.scan.file.words.find(name))
            return any(isinstance(node, ast.Name) and node.id == name for node in tree.visit(lines))
        return any(
            each.kind != "import" or not (each.symbol == symbol or symbol.startswith(f"{each.symbol}."))
            for each in bindings
        )

    def _is_shared(self, name: str, module: str) -> bool:
        if (name, module) not in self._shared:
            file, path = self.scan.file, self.source.path
            assert file is not None
            self._shared[name, module] = may_come_with_star(file, path, name, module) or goes_with_star(
                file, path, name
            )
        return self._shared[name, module]

    def _free_name(self, name: str, module: str) -> str | None:
        """An alias for the import, if the plain name has another meaning in the file, or may have with `import *`."""
        if not self._means_something_else(name, f"{module}.{name}") and not self._is_shared(name, module):
            return None
        number, candidate = 1, f"runtime_{name}"
        while find_words(self.source.text, candidate):
            number += 1
            candidate = f"runtime_{name}_{number}"
        return candidate

    # ---- edits

    def use(self, placed: list[Placed], site: Site, text: str) -> None:
        """Record that a site's call becomes `text`, statements after it included, which uses the given names."""
        self._used.append((placed, site, text))

    @cached_property
    def _imports_from(self) -> dict[str, list[ast.ImportFrom]]:
        """The `from` imports at module level."""
        assert self.scan.file is not None
        found: dict[str, list[ast.ImportFrom]] = {}
        for stmt in self.scan.file.tree.top.statements:
            if isinstance(stmt, ast.ImportFrom) and stmt.module is not None:
                found.setdefault(stmt.module, []).append(stmt)
        return found

    @cached_property
    def _first_call(self) -> int:
        return min(site.start for _, site, _ in self._used)

    def edits(self) -> list[Edit]:
        """Return the edits, at least one per import statement concerned."""
        if not self._used:
            return []
        by_statement: dict[_Import, list[Placed]] = {}
        for group, _, _ in self._used:
            for placed in group:
                by_statement.setdefault(placed.stmt, []).append(placed)
        wanted: dict[_Import, list[Placed]] = {}
        introduced: set[tuple[int, int, str]] = set()
        last = self._last_before_calls(by_statement)
        for stmt, group in sorted(by_statement.items(), key=lambda each: each[0].lineno):
            where = self._gathered(stmt, last)
            for placed in group:
                # The cells of a notebook may be run separately, so each imports what it needs; the same holds
                # for branches.
                blocks = (getattr(placed.scope.node, "body", None), self._block(where))
                keys = [(id(block), self._cell(where), placed.spelled) for block in blocks]
                if not placed.present and introduced.isdisjoint(keys):
                    introduced.add(keys[1])
                    wanted.setdefault(where, []).append(placed)
        edits: list[Edit] = []
        unused = UnusedNames(self.scan, [(site, text) for _, site, text in self._used])
        beside = list(unused.beside())
        for stmt, group in by_statement.items():
            names = {placed.binding.name for placed in group}.union(
                *(more for each, more, _ in beside if each is stmt)
            )
            gone = unused.of(stmt, names, group[0].scope)
            lines: list[str] = []
            for module in dict.fromkeys(placed.module for placed in wanted.get(stmt, ())):
                new = [placed for placed in wanted[stmt] if placed.module == module]
                existing = self._existing_import(stmt, module)
                if existing is not None and not (existing is stmt and gone):
                    end = self.source.end_of(existing.names[-1])
                    gap = self._gap_between_names(existing)
                    edits.append(
                        self.source.edit(end, end, "".join(f",{gap}{name}" for name in import_names(new)))
                    )
                else:
                    lines.append(import_text(module, new))
            edits += self._statement_edits(stmt, lines, gone)
        for other, names, scope in beside:
            if other not in by_statement and (gone := unused.of(other, names, scope)):
                edits += self._statement_edits(other, [], gone)
        return self._joined(edits)

    def _gap_between_names(self, stmt: ast.ImportFrom) -> str:
        """The text before an additional name: a line break if the names are on separate lines."""
        text, start = self.source.text, self.source.start_of(stmt.names[-1])
        before = text[self.source.line_starts[self.source.line_of(start) - 1] : start]
        return " " if before.strip() else self.source.newline + before

    def _joined(self, edits: list[Edit]) -> list[Edit]:
        """Combine insertions at the same place: additional names of an import come before the next line."""
        at: dict[int, list[str]] = {}
        for edit in dict.fromkeys(edits):
            if edit.start == edit.end:
                at.setdefault(edit.start, []).append(edit.text)
        several = {place: sorted(texts, key=lambda text: text[0] != ",") for place, texts in at.items()}
        kept = [edit for edit in edits if edit.start != edit.end or len(several[edit.start]) == 1]
        return kept + [
            self.source.edit(place, place, "".join(texts))
            for place, texts in several.items()
            if len(texts) > 1
        ]

    def _cell(self, stmt: ast.stmt) -> int:
        start = self.source.start_of(stmt)
        return self.source.place(start, start).cell

    def _existing_import(self, stmt: _Import, module: str) -> ast.ImportFrom | None:
        """An import from the module in the same block and cell that can be extended: before all calls, or `stmt`."""
        assert self.scan.file is not None
        first_call, cell = self._first_call, self._cell(stmt)
        for other in [stmt, *self._imports_from.get(module, ())]:
            if (
                isinstance(other, ast.ImportFrom)
                and other.module == module
                and not other.level
                and isinstance(stmt, ast.ImportFrom)
                and other in self._block(stmt)
                and (other is stmt or self.source.end_of(other) < first_call)
                and self._cell(other) == cell
                and other.names[0].name != "*"
            ):
                return other
        return None

    def _last_before_calls(self, stmts: Iterable[_Import]) -> dict[type[_Import], _Import]:
        """The last import of each form at module level that comes before all rewritten calls."""
        assert self.scan.file is not None
        parent_of, first_call = self.scan.file.tree.parent, self._first_call
        own = (stmt for stmt in stmts if isinstance(parent_of.get(stmt), ast.Module))
        ready = [stmt for stmt in own if self.source.end_of(stmt) < first_call]
        return {type(stmt): stmt for stmt in sorted(ready, key=lambda stmt: stmt.lineno)}

    def _gathered(self, stmt: _Import, last: Mapping[type[_Import], _Import]) -> _Import:
        """The statement for a loader import: a later one in the block with a loader import, if no call comes before it."""
        assert self.scan.file is not None
        if not isinstance(self.scan.file.tree.parent.get(stmt), ast.Module):
            return stmt
        later = last.get(type(stmt), stmt)
        return later if later.lineno > stmt.lineno else stmt

    def _statement_edits(self, stmt: _Import, lines: list[str], gone: list[ast.alias]) -> list[Edit]:
        """Add import lines after a statement, or replace it if nothing of it remains."""
        source, text = self.source, self.source.text
        start, end = source.start_of(stmt), source.end_of(stmt)
        indent = text[source.line_starts[source.line_of(start) - 1] : start]
        last = source.line_of(end)
        line_end = source.line_starts[last] if last < len(source.line_starts) else len(text)
        rest = text[end:line_end].strip()
        # `if x: import a; import b`: another statement is on the same line.
        separator = "; " if indent.strip() or (rest and not rest.startswith("#")) else source.newline + indent
        elsewhere = self._sorted_place(stmt, lines) if lines and separator != "; " else None
        above: list[Edit] = []
        if elsewhere is not None and not (elsewhere == start and len(gone) == len(stmt.names)):
            beside = text[elsewhere:].partition("\n")[0]
            left = beside[: len(beside) - len(beside.lstrip())]
            written = "".join(f"{left}{line}{source.newline}" for line in lines)
            above, lines = [source.edit(elsewhere, elsewhere, written)], []
        if gone and len(gone) == len(stmt.names):
            if lines:
                return [source.edit(start, end, separator.join(lines))]
            return [*above, *self._line_removed(stmt)]
        edits = [*above, *(without_names(source, stmt.names, gone) if gone else [])]
        if lines:
            place = end if separator == "; " else end + len(text[end:line_end].rstrip("\r\n"))
            edits.append(source.edit(place, place, separator + separator.join(lines)))
        return edits

    def _sorted_place(self, stmt: _Import, lines: list[str]) -> int | None:
        assert self.scan.file is not None
        return place_of(stmt, lines[0], self._block(stmt), self.scan.file.tree.parent, self.source)

    def _line_removed(self, stmt: ast.stmt) -> list[Edit]:
        """Remove a statement that is alone on its lines, unless its block would be empty."""
        assert self.scan.file is not None
        if not isinstance(self.scan.file.tree.parent.get(stmt), ast.Module) and len(self._block(stmt)) < 2:
            return []
        text, starts = self.source.text, self.source.line_starts
        first = starts[self.source.line_of(self.source.start_of(stmt)) - 1]
        last = self.source.line_of(self.source.end_of(stmt))
        end = starts[last] if last < len(starts) else len(text)
        alone = text[first:end].strip() == text[self.source.start_of(stmt) : self.source.end_of(stmt)]
        return [self.source.edit(first, end, "")] if alone else []
