"""Finds numbers that code states for models: in dicts by model id, table rows, `if` chains over a size or name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from telepathy_lint.audit.data import Number, Place
from telepathy_lint.audit.identifiers import is_id, place_of
from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.tree import Tree
from telepathy_lint.flow.uses import FUNCTIONS

#: The first line of a chain: a test of a size or name.
_CHAIN = re.compile(r"^[ \t]*if\b[^\n]*(?:param|size|name|model|_id)", re.MULTILINE)
_SIZE = re.compile(r"(?i)param|billion|size_?b\b|model_size")
_NAME = re.compile(r"(?i)model|name|_id$|^id$|path")
#: The quantity of a number, by the last part of its name.
_QUANTITIES = (
    ("batch", re.compile(r"(?i)(?:^|_)(?:batch(?:_?size)?|bs)$")),
    ("layers", re.compile(r"(?i)^(?:(?:num|n|model|source|target|sender|receiver|total|hidden)_)*layers$")),
    (
        "hidden size",
        re.compile(
            r"(?i)^(?:(?:model|source|target|embed|embedding|llm)_)*(?:hidden_?(?:size|dims?)?|dims?|d_model)$"
        ),
    ),
    ("vocabulary", re.compile(r"(?i)vocab(?:_size)?$")),
    ("GB", re.compile(r"(?i)_gb$")),
    (
        "parameters",
        re.compile(
            r"(?i)^(?:(?:num|n|model|source|target|total)_)*param(?:s|eters?)?(?:_?(?:count|b|billions?))?$"
        ),
    ),
)
_LENGTHS = frozenset(
    {"max_length", "seq_len", "seq_length", "max_seq_len", "max_seq_length", "sequence_length"}
)
_OPERATORS = {ast.GtE: ">=", ast.Gt: ">", ast.Lt: "<", ast.LtE: "<="}


def quantity_of(name: str) -> str | None:
    """The quantity of a number with this name; None if the name does not tell."""
    last = name.rpartition(".")[2]
    return next((quantity for quantity, pattern in _QUANTITIES if pattern.search(last)), None)


def numbers_in(tree: Tree, ids: tuple[str, ...], path: str) -> Iterator[Number]:
    """All numbers stated for models; `ids` are the ids in the file."""
    pairs: dict[tuple[str, ...], None] = {}
    for node in list(tree.parent):
        if isinstance(node, ast.Dict):
            yield from _dict(node, tree, path)
        elif isinstance(node, (ast.Tuple, ast.List)) and len(found := _ids_of(node)) == 2:
            pairs[found] = None
            yield from _row(node, found, tree, path)
    lines = tree.lines_of(match.end() - 1 for match in _CHAIN.finditer(tree.text))
    seen: set[ast.AST] = set()
    for node in tree.visit(lines):
        if isinstance(node, ast.If) and node not in seen:
            yield from _Chain(node, tree, path, seen).numbers(ids, tuple(pairs))


def _number(node: ast.AST | None) -> float | None:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return float(node.value)  # type: ignore[arg-type]
    return None


def _ids_of(node: ast.Tuple | ast.List) -> tuple[str, ...]:
    return tuple(
        str(each.value) for each in node.elts if isinstance(each, ast.Constant) and is_id(each.value)
    )


# ---- dicts


def _dict(node: ast.Dict, tree: Tree, path: str) -> Iterator[Number]:
    """The numbers in a dict with model ids as keys, or in an entry that contains a model id.

    `NAME = {"org/name": 1.24}`, `{"org/name": {"layers": 28}}`, `{("org/a", "org/b"): Settings(batch_size=2)}`
    """
    name = _name_of(node, tree)
    ids = tuple(
        str(value.value) for value in node.values if isinstance(value, ast.Constant) and is_id(value.value)
    )
    if 1 <= len(ids) <= 2:  # {"model_id": "org/name", "layers": 28}
        for field, value in _fields(node):
            if (number := _number(value)) is not None:
                yield Number(field, ids, number, place_of(tree, value, path))
        return
    for key, value in zip(node.keys, node.values, strict=True):
        models = (
            (str(key.value),) if isinstance(key, ast.Constant) and is_id(key.value)
            else _ids_of(key) if isinstance(key, ast.Tuple) else ()
        )  # fmt: skip
        if not models or key is None:
            continue
        for field, each in _fields(value):
            number = _number(each)
            if number is not None and (name or field):
                table = ".".join(part for part in (name, field) if part)
                yield Number(table, models, number, place_of(tree, each if field else key, path))


def _fields(value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """The numbers in an entry, with their names; a bare number has no name."""
    if isinstance(value, ast.Dict):
        for key, each in zip(value.keys, value.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value, each
    elif isinstance(value, ast.Call):
        yield from ((keyword.arg, keyword.value) for keyword in value.keywords if keyword.arg)
    else:
        yield "", value


def _name_of(node: ast.Dict, tree: Tree) -> str | None:
    parent = tree.parent.get(node)
    if isinstance(parent, ast.Assign) and len(parent.targets) == 1:
        return dotted(parent.targets[0])
    if isinstance(parent, ast.AnnAssign):
        return dotted(parent.target)
    return None


# ---- rows


def _row(row: ast.Tuple | ast.List, ids: tuple[str, ...], tree: Tree, path: str) -> Iterator[Number]:
    """`for name, sender, receiver, size in [("3B", "org/a", "org/b", 4)]`: the loop variables name the columns."""
    table = tree.parent.get(row)
    if not isinstance(table, (ast.List, ast.Tuple)):
        return
    holder = tree.parent.get(table)
    if (
        isinstance(holder, ast.Assign)
        and len(holder.targets) == 1
        and isinstance(holder.targets[0], ast.Name)
    ):
        name = holder.targets[0].id
        loops = [
            node
            for node in tree.visit(tree.lines_with(name))
            if isinstance(node, ast.For) and isinstance(node.iter, ast.Name) and node.iter.id == name
        ]
    else:
        loops = [holder] if isinstance(holder, ast.For) and holder.iter is table else []
    for loop in loops[:1]:
        if isinstance(loop.target, ast.Tuple) and len(loop.target.elts) == len(row.elts):
            for target, value in zip(loop.target.elts, row.elts, strict=True):
                number = _number(value)
                if isinstance(target, ast.Name) and number is not None:
                    yield Number(target.id, ids, number, place_of(tree, row, path))


# ---- chains


class _Chain:
    """`if params >= 7: layers = 32 / elif params >= 3: ... / else: ...`, also over a sum of two, or `"7B" in name`."""

    def __init__(self, first: ast.If, tree: Tree, path: str, seen: set[ast.AST]) -> None:
        self.tree = tree
        self.path = path
        self.tokens = _length_around(first, tree)
        self.operand = _operand(first.test)
        self.arms: list[tuple[ast.expr | None, list[ast.stmt]]] = []
        rest: list[ast.stmt] = [first] if self.operand is not None else []
        while len(rest) == 1 and isinstance(each := rest[0], ast.If) and _operand(each.test) == self.operand:
            seen.add(each)
            self.arms.append((each.test, each.body))
            rest = each.orelse
        if self.arms:
            self.arms.append((None, rest))

    def numbers(self, ids: tuple[str, ...], pairs: tuple[tuple[str, ...], ...]) -> Iterator[Number]:
        for models in pairs if "+" in (self.operand or "") else ((each,) for each in ids):
            arm = self._taken(models)
            if arm is None:
                continue
            test, body = arm
            when = _condition(test, self.arms[-2][0])
            for name, value, place, bound in self._given(body):
                yield Number(name, models, value, place, when, bound, self.tokens)

    def _taken(self, models: tuple[str, ...]) -> tuple[ast.expr | None, list[ast.stmt]] | None:
        """The branch that runs for the models; None if unknown."""
        for test, body in self.arms:
            holds = True if test is None else _holds(test, models)
            if holds is None:
                return None
            if holds:
                return test, body
        return None

    def _given(self, body: list[ast.stmt]) -> Iterator[tuple[str, float, Place, bool]]:
        for stmt in body:
            if not isinstance(stmt, ast.Assign) or len(stmt.targets) != 1:
                continue
            name = dotted(stmt.targets[0])
            value: ast.expr | None = stmt.value
            if isinstance(value, ast.Call) and dotted(value.func) == "min":
                bounds = [each for each in value.args if _number(each) is not None]
                value = bounds[0] if len(bounds) == 1 else None
            number = _number(value)
            if name is not None and number is not None and quantity_of(name) is not None:
                yield name, number, place_of(self.tree, stmt, self.path), value is not stmt.value


def _condition(test: ast.expr | None, last: ast.expr | None) -> str:
    """The condition as written; for an `else`, the last test before it."""
    if test is not None:
        return ast.unparse(test)
    return f"not {ast.unparse(last)}" if last is not None else ""


def _operand(test: ast.expr) -> str | None:
    """The operand of a test: a size ("params", "a + b"), or "name" for a substring test of a name."""
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return None
    left, right = test.left, test.comparators[0]
    if type(test.ops[0]) in _OPERATORS and _number(right) is not None:
        parts = (
            [left.left, left.right]
            if isinstance(left, ast.BinOp) and isinstance(left.op, ast.Add)
            else [left]
        )
        names = [dotted(part) or "" for part in parts]
        return " + ".join(names) if all(_SIZE.search(name) for name in names) else None
    if isinstance(test.ops[0], ast.In) and isinstance(left, ast.Constant) and isinstance(left.value, str):
        looked = (
            right.func.value
            if isinstance(right, ast.Call) and isinstance(right.func, ast.Attribute)
            else right
        )
        name = dotted(looked) or ""
        return "name" if _NAME.search(name.rpartition(".")[2]) and re.search(r"\d", left.value) else None
    return None


def _holds(test: ast.expr, models: tuple[str, ...]) -> bool | None:
    from telepathy_lint.audit.sizes import spec_of

    assert isinstance(test, ast.Compare)
    right = test.comparators[0]
    if isinstance(test.ops[0], ast.In):
        assert isinstance(test.left, ast.Constant)
        return str(test.left.value).casefold() in models[0].casefold()
    specs = [spec_of(model) for model in models]
    bound = _number(right)
    if bound is None or any(spec is None for spec in specs):
        return None
    size = sum(spec.params for spec in specs if spec is not None) / (1e9 if bound < 10_000 else 1)
    return {
        ast.GtE: size >= bound, ast.Gt: size > bound, ast.Lt: size < bound, ast.LtE: size <= bound
    }[type(test.ops[0])]  # fmt: skip


def _length_around(node: ast.AST, tree: Tree) -> int:
    """The sequence length in a parameter default of the enclosing function, 0 if there is none."""
    while (parent := tree.parent.get(node)) is not None:
        if isinstance(parent, FUNCTIONS):
            arguments = parent.args
            names = [*arguments.posonlyargs, *arguments.args][-len(arguments.defaults) or None :]
            given = [
                *zip(names, arguments.defaults, strict=False),
                *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
            ]
            for argument, default in given:
                if argument.arg in _LENGTHS and (number := _number(default)) is not None:
                    return int(number)
            return 0
        node = parent
    return 0
