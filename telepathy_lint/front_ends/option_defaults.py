"""Defaults of a script's own options: `parser.add_argument("--batch_size", default=4)`, or the fields of a dataclass.

A value that the command line decides is not known, but a plan may start from its default if it says so.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.hints import NamedTuple
from telepathy_lint.knowledge.transformers_names import last


class Default(NamedTuple):
    """What an option is if the command line does not give it."""

    option: str
    value: Any


def defaults_of(tree: ast.Module) -> dict[str, Default]:
    """The defaults by the name of the attribute that reads them, as in `args.batch_size`.

    A name with several defaults is left out, and so is one whose default is not a constant, or None.
    """
    found: dict[str, Default | None] = {}
    for name, default in _defaults(tree):
        known = found.setdefault(name, default)
        if known != default:
            found[name] = None
    return {name: default for name, default in found.items() if default is not None}


def option_of(node: ast.AST, defaults: dict[str, Default]) -> Default | None:
    """The default of the option that an argument's value reads: `args.x` itself, or the `x=args.x` around it."""
    value = node.value if isinstance(node, ast.keyword) else node
    if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name) and value.value.id != "self":
        return defaults.get(value.attr)
    return None


def _defaults(tree: ast.Module) -> Iterator[tuple[str, Default | None]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and last(dotted(node.func) or "") == "add_argument":
            yield from _argument(node)
        elif isinstance(node, ast.ClassDef) and _is_dataclass(node):
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    name = field.target.id
                    yield name, _default(name, _field_default(field.value))


def _argument(call: ast.Call) -> Iterator[tuple[str, Default | None]]:
    flags = [
        each.value for each in call.args if isinstance(each, ast.Constant) and isinstance(each.value, str)
    ]
    flag = next((each for each in flags if each.startswith("--")), None)
    if flag is None:
        return
    given = {each.arg: each.value for each in call.keywords}
    name = flag.lstrip("-").replace("-", "_")
    dest = given.get("dest")
    if isinstance(dest, ast.Constant) and isinstance(dest.value, str):
        name = dest.value
    yield name, _default(flag, given.get("default"))


def _default(option: str, node: ast.expr | None) -> Default | None:
    if isinstance(node, ast.Constant) and node.value is not None:
        return Default(option, node.value)
    return None


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any(
        last(dotted(each.func if isinstance(each, ast.Call) else each) or "") == "dataclass"
        for each in node.decorator_list
    )


def _field_default(node: ast.expr | None) -> ast.expr | None:
    if isinstance(node, ast.Call) and last(dotted(node.func) or "") == "field":
        return next((each.value for each in node.keywords if each.arg == "default"), None)
    return node
