"""Reads the arguments of a call by name: those written in it, and those from dicts that it spreads."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from telepathy_lint.flow.evaluate import Evaluator
from telepathy_lint.flow.tree import Context
from telepathy_lint.flow.value import Value, by_identity
from telepathy_lint.hints import Literal, NamedTuple

#: Keywords that pass a dict of decoding arguments on: a spread (None), those of a pipeline, those of a thread.
_PASSED_ON = (None, "generate_kwargs", "kwargs")

How = Literal["positional", "keyword", "spread", "model_kwargs", "wrapper"]


@by_identity
class Argument(NamedTuple):
    """One argument of a call, written or spread."""

    name: str
    values: tuple[Value, ...]
    how: How
    #: The argument or spread in the call, where a finding about it points.
    node: ast.AST
    #: Whether only some paths through the code pass it.
    optional: bool = False


class Arguments:
    """Reads the argument lists in one file."""

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator

    def read(
        self, call: ast.Call, context: Context, positions: tuple[str, ...]
    ) -> tuple[dict[str, Argument], bool]:
        """Return the arguments by name, and whether the call may get others that are unknown."""
        found: dict[str, Argument] = {}
        opaque = False
        for index, node in enumerate(call.args):
            if isinstance(node, ast.Starred):
                opaque = index < len(positions) > 1
                break
            if index < len(positions):
                values = self.evaluator.evaluate(node, context)
                found[positions[index]] = Argument(positions[index], values, "positional", node)
        for keyword in call.keywords:
            if keyword.arg is not None:
                values = self.evaluator.evaluate(keyword.value, context)
                found[keyword.arg] = Argument(keyword.arg, values, "keyword", keyword)
            else:
                inner, hidden = self.spread(keyword, context)
                opaque = opaque or hidden
                for name, argument in inner.items():
                    found.setdefault(name, argument)
        return found, opaque

    def spread(self, node: ast.AST, context: Context) -> tuple[dict[str, Argument], bool]:
        """Return the entries that a spread dict may have, and whether it may have unknown ones."""
        expression = node.value if isinstance(node, ast.keyword) else node
        assert isinstance(expression, ast.expr)
        dicts = self.evaluator.dicts
        content = dicts.content(expression, context)
        return {
            name: Argument(
                name, merged_values([dicts.values(change)]), "spread", node, optional=change.absent
            )
            for name, change in content.changes.items()
            if isinstance(name, str) and change.parts
        }, content.open

    def gives(self, call: ast.Call, name: str, context: Context) -> bool:
        """Whether a call passes a decoding argument, by keyword or in a known dict that is passed on."""
        if not context.scope.tree.lines_with(name):
            return False
        return any(
            keyword.arg == name
            or (
                keyword.arg in _PASSED_ON
                and name in self.evaluator.dicts.content(keyword.value, context).changes
            )
            for keyword in call.keywords
        )


def merged_values(groups: Iterable[tuple[Value, ...]]) -> tuple[Value, ...]:
    """All alternatives of several groups; each node is included once."""
    seen: dict[tuple[int, str], Value] = {}
    for values in groups:
        for value in values:
            seen.setdefault((id(value.node), value.kind), value)
    return tuple(seen.values())


def single_string(values: tuple[Value, ...]) -> str | None:
    """The string that all alternatives agree on; None if there is none."""
    if len(values) == 1 and values[0].kind == "const" and isinstance(values[0].data, str):
        return values[0].data
    return None
