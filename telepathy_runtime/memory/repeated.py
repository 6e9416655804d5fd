"""Operators on the meta device that run again with tensors of the same sizes: their results are made, not computed.

Most operators of a step run once for each layer, in each step, and again where layers are checkpointed. PyTorch computes the
shape of a result on the meta device in Python, for tenths of a millisecond. What a result is depends only on the shapes,
strides and dtypes of the operator's tensors, on its other arguments and on the default dtype.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch

_RESIZING = ("aten::resize_", "aten::resize_as_", "aten::set_", "aten::_resize_output_")
"""Operators that give their first tensor another storage, or another size of it."""
_FIRST = object()
"""The result is the first argument."""
_NOTHING = object()
"""There is no result: tensors were changed in place, which changes nothing on the meta device."""


class UnknownArgument(Exception):  # noqa: N818
    """An argument on which a result may depend in another way than by its sizes or its value."""


class Repeated:
    """Runs operators, each once for the same arguments. Results that share the storage of an argument are not kept."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Any] = {}
        self._kinds: dict[Any, str] = {}

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What `func(*args, **kwargs)` returns: new tensors of the same sizes, or the same first argument."""
        kind = self._kinds.get(func)
        if kind is None:
            kind = self._kinds[func] = _kind(func)
        if kind == "other":
            return func(*args, **kwargs)
        if kind == "each":
            return self._run_each(func, args, kwargs)
        try:
            key = (func, torch.get_default_dtype(), _key(args), _key(kwargs) if kwargs else None)
            known = self._known.get(key)
        except (UnknownArgument, TypeError):  # TypeError: it has no hash
            return func(*args, **kwargs)
        if known is not None:
            return args[0] if known is _FIRST else _made(known)
        out = func(*args, **kwargs)
        if kind == "in place":
            if out is args[0] and _key(args) == key[2]:
                self._known[key] = _FIRST
        elif set(_storages(out)) & set(_storages((args, kwargs))):
            self._kinds[func] = "other"  # a view that its schema does not speak of
        elif (made := _recipe(out)) is not None:
            self._known[key] = made
        return out

    def _run_each(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The same for an operator of lists, which treats each index alone: it runs with what is new of the lists."""
        count = len(args[0]) if isinstance(args[0], list) else -1
        listed = [isinstance(each, list) for each in args]
        if count < 1 or any(isinstance(each, list) and len(each) != count for each in args):
            return func(*args, **kwargs)
        rows = list(zip(*(each for each in args if isinstance(each, list)), strict=True))
        try:
            rest = [each for each, inside in zip(args, listed, strict=True) if not inside]
            shared = (func, torch.get_default_dtype(), _key(rest), _key(kwargs))
            keys = [(shared, _key(row)) for row in rows]
            new = {key: index for index, key in enumerate(keys) if key not in self._known}
        except (UnknownArgument, TypeError):
            return func(*args, **kwargs)
        if new:
            some = [
                [each[index] for index in new.values()] if isinstance(each, list) else each for each in args
            ]
            outs = func(*some, **kwargs)
            if outs is not None and set(_storages(outs)) & set(_storages(some)):
                self._kinds[func] = "other"
                return func(*args, **kwargs)
            recipes = [_NOTHING] * len(new) if outs is None else [_recipe(each) for each in outs]
            if None in recipes:
                return func(*args, **kwargs)
            self._known.update(zip(new, recipes, strict=True))
        if self._known[keys[0]] is _NOTHING:
            return None
        return [_made(self._known[key]) for key in keys]


def _kind(func: Any) -> str:
    """Whether an operator makes new results, changes its first tensor and returns it, does either with each of a list, or else."""
    schema = func._schema
    if func.namespace != "aten" or schema.name in _RESIZING or torch.Tag.inplace_view in func.tags:
        return "other"
    lists = schema.name.startswith("aten::_foreach_")
    written = [each.alias_info is not None and each.alias_info.is_write for each in schema.arguments]
    if not any(written):
        views = any(each.alias_info is not None for each in schema.returns)
        return "other" if views else "each" if lists else "new"
    alone = written[0] and sum(written) == 1 and schema.name.endswith("_")
    if lists:
        return "each" if alone and not schema.returns else "other"
    return "in place" if alone and len(schema.returns) == 1 else "other"


def _key(value: Any) -> Hashable:
    """What a result can depend on. 1, 1.0 and True are three values. Raises UnknownArgument."""
    kind = type(value)
    if kind is torch.Tensor or kind is torch.nn.Parameter:
        if value.device.type != "meta" or value.layout is not torch.strided:
            raise UnknownArgument
        return value.shape, value.stride(), value.dtype, value.storage_offset()
    if kind is list or kind is tuple:
        return tuple([_key(each) for each in value])
    if kind is dict:
        return tuple([(name, _key(each)) for name, each in value.items()])
    if isinstance(value, torch.Tensor):
        raise UnknownArgument
    return kind, value


def _storages(value: Any) -> list[int]:
    """The storages of all tensors in arguments or a result."""
    if isinstance(value, torch.Tensor):
        return [value.untyped_storage()._cdata]
    if isinstance(value, (list, tuple)):
        return [found for each in value for found in _storages(each)]
    if isinstance(value, dict):
        return _storages(list(value.values()))
    return []


def _recipe(out: Any) -> Any:
    """How to make a result again; None if it is not made of plain tensors of a storage each."""
    new = _storages(out)
    if len(set(new)) < len(new) or not new:
        return None
    several = list(out) if isinstance(out, (list, tuple)) else [out]
    parts = [_part(each) for each in several]
    if not all(parts):
        return None
    return (type(out), parts) if isinstance(out, (list, tuple)) else parts[0]


def _part(value: Any) -> tuple[Any, ...] | None:
    if value is None:
        return (None,)
    if type(value) is not torch.Tensor or value.device.type != "meta" or value.layout is not torch.strided:
        return None
    size, stride = value.shape, value.stride()
    last = 0 if 0 in size else 1 + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    exact = value.storage_offset() == 0 and value.untyped_storage().nbytes() == last * value.element_size()
    return (size, stride, value.dtype) if exact else None


def _made(recipe: Any) -> Any:
    with torch._C.DisableTorchFunction():
        if len(recipe) == 2:
            kind, parts = recipe
            return kind([_new(each) for each in parts])
        return _new(recipe)


def _new(part: tuple[Any, ...]) -> torch.Tensor | None:
    if len(part) == 1:
        return None
    size, stride, dtype = part
    return torch.empty_strided(size, stride, dtype=dtype, device="meta")
