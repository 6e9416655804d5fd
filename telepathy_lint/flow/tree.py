"""The scopes and bindings of one file, computed on demand.

The whole tree is never walked: `Tree.visit` descends only to requested lines, and a scope reads its own
statements (not expressions) when a name is first looked up in it.
"""

from __future__ import annotations

import ast
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter

from telepathy_lint.flow.bindings import DEFINITIONS, Binding, bindings_of, parameters, walruses
from telepathy_lint.hints import TYPE_CHECKING, Any, Protocol
from telepathy_lint.source.prefilter import find_words
from telepathy_lint.source.text import Source

if TYPE_CHECKING:
    from telepathy_lint.flow.writes import Write

ScopeNode = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef
_SCOPED = (*DEFINITIONS, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


#: Statements that bind nothing and contain no statements: the most frequent ones.
_INERT = frozenset({ast.Expr, ast.Return, ast.Raise, ast.Pass, ast.Assert})
_EXITS = frozenset({ast.Return, ast.Raise})
#: Statements that contain statements without creating a scope.
COMPOUND: frozenset[type[ast.stmt]] = frozenset(
    {ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match}
    | ({ast.TryStar} if hasattr(ast, "TryStar") else set())
)
#: Statements that contain statements.
_HOLDING: frozenset[type[ast.stmt]] = COMPOUND | {*DEFINITIONS}

#: Fields that contain names, flags and operators rather than nodes to visit.
_PLAIN = frozenset(
    {
        "ctx", "op", "ops", "attr", "id", "arg", "kind", "conversion", "type_comment", "type_ignores", "name", "asname",
        "level", "module", "simple", "is_async", "tag", "rest", "kwd_attrs", "str",
    }
)  # fmt: skip
#: Fields of statements that contain statements, or nodes that do.
_BLOCKS = frozenset({"body", "orelse", "finalbody", "handlers", "cases"})


#: These fields by kind of statement, in reading order; handlers and cases contain statements themselves.
_BLOCKS_OF = {kind: tuple(field for field in kind._fields if field in _BLOCKS) for kind in _HOLDING}
_PARTS = frozenset({"handlers", "cases"})


class _Inside(dict[type[ast.AST], tuple[str, ...]]):
    """For each kind of node, the fields with child nodes, without blocks of statements; most nodes have none."""

    def __missing__(self, kind: type[ast.AST]) -> tuple[str, ...]:
        self[kind] = fields = self._fields(kind)  # a file has few of the kinds
        return fields

    def _fields(self, kind: type[ast.AST]) -> tuple[str, ...]:
        if kind in (ast.Constant, ast.Global, ast.Nonlocal, ast.MatchSingleton):
            return ()
        left_out = _PLAIN if issubclass(kind, ast.expr) else _PLAIN | _BLOCKS
        return tuple([field for field in kind._fields if field not in left_out])


_INSIDE = _Inside()


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
    """Follows a file's imports into modules of the project; both methods return None for other modules."""

    def __call__(self, dotted: str) -> tuple[Any, ...] | None:
        """The values (value.py) of a dotted import ("pkg.module.NAME")."""

    def holder(self, dotted: str) -> Scope | None:
        """The scope of the module that a dotted import refers to."""


class Scope:
    """A module, class or function body and the names bound in it."""

    def __init__(self, tree: Tree, node: ScopeNode, parent: Scope | None) -> None:
        self.tree = tree
        self.node = node
        self.parent = parent
        self.is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        self.is_class = isinstance(node, ast.ClassDef)
        self._bindings: dict[str, list[Binding]] | None = None
        self.elsewhere: set[str] = set()  # declared global or nonlocal
        self.definitions: list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef] = []
        self.statements: list[ast.stmt] = []
        self.bound_by: dict[ast.AST, list[tuple[str, Binding]]] = {}  # the bindings of each statement itself
        self.jumps: list[ast.stmt] = []  # break and continue
        self.exits: list[ast.stmt] = []  # return and raise
        self._own_lines: tuple[list[int], list[int], list[ast.stmt]] | None = None
        #: The walks of reaching.py, by name, and whether they include writes.
        self.walks: dict[tuple[str, bool], Any] = {}
        self.writes: dict[tuple[ast.stmt, str], list[Write]] = {}  # by statement and name of the dict

    @property
    def body(self) -> list[ast.stmt]:
        return [] if isinstance(self.node, ast.Lambda) else self.node.body

    @property
    def bindings(self) -> dict[str, list[Binding]]:
        if self._bindings is None:
            self._bindings = self._collect()
        return self._bindings

    def read(self) -> None:
        """Compute `statements`, `definitions` and the parents of statements."""
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
                if kind is not ast.Assign:  # the most frequent of the remaining kinds
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
        """Record a statement that does more than bind names."""
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
        """The first and last lines of the scope's statements in reading order, without those of nested statements."""
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
    """Whether any of the sorted lines is in a statement."""
    index = bisect_left(lines, stmt.lineno)
    return index < len(lines) and lines[index] <= (stmt.end_lineno or stmt.lineno)


