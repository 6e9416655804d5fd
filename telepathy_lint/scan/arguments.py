"""The arguments a call gets, by name: written in it, or brought in by dicts it spreads."""

from __future__ import annotations

import ast

from telepathy_lint.scan.mappings import Mappings
from telepathy_lint.scan.scopes import Context
from telepathy_lint.scan.site import Argument, merged_values
from telepathy_lint.scan.values import Evaluator


class Arguments:
    """Reads argument lists of one file."""

    def __init__(self, evaluator: Evaluator, mappings: Mappings) -> None:
        self.evaluator = evaluator
        self.mappings = mappings

    def read(
        self, call: ast.Call, context: Context, positions: tuple[str, ...]
    ) -> tuple[dict[str, Argument], bool]:
        """What the call gets, by name, and whether it gets more than can be seen."""
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
        """The entries that a dict brings in, over all alternatives of what it can be."""
        expression = node.value if isinstance(node, ast.keyword) else node
        assert isinstance(expression, ast.expr)
        mappings = self.mappings.read(expression, context)
        names = dict.fromkeys(name for mapping in mappings for name in mapping.entries)
        return {
            name: Argument(
                name,
                merged_values(mapping.entries[name] for mapping in mappings if name in mapping.entries),
                "spread",
                node,
                optional=not all(name in mapping.entries for mapping in mappings),
            )
            for name in names
        }, any(mapping.open for mapping in mappings)
