"""Methods of `Trainer` that a subclass writes anew, and its calls of the methods it replaces."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.file import File
from telepathy_lint.flow.tree import Context
from telepathy_lint.knowledge.migration import OVERRIDES, TRAINERS
from telepathy_lint.sites.site import Site

#: The trainers of trl whose training loop is Trainer's.
_OF_TRL = ("SFTTrainer", "DPOTrainer", "RewardTrainer", "KTOTrainer", "ORPOTrainer", "CPOTrainer")


def find(file: File) -> Iterator[Site]:
    """A site for each method, with the class that it is written for; its node is the function, or the call of `super()`'s."""
    if "Trainer" not in file.tree.text or not any(file.uses.methods(name) for name in OVERRIDES):
        return
    for scope in file.tree.all_scopes():
        for definition in scope.definitions:
            if not isinstance(definition, ast.ClassDef):
                continue
            symbol = _trainer(file, definition, file.tree.context_of(definition), 0)
            for method in definition.body if symbol else ():
                if isinstance(method, ast.FunctionDef) and method.name in OVERRIDES:
                    yield _site(file, method, symbol)
                    for call in ast.walk(method):
                        if isinstance(call, ast.Call) and _is_replaced(call, method.name):
                            yield _site(file, call, symbol)


def _is_replaced(call: ast.Call, name: str) -> bool:
    """Whether a call is one of the method that an override replaces."""
    func = call.func
    if not isinstance(func, ast.Attribute) or func.attr != name or not isinstance(func.value, ast.Call):
        return False
    return dotted(func.value.func) == "super"


def _trainer(file: File, definition: ast.ClassDef, context: Context, depth: int) -> str:
    """The trainer that a class derives from, perhaps through other classes of the file; "" where there is none."""
    for base in definition.bases:
        values = file.values.evaluate(base, context)
        if len(values) != 1:
            continue
        (value,) = values
        if value.kind == "symbol":
            package, name = str(value.data).partition(".")[0], str(value.data).rpartition(".")[2]
            known = {"transformers": TRAINERS, "trl": _OF_TRL}.get(package, ())
            if name in known and ".experimental" not in str(value.data):
                return str(value.data)
        elif value.kind == "class" and isinstance(value.node, ast.ClassDef) and depth < 4:
            found = _trainer(file, value.node, value.context, depth + 1)
            if found:
                return found
    return ""


def _site(file: File, node: ast.FunctionDef | ast.Call, symbol: str) -> Site:
    return Site(
        "trainer_override", file, node, file.tree.context_of(node), (symbol,), {}, opaque=False, model_id=None
    )
