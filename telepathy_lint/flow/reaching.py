"""How a name gets its value: the places in the flow of one scope, each leading back to those before it.

A walk over a scope's statements follows a single name and makes a `Point` where something happens to it: branches join in
one point, a loop's end leads back to its beginning, code behind a return is not reached, an exception may leave a `try` at
any statement. There are as many points as statements that matter, however many paths lead through them.
"""

from __future__ import annotations

import ast
from bisect import bisect_left, bisect_right
from typing import Literal

from telepathy_lint.flow.bindings import DEFINITIONS, Binding, dotted, header
from telepathy_lint.flow.tree import COMPOUND, Scope, blocks_of
from telepathy_lint.flow.writes import Write, writes_of

#: More bindings than this may arrive at a place, and nothing is claimed about it.
MAX_BINDINGS = 128
#: More ways than this into one place, and nothing is claimed about what was written on them.
_MAX_WAYS = 64

#: Statements that decide what runs next.
_STEERING = COMPOUND | {ast.Return, ast.Raise, ast.Break, ast.Continue}
#: What swallows an exception when used by `with`.
_SWALLOWING = ("suppress", "raises", "assertRaises", "assertRaisesRegex")


class Point:
    """A place in the flow of a scope, for one name.

    "bound": the name gets a value there (no binding: the one from before the scope's first statement). "write": the dict
    that it holds is written into. "join": one of the ways in `ways` led there; all come by `before`, or bind the name
    anew. "loop": `before` led there, or one of `ways`, each of which comes from the point itself.
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


State = Point | None  # None: not reached


def walk_of(scope: Scope, name: str, *, writes: bool = False) -> Walk:
    """The walk that follows a name through a scope, with or without the writes into what it holds."""
    walk = scope.walks.get((name, writes))
    if walk is None:
        walk = scope.walks[name, writes] = Walk(scope, name, writes)
    return walk


def reaching(scope: Scope, name: str, stmt: ast.AST) -> frozenset[Binding | None] | None:
    """The bindings with which `name` arrives at `stmt`, None where they cannot be told."""
    walk = walk_of(scope, name)
    point = walk.at(stmt)
    return walk.bindings(point) if point is not None else None


class Walk:
    """One name followed through a scope's statements, once for everybody who asks how it arrives somewhere."""

    def __init__(self, scope: Scope, name: str, writes: bool) -> None:
        self.scope = scope
        self.name = name
        self.writes = writes
        self.entry = Point("bound")
        self.leaving: list[
            Point
        ] = []  # for each `try` around, how the name arrives where an exception leaves it
        self.breaking: list[list[Point]] = []
        self.continuing: list[list[Point]] = []
        self.recording = True
        self.writing = self._writing()
        self.matters = self._matters()
        #: The statements of each block (by its id) that matter, the points before each of them and behind the last.
        self.inside: dict[int, list[ast.stmt]] = {}
        self.before: dict[ast.AST, Point] = {}
        self.behind: dict[int, Point] = {}
        self._loops: list[Point] = []
        self._bindings: dict[Point, frozenset[Binding | None] | None] = {}
        self.end: State = self.block(scope.body, self.entry)

    def release(self) -> None:
        """Break the circles of points: the garbage collector is off."""
        for point in self._loops:
            point.ways = ()

    def bindings(self, point: Point) -> frozenset[Binding | None] | None:
        """The bindings whose value the name may have at a point, None where there are too many."""
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
        """How the name arrives at a statement of the scope, None where that is not reached."""
        if stmt in self.matters:
            return self.before.get(stmt)
        # Inside a statement that leaves the name alone it is as it was before that statement.
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
        """How the name arrives at a statement of a block that does not matter itself."""
        inside = self.inside.get(id(block))
        if inside is None:
            return None
        after = bisect_left(inside, _place(stmt), key=_place)
        return self.before.get(inside[after]) if after < len(inside) else self.behind.get(id(block))

    def _writing(self) -> set[ast.stmt]:
        """The statements that may write into the dict: their own lines show the name."""
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
        """The statements through which the walk must go; all others leave the name as it is."""
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
            # A case may capture the name, or its guard bind it; another case, or none, may be taken.
            start = self.join(state, (state, self.effects(stmt, state)))
            assert start is not None
            ways = [self.block(case.body, start) for case in stmt.cases]
            return self.join(start, (*ways, None if _takes_all(stmt) else start))
        return self.attempt(stmt, state)  # type: ignore[arg-type]

    def join(self, before: Point, ways: tuple[State, ...] | list[State]) -> State:
        """Where several ways meet that all come by `before`."""
        led = tuple(dict.fromkeys(way for way in ways if way is not None))
        if len(led) < 2:
            return led[0] if led else None
        if self.writes and len(led) > _MAX_WAYS:
            return Point("write", before, write=Write("unseen", self.scope.node))
        return Point("join", before, ways=led)

    def branches(self, stmt: ast.If, state: Point) -> State:
        """`if` with its `elif`s, which the tree has one inside the other."""
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
            self.before[stmt] = start  # what the test sees
        out = self.block(stmt.body, self.effects(stmt, start))
        again = dict.fromkeys(each for each in (out, *self.continuing.pop()) if each not in (None, start))
        start.ways = tuple(each for each in again if each is not None)
        broken = self.breaking.pop()
        if self.writes and len(start.ways) > _MAX_WAYS:
            start.ways = (Point("write", start, write=Write("unseen", stmt)),)
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
        # The block also runs on the way out, but what follows it does so only where nothing was raised.
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
        """What the statement's own expressions and targets do to the name."""
        if self.writes and stmt in self.writing:
            for write in self.writes_in(stmt):
                state = Point("write", state, write=write)
                if self.leaving:
                    self._may_leave(write=write)
        for name, binding in self.scope.bound_by.get(stmt, ()):
            if name == self.name and binding.kind != "annotation":
                if binding.kind == "augment" and self.writes:
                    continue  # `d |= {...}` is a write into what is there
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
                    if self.recording:  # what the rest of the statement sees
                        first = self.before[stmt]
                        self.before[stmt] = Point("join", first, ways=(first, state))
                    if self.leaving:
                        self._may_leave(bound=bound)
        return state

    def _may_leave(self, write: Write | None = None, bound: Point | None = None) -> None:
        """An exception behind what happens here would leave every `try` around with it, one before without it."""
        for index, state in enumerate(self.leaving):
            after = bound if bound is not None else Point("write", state, write=write)
            self.leaving[index] = Point("join", state, ways=(state, after))

    def writes_in(self, stmt: ast.stmt) -> list[Write]:
        """What a statement does to the dict that the name holds."""
        known = self.scope.writes
        key = stmt, self.name
        if key not in known:
            tree = self.scope.tree
            known[key] = writes_of(stmt, self.name, tree.own_nodes(stmt), tree.parent)
        return known[key]


def _takes_all(stmt: ast.Match) -> bool:
    """Whether the last case takes whatever the others left."""
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
