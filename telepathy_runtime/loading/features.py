"""Warns of models that get float32 features from their processor and do not cast them to the dtype of their weights."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from telepathy_runtime.machine.environment import need

#: What processors make as float32.
_FEATURES = ("pixel_values", "pixel_values_videos", "input_features", "input_values", "audio_values")
#: Code that casts to the dtype of weights.
_CASTS = r"\.to\([^)\n]*(?:dtype|weight)|\.type\(|autocast"


def warnings(model: Any, dtype: str | None) -> Iterator[str]:
    """The warning, with its cure, if the weights have 16 bits and nothing on the way to the first convolution casts.

    `dtype` is the dtype of most weights. Only the code of the model is read, so a cast in another form is not seen.
    """
    name = getattr(model, "main_input_name", None)
    if dtype not in ("bfloat16", "float16") or name not in _FEATURES:
        return
    way = _way_to_convolution(model)
    if way and not any(_casts(type(module)) for module in way):
        yield (
            f"{type(model).__name__} computes {name} as given: those of a processor are float32, and raise "
            f'"Input type (float) and bias type (c10::{"BFloat16" if dtype == "bfloat16" else "Half"}) should be the same"; pass '
            "inputs.to(model.dtype), or load float32"
        )


def _way_to_convolution(model: Any) -> list[Any]:
    """The modules around the first convolution, from the model inwards; empty if there is none."""
    nn = need("torch").nn
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            parts = name.split(".")
            return [model.get_submodule(".".join(parts[:count])) for count in range(len(parts))]
    return []


def _casts(cls: Any) -> bool:
    try:
        source = inspect.getsource(cls.forward)
    except (OSError, TypeError):
        return True  # not known
    return re.search(_CASTS, source) is not None
