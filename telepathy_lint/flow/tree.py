"""Scopes and bindings of one file, worked out only where somebody asks.

Nothing here walks the whole tree: `Tree.visit` descends to the lines of interest, and a scope reads its own statements
(never expressions) the first time a name is looked up in it.
"""

from __future__ import annotations

import ast
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Protocol

from telepathy_lint.flow.bindings import DEFINITIONS, Binding, bindings_of, parameters, walruses
from telepathy_lint.source.prefilter import find_words
from telepathy_lint.source.text import Source

if TYPE_CHECKING:
    from telepathy_lint.flow.writes import Write

ScopeNode = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef
_SCOPED = (*DEFINITIONS, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


#: Statements that bind nothing and hold no statements: most of a body.
_INERT = frozenset({ast.Expr, ast.Return, ast.Raise, ast.Pass, ast.Assert})
_EXITS = frozenset({ast.Return, ast.Raise})
#: Statements that hold statements and open no scope.
COMPOUND: frozenset[type[ast.stmt]] = frozenset(
    {ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match}
    | ({ast.TryStar} if hasattr(ast, "TryStar") else set())
)
#: Statements that hold statements.
_HOLDING: frozenset[type[ast.stmt]] = COMPOUND | {*DEFINITIONS}

#: Fields that hold names, flags and operators instead of nodes worth a visit.
_PLAIN = frozenset(
    {
        "ctx", "op", "ops", "attr", "id", "arg", "kind", "conversion", "type_comment", "type_ignores", "name", "asname",
        "level", "module", "simple", "is_async", "tag", "rest", "kwd_attrs", "str",
    }
)  # fmt: skip
#: The fields of statements that hold other statements, or what holds them in turn.
_BLOCKS = frozenset({"body", "orelse", "finalbody", "handlers", "cases"})


#: The fields of those statements that hold statements, in reading order; handlers and cases hold them in turn.
_BLOCKS_OF = {kind: tuple(field for field in kind._fields if field in _BLOCKS) for kind in _HOLDING}
_PARTS = frozenset({"handlers", "cases"})


def _fields_inside(kind: type[ast.AST]) -> tuple[str, ...]:
    if kind in (ast.Constant, ast.Global, ast.Nonlocal, ast.MatchSingleton):
        return ()
    left_out = _PLAIN if issubclass(kind, ast.expr) else _PLAIN | _BLOCKS
    return tuple(field for field in kind._fields if field not in left_out)


#: The fields of each kind of node that can hold others, blocks of statements left out; most nodes of a tree have none.
_INSIDE = {
    kind: _fields_inside(kind)
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
}


_start_of: Callable[[ast.stmt], int] = attrgetter("lineno")
_end_of: Callable[[ast.stmt], int] = attrgetter("end_lineno")


def blocks_of(stmt: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The statement lists directly inside a compound statement."""
    for name in _BLOCKS_OF[type(stmt)]:
        if name in _PARTS:
            for part in getattr(stmt, name):
                yield part.body
        else:
            yield getattr(stmt, name)


class Importer(Protocol):
    """Follows a file's imports into the project's own modules; both answers are None for another's."""

    def __call__(self, dotted: str) -> tuple[Any, ...] | None:
        """The values (value.py) that a dotted import ("pkg.module.NAME") is bound to."""

    def holder(self, dotted: str) -> Scope | None:
        """The scope of the module that it takes the name from."""


class Scope:
    """A module, class or function body and the names bound in it."""

    def __init__(self, tree: Tree, node: ScopeNode, parent: Scope | None) -> None:
        self.tree = tree
        self.node = node
        self.parent = parent
        self.is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        self.is_class = isinstance(node, ast.ClassDef)
        self._bindings: dict[str, list[Binding]] | None = None
        self.elsewhere: set[str] = set()  # names declared global or nonlocal
        self.definitions: list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef] = []
        self.statements: list[ast.stmt] = []
        self.bound_by: dict[ast.AST, list[tuple[str, Binding]]] = {}  # what each statement itself binds
        self.jumps: list[ast.stmt] = []  # break and continue
        self.exits: list[ast.stmt] = []  # return and raise
        self._own_lines: tuple[list[int], list[int], list[ast.stmt]] | None = None
        #: The walks of reaching.py, by the name followed, with or without the writes into it.
        self.walks: dict[tuple[str, bool], Any] = {}
        self.writes: dict[tuple[ast.stmt, str], list[Write]] = {}  # of the dict called so

    @property
    def body(self) -> list[ast.stmt]:
        return [] if isinstance(self.node, ast.Lambda) else self.node.body

    @property
    def bindings(self) -> dict[str, list[Binding]]:
        if self._bindings is None:
            self._bindings = self._collect()
        return self._bindings

    def read(self) -> None:
        """Make `statements`, `definitions` and the parents of statements known."""
        _ = self.bindings

    def _collect(self) -> dict[str, list[Binding]]:
        found: dict[str, list[Binding]] = {}
        if isinstance(self.node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            for arg in parameters(self.node):
                found.setdefault(arg.arg, []).append(Binding("param", arg.arg, self.node))
        parent_of = self.tree.parent
        lines = self.tree.walruses
        pending: list[tuple[ast.AST, list[ast.stmt]]] = [(self.node, self.body)]
        while pending:
            owner, block = pending.pop()
            for stmt in block:
                parent_of[stmt] = owner
                self.statements.append(stmt)
                kind = type(stmt)
                if kind in _EXITS:
                    self.exits.append(stmt)
                walrus = lines and _is_on(stmt, lines)
                if kind in _INERT and not walrus:
                    continue
                if kind is not ast.Assign:  # most of what is left
                    self._note(stmt, found)
                if bound := bindings_of(stmt):
                    self.bound_by[stmt] = bound
                    for name, binding in bound:
                        found.setdefault(name, []).append(binding)
                if walrus:
                    for name, binding in walruses(stmt):
                        found.setdefault(name, []).append(binding)
                if kind in COMPOUND:
                    for inner in blocks_of(stmt):
                        pending.append((stmt, inner))
        return found

    def _note(self, stmt: ast.stmt, found: dict[str, list[Binding]]) -> None:
        """Remember a statement that does more than bind names."""
        if isinstance(stmt, DEFINITIONS):
            self.definitions.append(stmt)
        elif isinstance(stmt, (ast.Global, ast.Nonlocal)):
            self.elsewhere.update(stmt.names)
        elif isinstance(stmt, ast.Try) or type(stmt).__name__ == "TryStar":
            for handler in stmt.handlers:  # type: ignore[attr-defined]
                self.tree.parent[handler] = stmt
                if handler.name:
                    found.setdefault(handler.name, []).append(Binding("except", handler.name, stmt))
        elif isinstance(stmt, (ast.Break, ast.Continue)):
            self.jumps.append(stmt)

    def own_lines(self) -> tuple[list[int], list[int], list[ast.stmt]]:
        """The first and last lines of the statements in reading order, without those of the statements inside them."""
        if self._own_lines is None:
            self.read()
            stmts = sorted(self.statements, key=_start_of)
            lasts = []
            for stmt in stmts:
                body = getattr(stmt, "body", None)
                lasts.append(body[0].lineno if isinstance(body, list) and body else _end_of(stmt))
            self._own_lines = [stmt.lineno for stmt in stmts], lasts, stmts
        return self._own_lines

    def binds(self, name: str) -> bool:
        return name in self.bindings and name not in self.elsewhere


def _is_on(stmt: ast.stmt, lines: list[int]) -> bool:
    """Whether any of the sorted lines belongs to a statement."""
    index = bisect_left(lines, stmt.lineno)
    return index < len(lines) and lines[index] <= (stmt.end_lineno or stmt.lineno)


# Made by the ten thousand and never changed: a named tuple would take half as long again to make, and twice as long to read.
class Context:
    """Where an expression stands: its scope, the statement it belongs to, comprehensions and lambdas around it."""

    __slots__ = ("inner", "scope", "stmt")

    def __init__(self, scope: Scope, stmt: ast.AST | None, inner: tuple[ast.AST, ...] = ()) -> None:
        self.scope = scope
        self.stmt = stmt
        self.inner = inner


class Tree:
    """One file's syntax tree with parents of what was visited and scopes made on demand."""

    def __init__(self, source: Source, importer: Importer | None = None) -> None:
        self.source = source
        self.importer = importer
        self.module = module = source.tree
        self.text = text = source.text
        self.walruses = self.lines_of(find_words(text, ":=", whole=False)) if ":=" in text else []
        self.has_global = "global " in text or "nonlocal " in text
        self.parent: dict[ast.AST, ast.AST] = {}
        self._nodes: dict[ast.AST, list[ast.AST]] = {}
        self._scopes: dict[ast.AST, Scope] = {}
        self._lines_with: dict[str, list[int]] = {}
        #: Where each name is read (handled.py). Kept here, not with the source: another tree of it knows other parents.
        self.reads: dict[str, list[ast.Name] | None] = {}
        self.top = self._scope(module, None)
        self._all_scopes: list[Scope] | None = None
        self._declaring: dict[str, list[Scope]] | None = None

    def _scope(self, node: ScopeNode, parent: Scope | None) -> Scope:
        scope = self._scopes.get(node)
        if scope is None:
            scope = self._scopes[node] = Scope(self, node, parent)
        return scope

    def visit(self, lines: Sequence[int]) -> list[ast.AST]:
        """The nodes of the statements on any of the sorted (1-based) lines, outer before inner; remembers their parents.

        A statement comes whole but for the statements inside it: of those, too, only the ones on the lines.
        """
        found: list[ast.AST] = []
        for holder in self._holders(lines):
            found += self.own_nodes(holder)
        return found

    def statements(self, lines: Sequence[int]) -> list[ast.stmt]:
        """The statements on any of the sorted (1-based) lines, outer before inner, not looked into."""
        return [holder for holder in self._holders(lines) if isinstance(holder, ast.stmt)]

    def _holders(self, lines: Sequence[int]) -> list[ast.AST]:
        found: list[ast.AST] = []
        self._descend(self.module.body, self.module, lines, found)
        return found

    def _descend(
        self, block: list[ast.stmt], owner: ast.AST, lines: Sequence[int], found: list[ast.AST]
    ) -> None:
        """Add the statements of a block that are on any of the sorted lines, and those inside them."""
        at = place = 0
        while place < len(lines):
            at = bisect_left(block, lines[place], at, key=_end_of)
            if at == len(block):
                return
            stmt = block[at]
            at += 1
            kind = type(stmt)
            first = stmt.lineno
            if isinstance(stmt, DEFINITIONS) and stmt.decorator_list:
                first = stmt.decorator_list[0].lineno  # they stand above the line of their definition
            if first > lines[place]:
                place = bisect_left(lines, first, place)
            after = bisect_right(lines, _end_of(stmt), place)
            if after == place:
                continue
            self.parent[stmt] = owner
            found.append(stmt)
            if kind in _BLOCKS_OF:
                inner = lines[place:after]
                for name in _BLOCKS_OF[kind]:
                    if name not in _PARTS:
                        self._descend(getattr(stmt, name), stmt, inner, found)
                        continue
                    for part in getattr(stmt, name):
                        self.parent[part] = stmt
                        found.append(part)
                        self._descend(part.body, part, inner, found)
            # The next statement may begin on the line on which this one ends.
            place = after - 1 if lines[after - 1] == stmt.end_lineno else after

    def own_nodes(self, holder: ast.AST) -> list[ast.AST]:
        """A statement (or handler, or case) and the nodes in it that belong to no statement inside it."""
        nodes = self._nodes.get(holder)
        if nodes is None:
            nodes = self._nodes[holder] = [holder]
            parent_of, add = self.parent, nodes.append
            for node in nodes:  # which grows meanwhile
                for name in _INSIDE[type(node)]:
                    child: Any = getattr(node, name)
                    if type(child) is list:
                        for each in child:
                            if each is not None:
                                parent_of[each] = node
                                add(each)
                    elif child is not None:
                        parent_of[child] = node
                        add(child)
        return nodes

    def lines_of(self, offsets: Iterable[int]) -> list[int]:
        """The sorted physical lines of offsets, each once."""
        return sorted({self.source.line_of(offset) for offset in offsets})

    def lines_with(self, word: str) -> list[int]:
        """The sorted physical lines on which a word stands, strings and comments included."""
        if word not in self._lines_with:
            self._lines_with[word] = self.lines_of(find_words(self.text, word))
        return self._lines_with[word]

    def scope_of(self, node: ast.AST) -> Scope:
        """The scope in which a visited node is evaluated."""
        child, current = node, self.parent.get(node)
        while current is not None:
            if isinstance(current, _SCOPED) and (
                isinstance(child, ast.stmt) or (type(current) is ast.Lambda and child is current.body)
            ):
                return self.scope_at(current)
            child, current = current, self.parent.get(current)
        return self.top

    def scope_at(self, definition: ast.AST) -> Scope:
        """The scope that a definition opens."""
        scope = self._scopes.get(definition)
        if scope is None:
            assert isinstance(definition, _SCOPED)
            scope = self._scope(definition, self.scope_of(definition))
        return scope

    def context_of(self, node: ast.AST) -> Context:
        """The context of an expression."""
        if node not in self.parent and (first := getattr(node, "lineno", None)) is not None:
            self.visit(range(first, (getattr(node, "end_lineno", None) or first) + 1))
        inner: list[ast.AST] = []
        current: ast.AST | None = node
        while current is not None and not isinstance(current, (ast.stmt, ast.Module)):
            parent = self.parent.get(current)
            if isinstance(parent, _COMPREHENSIONS):
                inner.append(parent)
            elif isinstance(parent, ast.Lambda) and current is parent.body:
                return Context(self.scope_of(current), None, tuple(inner))
            current = parent
        if current is None:
            return Context(self.top, None, tuple(inner))
        return Context(self.scope_of(current) if current in self.parent else self.top, current, tuple(inner))

    def release(self) -> None:
        """Let go of the scopes: they point back here, and only a collection would notice that nobody needs them."""
        for scope in self._scopes.values():
            for walk in scope.walks.values():
                walk.release()
            scope.walks.clear()
        self._scopes.clear()
        self._all_scopes = self._declaring = None
        self.parent.clear()
        self._nodes.clear()
        self.reads.clear()
        del self.top

    def declaring(self, name: str) -> list[Scope]:
        """The scopes that say of a name that it is global, or another function's."""
        if self._declaring is None:
            self._declaring = {}
            words = (
                [*find_words(self.text, "global"), *find_words(self.text, "nonlocal")]
                if self.has_global
                else []
            )
            for stmt in self.statements(self.lines_of(words)):
                if isinstance(stmt, (ast.Global, ast.Nonlocal)):
                    scope = self.scope_of(stmt)
                    for each in stmt.names:
                        if scope not in (scopes := self._declaring.setdefault(each, [])):
                            scopes.append(scope)
        return self._declaring.get(name, [])

    def all_scopes(self) -> list[Scope]:
        """Every module, class and function scope of the file (lambdas left out)."""
        if self._all_scopes is None:
            scopes = [self.top]
            for scope in scopes:
                scope.read()
                scopes.extend(self._scope(definition, scope) for definition in scope.definitions)
            self._all_scopes = scopes
        return self._all_scopes
