"""The stored size of a parameter; a quantised one reports the dtype that it stands for, not the one it is stored in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def pieces(tensor: Any) -> Iterator[Any]:
    """The plain tensors that store `tensor`: itself, or those inside a torchao, quanto or bitsandbytes tensor."""
    flatten = getattr(tensor, "__tensor_flatten__", None)
    inner = getattr(tensor, "data", None) if flatten is None else tensor
    flatten = flatten or getattr(inner, "__tensor_flatten__", None)
    if flatten is None:
        yield tensor
        state = getattr(tensor, "quant_state", None)  # bitsandbytes: the scales of four-bit weights
        for name in ("absmax", "code", "offset"):
            yield from _tensors(getattr(state, name, None))
        second = getattr(state, "state2", None)
        for name in ("absmax", "code"):
            yield from _tensors(getattr(second, name, None))
        yield from _tensors(getattr(tensor, "SCB", None))
        return
    for name in flatten()[0]:
        part = getattr(inner, name, None)
        if part is not None and hasattr(part, "element_size"):
            yield from pieces(part)


def _tensors(found: Any) -> Iterator[Any]:
    if found is not None and hasattr(found, "element_size"):
        yield found


def size(tensor: Any) -> int:
    """Bytes of `tensor` in memory."""
    return sum(int(part.numel()) * int(part.element_size()) for part in pieces(tensor))


def numbers(tensor: Any) -> int:
    """The number of weights in `tensor`; one byte holds two four-bit weights."""
    shape = getattr(getattr(tensor, "quant_state", None), "shape", None)
    if shape is None:
        return int(tensor.numel())
    count = 1
    for length in shape:
        count *= int(length)
    return count
