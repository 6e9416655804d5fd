"""Names the tensors of a checkpoint with other shapes than the model has; transformers 5 does not name them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from telepathy_runtime.checkpoint import files as checkpoint
from telepathy_runtime.choose import traits
from telepathy_runtime.failures.failure import Failure
from telepathy_runtime.machine.environment import need

_SHOWN = 3
_SAID = re.compile(r"size mismatch for (\S+): .*?shape .*?(\[[\d, ]*\]).*?current model is .*?(\[[\d, ]*\])")


def named(failure: Failure) -> str:
    """ "lm_head.weight is [264, 32] in the checkpoint and [300, 32] in the model" for the first few; "" if unknown."""
    try:
        found = _compared(failure)
    except Exception:  # the load has already failed for another reason
        found = []
    # The message of transformers is used only as a fallback: 4.57 names the tensor by its module alone,
    # "weight".
    found = found or [(name, there, here) for name, there, here in _SAID.findall(failure.text)]
    shown = [f"{name} is {there} in the checkpoint and {here} in the model" for name, there, here in found]
    more = len(shown) - _SHOWN
    return "; ".join(shown[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def _compared(failure: Failure) -> list[tuple[str, str, str]]:
    """Compare the shapes in the checkpoint's headers with those of an empty model of the class."""
    folder = failure.folder()
    saved = checkpoint.read(folder, variant=failure.keywords.get("variant")) if folder is not None else None
    config = traits.peek_config(failure.model_id, failure.keywords)
    model_class = getattr(need("transformers"), failure.class_name, None)
    if saved is None or saved.tensors is None or config is None or model_class is None:
        return []
    for name, value in failure.keywords.items():
        if hasattr(config, name) and not isinstance(value, Mapping):
            setattr(config, name, value)  # from_pretrained takes fields of the config as keywords
    found: Any = traits.concrete_class(model_class, config)
    with need("torch").device("meta"):
        shapes = {name: list(tensor.shape) for name, tensor in found(config).state_dict().items()}
    return [
        (name, str(list(tensor.shape)), str(shapes[name]))
        for name, tensor in saved.tensors.items()
        if name in shapes and list(tensor.shape) != shapes[name]
    ]
