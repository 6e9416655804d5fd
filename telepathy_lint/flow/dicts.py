"""The contents of dicts and lists where they are read: one model for `d[k]`, `d.get(k)`, `k in d`, `**d` and returns."""

from __future__ import annotations

import ast
from collections.abc import Hashable, Iterable, Iterator

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.contents import (
    GONE,
    Change,
    Effect,
    Item,
    Part,
    at_one_of,
    one_of,
    opaque,
    opened,
    spread,
    through,
    unseen,
    written,
)
from telepathy_lint.flow.tree import Context
from telepathy_lint.flow.value import GIVES, Value
from telepathy_lint.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from telepathy_lint.flow.dict_content import DictContent
    from telepathy_lint.flow.protocols import ValueReader

_MAX_DEPTH = 20
_COPIES = ("copy.copy", "copy.deepcopy", "copy", "deepcopy")
_MAKERS = ("dict", "OrderedDict", "collections.OrderedDict")


class Dicts:
    """Reads dicts from displays, writes, copies, branches, names, attributes and the file's functions."""

    __slots__ = ("evaluator",)

    def __init__(self, evaluator: ValueReader) -> None:
        self.evaluator = evaluator

    def content(self, node: ast.expr, context: Context) -> Effect:
        """The contents of a dict expression, as spread by `**node` or read in another way."""
        found = self.read(node, context)
        return found if found is not None else opaque(unseen(node, context))

    def values(self, change: Change) -> tuple[Value, ...]:
        """All alternatives of a key's value."""
        return tuple(value for part in change.parts for value in self._values(part))

    def item(self, node: ast.Subscript, context: Context) -> tuple[Value, ...] | None:
        """The possible values of `d[key]`; None if no possible value is known."""
        change = self._under(node.value, node.slice, context)
        return self._seen(change, node, context) if change is not None and change.parts else None

    def got(self, call: ast.Call, context: Context) -> tuple[Value, ...] | None:
        """The possible values of `d.get(key, default)`, `d.pop(...)` or `d.setdefault(...)`; None if none is known."""
        assert isinstance(call.func, ast.Attribute)
        change = self._under(call.func.value, call.args[0], context)
        if change is None:
            return None
        found = self._seen(change, call, context)
        if change.absent and len(call.args) > 1:
            found += self.evaluator.evaluate(call.args[1], context)
        elif change.absent and call.func.attr != "pop":
            found += (Value("const", None, call, context),)
        return found or None

    def _seen(self, change: Change, node: ast.expr, context: Context) -> tuple[Value, ...]:
        """The alternatives of a key's value, for a reader that reads only this key."""
        return tuple(
            value
            for part in change.parts
            for value in (
                [Value("choice", None, node, context)] if isinstance(part, Value) else self._values(part)
            )
        )

    def holds(self, test: ast.expr, context: Context) -> bool | None:
        """Whether `key in node` (or `not in`) is true; None if undecided."""
        if not (
            isinstance(test, ast.Compare)
            and len(test.ops) == 1
            and isinstance(test.ops[0], (ast.In, ast.NotIn))
        ):
            return None
        change = self._under(test.comparators[0], test.left, context)
        if change is None or (change.absent and change.parts):
            return None
        return change.absent is isinstance(test.ops[0], ast.NotIn)

    def chosen(self, choice: Value) -> Iterator[Value]:
        """All values that an item of a dict or list may have."""
        if isinstance(choice.data, Value):
            yield from self.items(choice.data)
        elif isinstance(choice.data, tuple):
            yield from choice.data

    def items(self, table: Value, key: Hashable = ...) -> Iterator[Value]:
        """The value of a key in a known dict or list, or of all keys."""
        content = self._of_value(table, None)
        if content is None or table.kind not in ("dict", "sequence"):
            return
        if key is not ...:
            yield from self.values(content.at(key))
            return
        for change in content.changes.values():
            yield from self.values(change)
        yield from self.values(content.rest)

    def under(self, choice: Value, key: Hashable) -> Iterator[Value]:
        """The values of `key` in each item that a table may have returned: `TABLE[kind][1]`."""
        for row in self.chosen(choice):
            yield from self.items(row, key)

    def written(self, table: Value) -> Iterator[Item]:
        """The known expressions in a dict or list, with their keys."""
        content = self._of_value(table, None)
        for change in content.changes.values() if content is not None else ():
            yield from (part for part in change.parts if isinstance(part, Item))

    # ---- expressions

    def keys(self, node: ast.expr, context: Context) -> tuple[Hashable, ...]:
        """The constants that a key may be; none if it may be something else."""
        if type(node) is ast.Constant:
            return (node.value,)
        values = self.evaluator.evaluate(node, context)
        if any(value.kind != "const" for value in values):
            return ()
        return tuple(dict.fromkeys(value.data for value in values))

    def arguments(self, call: ast.Call, context: Context) -> Effect:
        """The contents that `dict(...)` or `.update(...)` gets from its arguments."""
        found = Effect({}, GONE)
        for argument in call.args:
            found.follow(spread(self.content(argument, context)))
        for keyword in call.keywords:
            if keyword.arg is None:
                found.follow(spread(self.content(keyword.value, context)))
            else:
                found.changes[keyword.arg] = written(Item(keyword.value, context))
        return found

    def read(self, node: ast.expr, context: Context) -> Effect | None:
        """The contents of an expression; None if it is not a dict."""
        reading = self.evaluator.known.reading
        key = node, context.stmt
        if key in reading or len(reading) > _MAX_DEPTH:
            return opaque(unseen(node, context))
        reading.add(key)
        try:
            return self._of_node(node, context)
        finally:
            reading.discard(key)

    def _of_node(self, node: ast.expr, context: Context) -> Effect | None:
        if isinstance(node, ast.Constant) and node.value is None:
            return None
        if isinstance(node, ast.Dict):
            return self._display(node, context)
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            return self._sequence(node, context)
        if isinstance(node, ast.IfExp):
            holds = self.holds(node.test, context)
            arms = [arm for arm, sure in ((node.body, False), (node.orelse, True)) if holds is not sure]
            return one_of(self.read(arm, context) for arm in arms)
        if isinstance(node, ast.BoolOp):
            return self._first_true(node, context)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            return self.content(node.left, context).followed_by(spread(self.content(node.right, context)))
        if isinstance(node, ast.NamedExpr):
            return self.read(node.value, context)
        if isinstance(node, ast.Call):
            return self._call(node, context)
        if isinstance(node, ast.DictComp):
            return self._comprehension(node, context)
        if isinstance(node, ast.Name) and not self.evaluator.is_inner(node, context):
            return self._name(node, context)
        if (
            isinstance(node, ast.Attribute)
            and (name := dotted(node)) is not None
            and context.stmt is not None
        ):
            return self._held().at(context.scope, name, context.stmt, node)
        if isinstance(node, ast.Subscript):
            change = self._under(node.value, node.slice, context)
            if change is not None and change.parts:
                return one_of(map(self._of_part, change.parts))
        return self.of_values(self.evaluator.evaluate(node, context), node)

    def _display(self, node: ast.Dict, context: Context) -> Effect:
        found = Effect({}, GONE)
        for key, item in zip(node.keys, node.values, strict=True):
            if key is None:
                found.follow(spread(self.content(item, context)))
                continue
            keys, part = self.keys(key, context), Item(item, context, key=key)
            found.follow(at_one_of(keys, written(part)) if keys else opened(part))
        return found

    def _sequence(self, node: ast.List | ast.Tuple | ast.Set, context: Context) -> Effect:
        found = Effect({}, GONE)
        for index, item in enumerate(node.elts):
            if isinstance(item, ast.Starred):
                found.follow(opened(unseen(item, context)))
                break
            found.changes[index] = written(Item(item, context))
        return found

    def _first_true(self, node: ast.BoolOp, context: Context) -> Effect | None:
        """`a or b`, `a and b`: an operand that is certainly false is no dict; operands after a true one are not used."""
        found: list[Effect | None] = []
        for arm in node.values:
            if isinstance(arm, ast.Constant) and not arm.value:
                continue
            found.append(read := self.read(arm, context))
            if isinstance(node.op, ast.Or) and read is not None and self._is_true(arm, read, context):
                break
        return one_of(found) or Effect({}, GONE)

    def _is_true(self, arm: ast.expr, content: Effect, context: Context) -> bool:
        """Whether an expression is certainly a non-empty dict."""
        return any(not change.absent for change in content.changes.values()) and all(
            value.kind == "dict" for value in self.evaluator.evaluate(arm, context)
        )

    def _comprehension(self, node: ast.DictComp, context: Context) -> Effect:
        """`{k: v for k, v in d.items() if ...}`: some of the entries of another dict."""
        first, over = node.generators[0], node.generators[0].iter
        if (
            len(node.generators) == 1
            and isinstance(over, ast.Call)
            and isinstance(over.func, ast.Attribute)
            and over.func.attr == "items"
            and isinstance(first.target, ast.Tuple)
            and [type(each) for each in (*first.target.elts, node.key, node.value)] == [ast.Name] * 4
            and [each.id for each in first.target.elts] == [node.key.id, node.value.id]  # type: ignore[attr-defined]
        ):
            found = self.content(over.func.value, context)
            tests = [ast.unparse(test) for test in first.ifs]
            only_none = tests == [f"{node.value.id} is not None"]  # type: ignore[attr-defined]
            kept = {
                key: change._replace(absent=True)
                if tests and not (only_none and self._is_something(change))
                else change
                for key, change in found.changes.items()
            }
            return Effect(kept, found.rest)
        return opaque(unseen(node, context))

    def _is_something(self, change: Change) -> bool:
        """Whether a key's value is certainly not None."""
        return all(
            value.kind in ("dict", "sequence", "symbol", "text")
            or (value.kind == "const" and not value.is_none)
            for value in self.values(change)
        )

    def _call(self, node: ast.Call, context: Context) -> Effect | None:
        func, name = node.func, dotted(node.func)
        if isinstance(func, ast.Attribute) and func.attr == "copy" and not node.args:
            return self.read(func.value, context)
        if name in _COPIES and len(node.args) == 1:
            return self.read(node.args[0], context)
        if name in _MAKERS and (name != "dict" or self.evaluator.names.owner("dict", context) is None):
            return self.arguments(node, context)
        if isinstance(func, ast.Attribute) and func.attr in GIVES and 1 <= len(node.args) <= 2:
            return self._given(func.value, node, context)
        if isinstance(func, ast.Name):
            return self._returned(func, node, context)
        return opaque(unseen(node, context))

    def _given(self, base: ast.expr, node: ast.Call, context: Context) -> Effect | None:
        change = self._under(base, node.args[0], context)
        if change is None:
            return opaque(unseen(node, context))
        found = list(map(self._of_part, change.parts))
        if change.absent and len(node.args) > 1:
            found.append(self.read(node.args[1], context))
        return one_of(found)

    def _returned(self, func: ast.Name, node: ast.Call, context: Context) -> Effect | None:
        """The return value of a function in the file."""
        found: list[Effect | None] = []
        own = context.scope.tree
        for value in self.evaluator.evaluate(func, context):
            function, tree = value.node, value.context.scope.tree
            if not isinstance(function, ast.FunctionDef) or function.decorator_list or tree is not own:
                return opaque(unseen(node, context))
            scope = tree.scope_at(function)
            scope.read()
            for stmt in scope.exits:
                if isinstance(stmt, ast.Return) and stmt.value is not None:
                    tree.visit(range(stmt.lineno, (stmt.end_lineno or stmt.lineno) + 1))
                    found.append(self.read(stmt.value, Context(scope, stmt)))
        return one_of(found)

    # ---- names and attributes

    def _held(self) -> DictContent:
        from telepathy_lint.flow.dict_content import DictContent  # most files name no dict of arguments

        return DictContent(self)

    def _name(self, node: ast.Name, context: Context) -> Effect | None:
        names = self.evaluator.names
        owner = names.owner(node.id, context)
        if owner is None:
            return self.of_values(self.evaluator.evaluate(node, context), node)
        held = self._held()
        found = [held.left(other, node.id) for other in names.writers(owner, node.id)]
        if owner is not context.scope:
            found.append(held.inside(owner, node.id, context.scope))
        elif context.stmt is not None:
            found.append(held.at(owner, node.id, context.stmt, node))
        else:
            found.append(held.left(owner, node.id))
        return one_of(found)

    # ---- values

    def _under(self, node: ast.expr, key: ast.expr, context: Context) -> Change | None:
        """The value of a key; None if the key or the dict is unknown."""
        keys = self.keys(key, context)
        if not keys:
            return None
        content = self.content(node, context)
        if not content.changes and content.open:
            return None
        found = [content.at(each) for each in keys]
        parts = tuple(dict.fromkeys(part for each in found for part in each.parts))
        return Change(parts, any(each.absent for each in found), keeps=False, stays=False)

    def _values(self, part: Part) -> Iterator[Value]:
        if isinstance(part, Value):
            yield part
            return
        for value in self.evaluator.evaluate(part.node, part.context):
            if part.touched and value.kind in ("dict", "sequence"):
                yield unseen(part.node, part.context)
            elif part.name is not None:
                yield value.through(
                    part.name, part.line if part.line is not None else int(getattr(value.node, "lineno", 1))
                )
            else:
                yield value

    def _of_part(self, part: Part) -> Effect | None:
        if isinstance(part, Value):
            return opaque(part)
        if part.touched:
            return opaque(unseen(part.node, part.context))
        found = self.read(part.node, part.context)
        return through(found, part.name) if part.name is not None else found

    def each_of(self, iterable: ast.expr, context: Context) -> Effect | None:
        """The contents of each item in a list."""
        values = self.evaluator.evaluate(iterable, context)
        content = self.content(iterable, context)
        if content.open or any(value.kind != "sequence" for value in values):
            return opaque(unseen(iterable, context))
        return one_of(self._of_part(part) for change in content.changes.values() for part in change.parts)

    def of_values(self, values: Iterable[Value], origin: ast.expr | None = None) -> Effect | None:
        """The contents of the values; None if none of them is a dict."""
        return one_of(self._of_value(value, origin) for value in values)

    def _of_value(self, value: Value, origin: ast.expr | None) -> Effect | None:
        if value.is_none:
            return None
        if (
            value.kind in ("dict", "sequence")
            and value.node is not origin
            and isinstance(value.node, ast.expr)
        ):
            scope, name = value.context.scope, value.via[0] if value.via is not None else ""
            if any(each.value is value.node for each in scope.bindings.get(name, ())):
                return self._held().left(scope, name)  # includes later writes
            found = self.read(value.node, value.context)
            return through(found, name) if name else found
        return opaque(value)