# Not a NamedTuple: tens of thousands are created, which would take 1.5 times as long, and reading them twice
# as long.
class Context:
    """The context of an expression: its scope, its statement, and enclosing comprehensions and lambdas."""

    __slots__ = ("inner", "scope", "stmt")

    def __init__(self, scope: Scope, stmt: ast.AST | None, inner: tuple[ast.AST, ...] = ()) -> None:
        self.scope = scope
        self.stmt = stmt
        self.inner = inner


class Tree:
    """The syntax tree of one file, with the parents of visited nodes, and scopes created on demand."""

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
        #: Where each name is read (handled.py). Not stored with the source, because another tree would have
        #: other nodes.
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
        """The nodes of the statements on any of the sorted (1-based) lines, outer before inner; records their parents.

        Includes all of a statement except nested statements; of those, only the ones on the lines.
        """
        found: list[ast.AST] = []
        for holder in self._holders(lines):
            found += self.own_nodes(holder)
        return found

    def statements(self, lines: Sequence[int]) -> list[ast.stmt]:
        """The statements on any of the sorted (1-based) lines, outer before inner."""
        return [holder for holder in self._holders(lines) if isinstance(holder, ast.stmt)]

    def _holders(self, lines: Sequence[int]) -> list[ast.AST]:
        found: list[ast.AST] = []
        self._descend(self.module.body, self.module, lines, found)
        return found

    def _descend(
        self, block: list[ast.stmt], owner: ast.AST, lines: Sequence[int], found: list[ast.AST]
    ) -> None:
        """Add the statements of a block that are on any of the sorted lines, and nested ones."""
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
                first = stmt.decorator_list[0].lineno  # decorators are above the line of the definition
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
            # The next statement may begin on the line where this one ends.
            place = after - 1 if lines[after - 1] == stmt.end_lineno else after

    def own_nodes(self, holder: ast.AST) -> list[ast.AST]:
        """A statement (or handler, or case) and its nodes, without those of nested statements."""
        nodes = self._nodes.get(holder)
        if nodes is None:
            nodes = self._nodes[holder] = [holder]
            parent_of, add = self.parent, nodes.append
            for node in nodes:  # the list grows during the loop
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
        """The sorted physical lines of offsets, without duplicates."""
        return sorted({self.source.line_of(offset) for offset in offsets})

    def lines_with(self, word: str) -> list[int]:
        """The sorted physical lines that contain a word, including strings and comments."""
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
        """The scope that a definition creates."""
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
        """Break the reference cycles of scopes; the garbage collector is off."""
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
        """The scopes that declare a name global or nonlocal."""
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
        """All module, class and function scopes of the file, without lambdas."""
        if self._all_scopes is None:
            scopes = [self.top]
            for scope in scopes:
                scope.read()
                scopes.extend(self._scope(definition, scope) for definition in scope.definitions)
            self._all_scopes = scopes
        return self._all_scopes
