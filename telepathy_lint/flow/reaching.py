"""Reaching definitions of a single name: the points in the control flow of a scope, each linked to earlier points.

A walk over a scope's statements creates a `Point` wherever something happens to the name. Branches join in
one point, a loop's end leads back to its start, code after a return is unreachable, and an exception may
leave a `try` at any statement. The number of points depends on the statements, not on the number of paths.
"""

from __future__ import annotations

import ast
from bisect import bisect_left, bisect_right

from telepathy_lint.flow.bindings import DEFINITIONS, Binding, dotted, header
from telepathy_lint.flow.tree import COMPOUND, Scope, blocks_of
from telepathy_lint.hints import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from telepathy_lint.flow.writes import Write

#: With more bindings than this, a name is unknown.
MAX_BINDINGS = 128
#: With more paths than this into a point, the contents of a dict are unknown.
_MAX_WAYS = 64

#: Statements that affect the control flow.
_STEERING = COMPOUND | {ast.Return, ast.Raise, ast.Break, ast.Continue}
#: Context managers that suppress exceptions.
_SWALLOWING = ("suppress", "raises", "assertRaises", "assertRaisesRegex")


class Point:
    """A point in the control flow of a scope, for one name.

    "bound": the name is assigned (without a binding: the value from before the scope's first statement).
    "write": the dict that it refers to is changed. "join": one of the paths in `ways` leads here; all of them
    come from `before` or bind the name again. "loop": reached from `before`, or from one of `ways`, which
    start at the point itself.
    """

    __slots__ = ("before", "binding", "kind", "ways", "write")

    def __init__(
        self,
        kind: Literal["bound", "write", "join", "loop"],
        before: Point | None = None,
        binding: Binding | None = None,
        write: Write | None = None,
        ways: tuple[Point, ...] = (),
    ) -> None:
        self.kind = kind
        self.before = before
        self.binding = binding
        self.write = write
        self.ways = ways


State = Point | None  # None: unreachable


def walk_of(scope: Scope, name: str, *, writes: bool = False) -> Walk:
    """The walk for a name in a scope, with or without writes into its dict."""
    walk = scope.walks.get((name, writes))
    if walk is None:
        walk = scope.walks[name, writes] = Walk(scope, name, writes)
    return walk


def reaching(scope: Scope, name: str, stmt: ast.AST) -> frozenset[Binding | None] | None:
    """The bindings of `name` that reach `stmt`; None if unknown."""
    walk = walk_of(scope, name)
    point = walk.at(stmt)
    return walk.bindings(point) if point is not None else None


