"""Checks the arguments of load_model before anything is downloaded or loaded."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from telepathy_runtime.choose import precision
from telepathy_runtime.choose.purpose import PURPOSES
from telepathy_runtime.errors import ArgumentError, of_kind
from telepathy_runtime.machine.environment import need

WEIGHTS = ("most", "partial", "strict")
OFFLOAD = ("warn", "error")


def check(
    *,
    model_id: Any,
    model_class: Any,
    dtype: Any,
    device_map: Any,
    attn_implementation: Any,
    generation_config: Any,
    report: Any,
    offload: Any,
    weights: Any,
    purpose: Any,
    raw: bool,
) -> None:
    """Raise ArgumentError (also a ValueError or TypeError) for the first invalid argument.

    With `raw` the call is a plain from_pretrained, so only arguments that it does not receive are checked.
    """
    one_of("offload", offload, OFFLOAD)
    one_of("weights", weights, WEIGHTS)
    if purpose is not None:
        one_of("purpose", purpose, PURPOSES)
    if report is not None and not callable(report) and not isinstance(report, (str, os.PathLike)):
        raise _wrong_type("report", report, "a path or a callable")
    if raw:
        return
    identity(model_id)
    if not hasattr(model_class, "from_pretrained"):
        raise _wrong_type("model_class", model_class, "a class with from_pretrained, not its name")
    _dtype(dtype)
    if isinstance(device_map, (bool, float, Sequence)) and not isinstance(device_map, str):
        raise _wrong_type("device_map", device_map, "a device, a strategy such as 'auto', a dict or None")
    if attn_implementation is not None and not isinstance(attn_implementation, (str, Mapping)):
        raise _wrong_type("attn_implementation", attn_implementation, "a name, a dict of names or None")
    _generation(generation_config)


def identity(model_id: Any) -> None:
    """Raise ArgumentError for an empty id, with the classes that the releases of transformers raise for it."""
    if isinstance(model_id, str) and not model_id.strip():
        empty = _wrong_value("model_id", model_id, "it is empty", "pass a hub id, a folder or a path")
        raise of_kind(empty, ValueError, OSError)


def _dtype(dtype: Any) -> None:
    if dtype is None or isinstance(dtype, Mapping):
        return
    torch = need("torch")
    name = precision.dtype_name(dtype)
    if isinstance(dtype, torch.dtype) or (isinstance(name, str) and name in ("auto", precision.RESOLVE)):
        return
    if not isinstance(dtype, str):
        raise _wrong_type("dtype", dtype, "a name such as 'bfloat16', a torch.dtype, 'auto' or None")
    if not isinstance(getattr(torch, name, None), torch.dtype):
        raise _wrong_value(
            "dtype", dtype, "torch has no such dtype", "pass 'bfloat16', 'float16', 'float32', 'auto' or None"
        )


def _generation(asked: Any) -> None:
    if asked is None or isinstance(asked, str):
        if asked not in (None, "default"):
            raise _wrong_value(
                "generation_config",
                asked,
                "it is not a valid value",
                'pass "default", None or a GenerationConfig',
            )
        return
    if isinstance(asked, Mapping):
        raise _wrong_type("generation_config", asked, "a GenerationConfig: pass GenerationConfig(**it)")
    if not isinstance(asked, need("transformers").GenerationConfig):
        raise _wrong_type("generation_config", asked, '"default", None or a GenerationConfig')


def one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        shown = " or ".join(f'"{word}"' for word in allowed)
        raise _wrong_value(name, value, "it is not a valid value", f"pass {shown}")


def _wrong_value(name: str, value: Any, found: str, remedy: str) -> ArgumentError:
    return of_kind(ArgumentError(f"{name}={value!r}", found, remedy), ValueError)


def _wrong_type(name: str, value: Any, wanted: str) -> ArgumentError:
    return ArgumentError(f"{name}={value!r}", f"a {type(value).__name__} was given", f"pass {wanted}")
