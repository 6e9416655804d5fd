"""The table of calls and attributes that return the object they get: unchanged, prepared, or wrapped.

This is the only such table; all code that follows objects uses it.
"""

from __future__ import annotations

import ast

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.hints import Literal, NamedTuple

#: Methods that give the model without its adapters.
UNADAPTING = frozenset({"merge_and_unload", "unload", "get_base_model"})
#: Methods that return the object they are called on, of PyTorch modules and tokenizer encodings.
METHODS = frozenset({
    "to", "cuda", "cpu", "xpu", "npu", "eval", "train", "half", "float", "double", "bfloat16", "type", "requires_grad_",
    "apply", "share_memory", "to_bettertransformer", "reverse_bettertransformer",
}) | UNADAPTING  # fmt: skip
#: Attributes of wrappers that contain the wrapped object.
WRAPPED = frozenset({"module", "_orig_mod", "base_model"})
#: Methods that return items of a container.
ITEM_METHODS = frozenset({"items", "values", "get", "pop"})
#: Functions that return their first argument, by the last part of their name.
_FUNCTIONS = frozenset({
    "DataParallel", "DistributedDataParallel", "DDP", "FSDP", "FullyShardedDataParallel", "deepcopy", "get_peft_model",
    "prepare_model_for_kbit_training", "prepare_model_for_int8_training", "prepare_model", "dispatch_model", "unwrap_model",
})  # fmt: skip
#: The same, for names whose last part alone is ambiguous.
_QUALIFIED = frozenset(
    {"torch.compile", "copy.copy", "BetterTransformer.transform", "deepspeed.init_inference"}
)
#: PEFT classes whose `from_pretrained` puts an adapter on a model.
_ADAPTERS = ("PeftModel", "PeftMixedModel")
#: Keywords for the object, if it is not the first argument.
_KEYWORDS = ("model", "module")
#: The method of accelerate and similar libraries that returns each argument at its own index.
_IN_PLACE = "prepare"

Path = tuple[int | str | None, ...]


class Given(NamedTuple):
    """The expression whose object a call returns, and the index path of that object in the expression's value."""

    node: ast.expr
    path: Path = ()
    #: "method": the receiver; "item": an item of the receiver; "function": an argument.
    how: Literal["method", "item", "function"] = "function"


def given_back(call: ast.Call, path: Path = ()) -> Given | None:
    """The object that a call returns; None if it creates a new one. `path` selects an item of the result."""
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
    """Whether a call returns its first argument."""
    name = dotted(call.func) or ""
    owner, _, last = name.rpartition(".")
    return (
        last in _FUNCTIONS
        or name in _QUALIFIED
        or (last == "from_pretrained" and owner.rpartition(".")[2].startswith(_ADAPTERS))
        or f"{owner.rpartition('.')[2]}.{last}" in _QUALIFIED
    )


def gives_back(call: ast.Call) -> bool:
    """Whether a call returns its argument or arguments."""
    return gives_first(call) or is_in_place(call)


def first_of(call: ast.Call) -> ast.expr | None:
    """The argument that such a call returns."""
    if call.args:
        return None if isinstance(call.args[0], ast.Starred) else call.args[0]
    return next((keyword.value for keyword in call.keywords if keyword.arg in _KEYWORDS), None)


def is_in_place(call: ast.Call) -> bool:
    """Whether a call returns all its arguments in the same order."""
    return isinstance(call.func, ast.Attribute) and call.func.attr == _IN_PLACE and not call.keywords


def key_of(node: ast.expr) -> int | str | None:
    """The constant index or key in an expression; None for other expressions."""
    key = node.value if isinstance(node, ast.Constant) else None
    return key if isinstance(key, str) or (isinstance(key, int) and not isinstance(key, bool)) else None


def _item(call: ast.Call, method: str, path: Path) -> Path:
    """The index path, in the container, of the selected item of a method's result."""
    if method in ("get", "pop"):
        return (key_of(call.args[0]) if call.args else None, *path)
    return (None, *path[2 if method == "items" else 1 :])