class Walk:
    """The control flow of a scope for one name; computed once for all statements."""

    def __init__(self, scope: Scope, name: str, writes: bool) -> None:
        self.scope = scope
        self.name = name
        self.writes = writes
        self.entry = Point("bound")
        self.leaving: list[Point] = []  # the state of the name where exceptions leave each enclosing `try`
        self.breaking: list[list[Point]] = []
        self.continuing: list[list[Point]] = []
        self.recording = True
        self.writing = self._writing()
        self.matters = self._matters()
        #: For each block (by id): its relevant statements, the point before each of them, and the point after
        #: the last one.
        self.inside: dict[int, list[ast.stmt]] = {}
        self.before: dict[ast.AST, Point] = {}
        self.behind: dict[int, Point] = {}
        self._loops: list[Point] = []
        self._bindings: dict[Point, frozenset[Binding | None] | None] = {}
        self.end: State = self.block(scope.body, self.entry)

    def release(self) -> None:
        """Break reference cycles between points; the garbage collector is off."""
        for point in self._loops:
            point.ways = ()

    def bindings(self, point: Point) -> frozenset[Binding | None] | None:
        """The bindings that reach a point; None if there are too many."""
        if point not in self._bindings:
            found, seen, pending = set[Binding | None](), {point}, [point]
            while pending and len(found) <= MAX_BINDINGS:
                current = pending.pop()
                if current.kind == "bound":
                    found.add(current.binding)
                    continue
                back = current.ways if current.kind == "join" else (current.before, *current.ways)
                for each in back:
                    if each is not None and each not in seen:
                        seen.add(each)
                        pending.append(each)
            self._bindings[point] = frozenset(found) if len(found) <= MAX_BINDINGS else None
        return self._bindings[point]

    def at(self, stmt: ast.AST) -> State:
        """The point before a statement of the scope; None if it is unreachable."""
        if stmt in self.matters:
            return self.before.get(stmt)
        # Inside a statement that does not affect the name, it is the same as before the statement.
        parent_of, node = self.scope.tree.parent, self.scope.node
        while stmt is not node and (owner := parent_of.get(stmt)) is not None:
            block = None
            if isinstance(owner, (ast.ExceptHandler, ast.match_case)):
                block, owner = owner.body, parent_of[owner]
            if owner is node:
                return self._in_block(self.scope.body, stmt)
            if owner in self.matters:
                found = block or next((each for each in blocks_of(owner) if _holds(each, stmt)), None)  # type: ignore[arg-type]
                return self._in_block(found, stmt) if found is not None else None
            if isinstance(owner, DEFINITIONS):
                return None  # a statement of another scope
            stmt = owner
        return None

    def _in_block(self, block: list[ast.stmt], stmt: ast.AST) -> State:
        """The point before a statement that is itself not relevant, in its block."""
        inside = self.inside.get(id(block))
        if inside is None:
            return None
        after = bisect_left(inside, _place(stmt), key=_place)
        return self.before.get(inside[after]) if after < len(inside) else self.behind.get(id(block))

    def _writing(self) -> set[ast.stmt]:
        """The statements that may write into the dict, because their own lines contain the name."""
        if not self.writes and not self.scope.tree.walruses:
            return set()
        firsts, lasts, stmts = self.scope.own_lines()
        found: set[ast.stmt] = set()
        for line in self.scope.tree.lines_with(self.name.rpartition(".")[2]):
            index = bisect_right(firsts, line)
            while index and lasts[index - 1] >= line:
                index -= 1
                found.add(stmts[index])
        return found

    def _matters(self) -> set[ast.AST]:
        """The statements that the walk must visit; the others do not affect the name."""
        stmts: list[ast.AST] = [*self.writing, *self.scope.jumps]
        name = self.name
        while name:
            stmts += [binding.stmt for binding in self.scope.bindings.get(name, ())]
            name = name.rpartition(".")[0]
        parent_of, found = self.scope.tree.parent, set[ast.AST]()
        for stmt in stmts:
            current: ast.AST | None = stmt
            while current is not None and current is not self.scope.node and current not in found:
                found.add(current)
                current = parent_of.get(current)
        found.update(self.scope.exits)
        return found

    def block(self, stmts: list[ast.stmt], state: State) -> State:
        inside = self.inside.get(id(stmts))
        if inside is None:
            inside = self.inside[id(stmts)] = [*filter(self.matters.__contains__, stmts)]
        for stmt in inside:
            if state is None:
                return None
            if self.recording:
                self.before[stmt] = state
            state = self.statement(stmt, state)
        if state is not None and self.recording:
            self.behind[id(stmts)] = state
        return state

    def statement(self, stmt: ast.stmt, state: Point) -> State:
        if type(stmt) not in _STEERING:
            return self.effects(stmt, state)
        if isinstance(stmt, (ast.Return, ast.Raise)):
            return None
        if isinstance(stmt, ast.Break):
            if self.breaking:
                self.breaking[-1].append(state)
            return None
        if isinstance(stmt, ast.Continue):
            if self.continuing:
                self.continuing[-1].append(state)
            return None
        if isinstance(stmt, ast.If):
            return self.branches(stmt, state)
        if isinstance(stmt, (ast.For, ast.AsyncFor, ast.While)):
            return self.loop(stmt, state)
        if isinstance(stmt, (ast.With, ast.AsyncWith)):
            return self.managed(stmt, state)
        if isinstance(stmt, ast.Match):
            # A case may capture the name, and its guard may bind it; another case may match, or none.
            start = self.join(state, (state, self.effects(stmt, state)))
            assert start is not None
            ways = [self.block(case.body, start) for case in stmt.cases]
            return self.join(start, (*ways, None if _takes_all(stmt) else start))
        return self.attempt(stmt, state)  # type: ignore[arg-type]

    def join(self, before: Point, ways: tuple[State, ...] | list[State]) -> State:
        """The point where several paths from `before` meet."""
        led = tuple(dict.fromkeys(way for way in ways if way is not None))
        if len(led) < 2:
            return led[0] if led else None
        if self.writes and len(led) > _MAX_WAYS:
            return Point("write", before, write=_unseen(self.scope.node))
        return Point("join", before, ways=led)

    def branches(self, stmt: ast.If, state: Point) -> State:
        """`if` with its `elif`s, which are nested in the tree."""
        before, ways = state, list[State]()
        while True:
            state = self.effects(stmt, state)
            ways.append(self.block(stmt.body, state))
            inner = stmt.orelse[0] if len(stmt.orelse) == 1 else None
            if not isinstance(inner, ast.If) or inner not in self.matters:
                return self.join(before, [*ways, self.block(stmt.orelse, state)])
            self.inside[id(stmt.orelse)] = [inner]
            if self.recording:
                self.before[inner] = state
            stmt = inner

    def loop(self, stmt: ast.For | ast.AsyncFor | ast.While, state: Point) -> State:
        self.breaking.append([])
        self.continuing.append([])
        start = Point("loop", state)
        self._loops.append(start)
        if isinstance(stmt, ast.While) and self.recording:
            self.before[stmt] = start  # the state for the loop's test
        out = self.block(stmt.body, self.effects(stmt, start))
        again = dict.fromkeys(each for each in (out, *self.continuing.pop()) if each not in (None, start))
        start.ways = tuple(each for each in again if each is not None)
        broken = self.breaking.pop()
        if self.writes and len(start.ways) > _MAX_WAYS:
            start.ways = (Point("write", start, write=_unseen(stmt)),)
        after = start if not isinstance(stmt, ast.While) else self.effects(stmt, start)
        endless = (
            isinstance(stmt, ast.While) and isinstance(stmt.test, ast.Constant) and bool(stmt.test.value)
        )
        normal = None if endless else self.block(stmt.orelse, after)
        return self.join(start, [normal, *broken])

    def managed(self, stmt: ast.With | ast.AsyncWith, state: Point) -> State:
        state = self.effects(stmt, state)
        if not any(_swallows(item.context_expr) for item in stmt.items):
            return self.block(stmt.body, state)
        self.leaving.append(state)
        out = self.block(stmt.body, state)
        return self.join(state, [out, self.leaving.pop()])

    def attempt(self, stmt: ast.Try, state: Point) -> State:
        self.leaving += [state] * (2 if stmt.finalbody else 1)
        body = self.block(stmt.body, state)
        raised = self.leaving.pop()
        ways = [self.block(stmt.orelse, body)]
        for handler in stmt.handlers:
            named = handler.name == self.name
            entry = Point("bound", binding=Binding("except", self.name, stmt)) if named else raised
            ways.append(self.block(handler.body, entry))
        after = self.join(state, ways)
        if not stmt.finalbody:
            return after
        # A `finally` block always runs, but the statements after it only run if there was no exception.
        left = self.leaving.pop()
        met = self.block(stmt.finalbody, self.join(state, [after, left]))
        if after is None or not self.inside[id(stmt.finalbody)]:
            return after
        if not self.recording:
            return met
        self.recording = False
        after = self.block(stmt.finalbody, after)
        self.recording = True
        return after

    def effects(self, stmt: ast.stmt, state: Point) -> Point:
        """Apply the effects of a statement's own expressions and targets on the name."""
        if self.writes and stmt in self.writing:
            for write in self.writes_in(stmt):
                state = Point("write", state, write=write)
                if self.leaving:
                    self._may_leave(write=write)
        for name, binding in self.scope.bound_by.get(stmt, ()):
            if name == self.name and binding.kind != "annotation":
                if binding.kind == "augment" and self.writes:
                    continue  # `d |= {...}` writes into the existing dict
                state = Point("bound", binding=binding)
            elif name != self.name and self.name.startswith(f"{name}.") and binding.kind != "annotation":
                state = Point("bound", binding=Binding("other", self.name, stmt))
            else:
                continue
            if self.leaving:
                self._may_leave(bound=state)
        if self.scope.tree.walruses and stmt in self.writing:
            for inner in (node for part in header(stmt) for node in ast.walk(part)):
                if isinstance(inner, ast.NamedExpr) and dotted(inner.target) == self.name:
                    bound = Point("bound", binding=Binding("assign", self.name, stmt, inner.value))
                    state = Point("join", state, ways=(state, bound))
                    if self.recording:  # the state for the rest of the statement
                        first = self.before[stmt]
                        self.before[stmt] = Point("join", first, ways=(first, state))
                    if self.leaving:
                        self._may_leave(bound=bound)
        return state

    def _may_leave(self, write: Write | None = None, bound: Point | None = None) -> None:
        """Record that an exception may leave each enclosing `try` before or after this effect."""
        for index, state in enumerate(self.leaving):
            after = bound if bound is not None else Point("write", state, write=write)
            self.leaving[index] = Point("join", state, ways=(state, after))

    def writes_in(self, stmt: ast.stmt) -> list[Write]:
        """The writes of a statement into the name's dict."""
        known = self.scope.writes
        key = stmt, self.name
        if key not in known:
            from telepathy_lint.flow.writes import writes_of  # few names are of dicts that matter

            tree = self.scope.tree
            known[key] = writes_of(stmt, self.name, tree.own_nodes(stmt), tree.parent)
        return known[key]


def _unseen(node: ast.AST) -> Write:
    from telepathy_lint.flow.writes import Write

    return Write("unseen", node)


def _takes_all(stmt: ast.Match) -> bool:
    """Whether the last case matches everything."""
    last = stmt.cases[-1]
    return last.guard is None and isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None


def _swallows(manager: ast.expr) -> bool:
    name = dotted(manager.func) if isinstance(manager, ast.Call) else None
    return name is not None and name.rpartition(".")[2] in _SWALLOWING


def _place(stmt: ast.AST) -> tuple[int, int]:
    return stmt.lineno, stmt.col_offset  # type: ignore[attr-defined]


def _holds(block: list[ast.stmt], stmt: ast.AST) -> bool:
    index = bisect_left(block, _place(stmt), key=_place)
    return index < len(block) and block[index] is stmt
