"""The contents of the dict that a name refers to, at a point in the control flow."""

from __future__ import annotations

import ast

from telepathy_lint.flow.bindings import DEFINITIONS, Binding
from telepathy_lint.flow.contents import (
    GONE,
    Change,
    Effect,
    Item,
    Part,
    at_one_of,
    either,
    one_of,
    opaque,
    opened,
    possibly,
    spread,
    through,
    unknown,
    unseen,
    written,
)
from telepathy_lint.flow.reaching import Point, Walk, walk_of
from telepathy_lint.flow.sharing import ANY, Sharing, in_loop, line_of
from telepathy_lint.flow.tree import Context, Scope
from telepathy_lint.flow.value import Value
from telepathy_lint.flow.writes import Write
from telepathy_lint.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from telepathy_lint.flow.protocols import DictReader

#: A loop whose effect does not converge in this many rounds is treated as unknown.
_MAX_ROUNDS = 6


#: Bindings that do not change the value of a name.
_NO_VALUE = ("annotation", "augment")


class DictContent:
    """Computes contents at points of the control flow, for a reader of dicts."""

    __slots__ = ("_dicts", "_known", "_sharing")

    def __init__(self, dicts: DictReader) -> None:
        self._dicts = dicts
        self._known = dicts.evaluator.known
        self._sharing = Sharing(dicts.evaluator)

    def at(self, scope: Scope, name: str, stmt: ast.AST, node: ast.expr) -> Effect | None:
        """The contents of a name where a statement reads it at `node`; None if the name is not a dict there."""
        walk = walk_of(scope, name, writes=True)
        where = Context(scope, stmt)
        point = walk.at(stmt)
        if point is None:
            return opaque(unseen(node, where))
        found = self._at(walk, point)
        if found is not None and stmt in walk.writing:
            for write in walk.writes_in(stmt):
                if write.call is not None and _stands_before(write.call, node):
                    found = either((found, found.followed_by(self._effect(write, where, name))))
        if name.startswith(("self.", "cls.")) and not scope.bindings.get(name):
            return found  # other scopes' writes are already included
        return self._with_others(found, scope, name, stmt)

    def left(self, scope: Scope, name: str) -> Effect | None:
        """The contents of a name after the scope's code has run."""
        walk = walk_of(scope, name, writes=True)
        points = [walk.end, *(walk.before.get(stmt) for stmt in scope.exits if isinstance(stmt, ast.Return))]
        led = dict.fromkeys(point for point in points if point is not None)
        if not led:
            return opaque(unseen(scope.node, Context(scope, None)))
        return self._with_others(one_of(self._at(walk, point) for point in led), scope, name)

    def inside(self, scope: Scope, name: str, inner: Scope) -> Effect | None:
        """The contents of a name for an inner function, which may run at any time after its definition."""
        while inner.parent is not None and inner.parent is not scope:
            inner = inner.parent
        tree, node = scope.tree, inner.node
        stmt = node if isinstance(node, DEFINITIONS) else tree.context_of(node).stmt
        walk = walk_of(scope, name, writes=True)
        point = walk.at(stmt) if stmt is not None else None
        if point is None or not isinstance(stmt, ast.stmt):
            return self.left(scope, name)
        found = self._at(walk, point)
        again = in_loop(tree, stmt, scope)
        bound = {each.stmt: each for each in scope.bindings.get(name, ()) if each.kind not in _NO_VALUE}
        later = {each for each in {*walk.writing, *bound} if again or line_of(each) > stmt.lineno} - {stmt}
        for each in sorted(later, key=line_of) * (2 if again else 1):
            writes = walk.writes_in(each) if each in walk.writing else []
            if found is not None and writes:
                found = found.copy()
                for write in writes:
                    found.follow(possibly(self._effect(write, Context(scope, each), name)))
            if each in bound:
                found = one_of((found, self.bound(bound[each], scope, name)))
        return self._with_others(found, scope, name)

    def _with_others(
        self, found: Effect | None, scope: Scope, name: str, stmt: ast.AST | None = None
    ) -> Effect | None:
        """Add writes by other scopes and late ones through other names, and mark inner dicts that may have been changed."""
        if found is None or (not found.changes and found.open):
            return found
        for other, context in self._sharing.late_writers(scope, name, stmt):
            found = found.followed_by(self._through_another(other, name, context))
        foreign = self._sharing.foreign(scope, name)
        if foreign:
            found = found.copy()
            for write, context in foreign * (2 if len(foreign) > 1 else 1):
                found.follow(possibly(self._effect(write, context, name)))
        touched = self._sharing.touched(scope, name)
        if touched:
            found = found.copy()
            for key in found.changes if ANY in touched else touched & found.changes.keys():
                change = found.changes[key]
                found.changes[key] = change._replace(parts=tuple(map(_touched, change.parts)))
        return found

    def _at(self, walk: Walk, point: Point) -> Effect | None:
        key = walk.scope, walk.name
        last, content = self._known.latest.get(key, (None, None))
        chain, first = _chain(point, last)
        found = self._along(walk, chain, content if first is last else self._bound(walk, first))
        if not self._known.outside:
            self._known.latest[key] = point, found
        return found

    def _along(self, walk: Walk, chain: list[Point], found: Effect | None) -> Effect | None:
        """The contents at the end of a chain of points, given those at its start; None if they are not a dict."""
        if found is not None and chain:
            found = found.copy()
        for point in chain:
            if found is not None:
                found.follow(self._step(walk, point))
            elif point.kind != "write":  # the dict comes from another path
                start = point if point.kind == "loop" else point.before
                found = one_of(self._led(walk, way, start, None) for way in point.ways)
                if found is not None and point.kind == "loop":
                    found = found.followed_by(self._step(walk, point))
        return found

    def _led(self, walk: Walk, way: Point, start: Point | None, before: Effect | None) -> Effect | None:
        """The contents or effect at the end of a path from `start`, or from a binding after it."""
        chain, first = _chain(way, start)
        return self._along(walk, chain, before if first is start else self._bound(walk, first))

    def _step(self, walk: Walk, point: Point) -> Effect:
        """The effect of one point."""
        known = self._known.steps
        if point not in known:
            where = Context(walk.scope, None)
            known[point] = unknown(unseen(walk.scope.node, where))  # in case of recursion
            if point.kind == "write":
                assert point.write is not None
                known[point] = self._effect(point.write, Context(walk.scope, point.write.stmt), walk.name)
            else:
                known[point] = self._joined(walk, point)
        return known[point]

    def _joined(self, walk: Walk, point: Point) -> Effect:
        nothing = opaque(unseen(walk.scope.node, Context(walk.scope, None)))
        start = point if point.kind == "loop" else point.before
        led = [each for way in point.ways if (each := self._led(walk, way, start, Effect())) is not None]
        if point.kind == "join":
            return either(led) if led else nothing
        if not led:
            return Effect()
        once, rounds = either(led), Effect()
        for _ in range(_MAX_ROUNDS):
            again = either((Effect(), rounds.followed_by(once)))
            if again == rounds:
                return rounds
            rounds = again
        return unknown(unseen(walk.scope.node, Context(walk.scope, None)))

    def _bound(self, walk: Walk, point: Point) -> Effect | None:
        known = self._known.bound
        if point.binding is None and self._known.outside:
            return self.bound(None, walk.scope, walk.name)  # the result is incomplete, so do not cache it
        if point not in known:
            known[point] = opaque(unseen(walk.scope.node, Context(walk.scope, None)))
            known[point] = self.bound(point.binding, walk.scope, walk.name)
        return known[point]

    # ---- bindings

    def bound(self, binding: Binding | None, scope: Scope, name: str) -> Effect | None:
        """The contents that a binding assigns; None if it is not a dict."""
        if binding is None:
            return self._before_all(scope, name)
        context, value = Context(scope, binding.stmt), binding.value
        if binding.kind == "assign" and value is not None and not binding.path:
            found = self._dicts.read(value, context)
            if found is not None:
                for other in self._sharing.other_names(value, name, context):
                    found = found.followed_by(self._through_another(other, name, context))
            return through(found, name)
        if binding.kind == "for" and value is not None and not binding.path:
            return through(self._dicts.each_of(value, context), name)
        if binding.kind == "import" and (held := self._imported(binding.symbol, scope)) is not None:
            return held
        if binding.kind == "import" or (binding.kind == "assign" and value is not None):
            return self._dicts.of_values(self._dicts.evaluator.bound(binding, scope, binding.stmt))
        if binding.kind == "other" and "." in name:
            return self._outside(scope, name)  # only the object was bound
        if binding.kind == "param":
            return opaque(Value("param", name, binding.stmt, context))
        return opaque(unseen(binding.stmt, context))

    def _through_another(self, other: str, name: str, context: Context) -> Effect:
        """The effect of writes through another name of the same dict, from the statement that creates the alias."""
        scope, stmt = context.scope, context.stmt
        assert stmt is not None
        walk = walk_of(scope, other, writes=True)
        again = in_loop(scope.tree, stmt, scope)
        later = [each for each in walk.writing if again or line_of(each) > line_of(stmt)]
        found = Effect()
        for each in sorted(later, key=line_of) * (2 if again else 1):
            for write in walk.writes_in(each):
                if write.kind != "shared" or write.name != name:
                    found.follow(possibly(self._effect(write, Context(scope, each), other)))
        for write, where in self._sharing.foreign(scope, other):
            found.follow(possibly(self._effect(write, where, other)))
        return found

    def _before_all(self, scope: Scope, name: str) -> Effect | None:
        """The contents of a name before the first statement of the scope that binds it or uses it with attributes."""
        if "." in name:
            return self._outside(scope, name)
        parameter = next((each for each in scope.bindings.get(name, ()) if each.kind == "param"), None)
        if parameter is not None:
            return opaque(Value("param", name, parameter.stmt, Context(scope, None)))
        owner = scope.parent
        if scope.is_class and owner is not None:
            owner = self._dicts.evaluator.names.owner(name, Context(owner, None))
            return self.inside(owner, name, scope) if owner is not None else None
        return None

    def _outside(self, scope: Scope, name: str) -> Effect | None:
        """The contents of an attribute that the function itself does not assign."""
        evaluator = self._dicts.evaluator
        base, _, attribute = name.rpartition(".")
        owner = evaluator.enclosing_class(scope) if base in ("self", "cls") else None
        where = Context(scope, None)
        if owner is None:
            node = ast.parse(name, mode="eval").body
            assert isinstance(node, ast.Attribute)
            modules = [
                str(each.data) for each in evaluator.evaluate(node.value, where) if each.kind == "symbol"
            ]
            if len(modules) == 1 and (held := self._imported(f"{modules[0]}.{attribute}", scope)) is not None:
                return held
            return self._dicts.of_values(evaluator.evaluate(node, where))
        if (owner, attribute) in self._known.outside:
            return None  # the other assignments are already being read
        found: dict[tuple[Scope, str], Effect | None] = {}
        self._known.outside.add((owner, attribute))
        try:
            for binding, bound_in in evaluator.attribute_bindings(owner, attribute, scope.tree):
                if isinstance(binding.stmt, ast.AnnAssign) and bound_in.is_class:
                    return opaque(unseen(binding.stmt, where))  # the constructor sets it
                if (bound_in, binding.name) not in found:
                    found[bound_in, binding.name] = self.left(bound_in, binding.name)
        finally:
            self._known.outside.discard((owner, attribute))
        return one_of(found.values()) if found else opaque(unseen(scope.node, where))

    def _imported(self, symbol: str, scope: Scope) -> Effect | None:
        """The contents of a name in another module of the project; None if it is not in the project, or not a dict."""
        importer, name = scope.tree.importer, symbol.rpartition(".")[2]
        top = importer.holder(symbol) if importer is not None else None
        return self.left(top, name) if top is not None and top.bindings.get(name) else None

    # ---- single writes

    def _effect(self, write: Write, context: Context, name: str) -> Effect:
        known = self._known.effects
        if write not in known:
            known[write] = unknown(unseen(write.stmt, context))
            known[write] = self._of_write(write, context, name)
        return known[write]

    def _of_write(self, write: Write, context: Context, name: str) -> Effect:
        hidden = unseen(write.stmt, context)
        if write.kind in ("given", "shared"):
            if self._sharing.is_harmless(write, context):
                return Effect()
            known_by = write.name if write.kind == "shared" else None
            return self._through_another(known_by, name, context) if known_by is not None else unknown(hidden)
        if write.kind == "clear":
            return Effect({}, GONE)
        if write.kind == "update":
            added = (
                self._dicts.arguments(write.call, context)
                if write.call is not None
                else self._dicts.content(write.value, context)
                if write.value is not None
                else opaque(hidden)
            )
            return spread(added)
        if write.key is None:
            return unknown(hidden)
        keys = self._dicts.keys(write.key, context)
        numbered = any(isinstance(key, int) for key in keys)
        if write.kind == "drop":
            if numbered:
                return unknown(hidden)  # of a list: later items move up
            return at_one_of(keys, GONE) if keys else Effect(rest=Change(absent=True))
        part: Part = hidden
        if write.value is not None:
            part = Item(write.value, context, name, getattr(write.stmt, "lineno", 1), write.key)
        if not keys or (numbered and (len(keys) > 1 or (isinstance(keys[0], int) and keys[0] < 0))):
            return opened(part)
        return at_one_of(
            keys, Change(stays=False, fills=(part,)) if write.kind == "default" else written(part)
        )


def _chain(point: Point, start: Point | None) -> tuple[list[Point], Point]:
    """The points between a start, or a later binding, and the given point, and where the chain begins."""
    chain: list[Point] = []
    while point is not start and point.kind != "bound":
        chain.append(point)
        assert point.before is not None
        point = point.before
    chain.reverse()
    return chain, point


def _touched(part: Part) -> Part:
    """Mark an entry whose own dict may be changed, so that its contents are unknown."""
    if isinstance(part, Value):
        return part
    return Item(part.node, part.context, part.name, part.line, part.key, touched=True)


def _stands_before(call: ast.Call, node: ast.expr) -> bool:
    """Whether a call runs before an expression in the same statement is read."""
    return (call.end_lineno or 0, call.end_col_offset or 0) <= (node.lineno, node.col_offset)
