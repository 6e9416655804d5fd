"""The calls and attributes that give back the object they get: itself, prepared, or wrapped so that it stays what it is.

This table is the only one of its kind: whoever follows an object, in either direction, reads it.
"""

from __future__ import annotations

import ast
from typing import Literal

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.named_tuple import NamedTuple

#: Methods that give back the object that they are called on. PyTorch's modules, and encodings of a tokenizer, have them.
METHODS = frozenset({
    "to", "cuda", "cpu", "xpu", "npu", "eval", "train", "half", "float", "double", "bfloat16", "type", "requires_grad_",
    "apply", "share_memory", "merge_and_unload", "unload", "get_base_model", "to_bettertransformer", "reverse_bettertransformer",
})  # fmt: skip
#: Attributes by which a wrapper has the object that it wraps.
WRAPPED = frozenset({"module", "_orig_mod", "base_model"})
#: Methods that give one of the objects that a container holds, or all of them.
ITEM_METHODS = frozenset({"items", "values", "get", "pop"})
#: Functions that give back what they get first, by the last part of their name.
_FUNCTIONS = frozenset({
    "DataParallel", "DistributedDataParallel", "DDP", "FSDP", "FullyShardedDataParallel", "deepcopy", "get_peft_model",
    "prepare_model_for_kbit_training", "prepare_model_for_int8_training", "prepare_model", "dispatch_model", "unwrap_model",
})  # fmt: skip
#: Functions whose last name alone would say too little.
_QUALIFIED = frozenset(
    {"torch.compile", "copy.copy", "BetterTransformer.transform", "deepspeed.init_inference"}
)
#: Classes of PEFT whose `from_pretrained` puts an adapter on the model it gets.
_ADAPTERS = ("PeftModel", "PeftMixedModel")
#: The names under which such functions take the object, where it is not given by its place.
_KEYWORDS = ("model", "module")
#: A method of accelerate and its like that hands each object back in its place.
_IN_PLACE = "prepare"

Path = tuple[int | str | None, ...]


class Given(NamedTuple):
    """What a call gives back: the expression whose object it is, and the place of that in what the call returns."""

    node: ast.expr
    path: Path = ()
    #: "method": the receiver; "item": one of what the receiver holds; "function": an argument.
    how: Literal["method", "item", "function"] = "function"


def given_back(call: ast.Call, path: Path = ()) -> Given | None:
    """The object that a call gives back, None where it makes another; `path` is the item that is taken of the result."""
    func = call.func
    if isinstance(func, ast.Attribute):
        if func.attr in METHODS:
            return Given(func.value, path, "method")
        if func.attr in ITEM_METHODS:
            return Given(func.value, _item(call, func.attr, path), "item")
    if gives_first(call):
        first = first_of(call)
        return Given(first, path) if first is not None else None
    if is_in_place(call):
        index = path[0] if path else 0 if len(call.args) == 1 else None
        if isinstance(index, int) and 0 <= index < len(call.args):
            return Given(call.args[index], path[1:])
    return None


def gives_first(call: ast.Call) -> bool:
    """Whether a call gives back the object that it gets first."""
    name = dotted(call.func) or ""
    owner, _, last = name.rpartition(".")
    return (
        last in _FUNCTIONS
        or name in _QUALIFIED
        or (last == "from_pretrained" and owner.rpartition(".")[2].startswith(_ADAPTERS))
        or f"{owner.rpartition('.')[2]}.{last}" in _QUALIFIED
    )


def gives_back(call: ast.Call) -> bool:
    """Whether a call gives back what it is given, by whatever way."""
    return gives_first(call) or is_in_place(call)


def first_of(call: ast.Call) -> ast.expr | None:
    """The object that such a call gets."""
    if call.args:
        return None if isinstance(call.args[0], ast.Starred) else call.args[0]
    return next((keyword.value for keyword in call.keywords if keyword.arg in _KEYWORDS), None)


def is_in_place(call: ast.Call) -> bool:
    """Whether a call gives back everything that it gets, in the same order."""
    return isinstance(call.func, ast.Attribute) and call.func.attr == _IN_PLACE and not call.keywords


def key_of(node: ast.expr) -> int | str | None:
    """The constant index or key that an expression is, None for any other."""
    key = node.value if isinstance(node, ast.Constant) else None
    return key if isinstance(key, str) or (isinstance(key, int) and not isinstance(key, bool)) else None


def _item(call: ast.Call, method: str, path: Path) -> Path:
    """The place, in what a container holds, of the item that is taken of a method's result."""
    if method in ("get", "pop"):
        return (key_of(call.args[0]) if call.args else None, *path)
    return (None, *path[2 if method == "items" else 1 :])
