"""The purpose of a load (inference, training, training of adapters): prepares the model for it and warns.

The plan uses the purpose for dtype and placement.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from telepathy_runtime.machine.environment import need

Purpose = Literal["inference", "training", "finetune-adapters"]
PURPOSES = ("inference", "training", "finetune-adapters")
#: The purposes for which gradients flow through the model.
TRAINS = ("training", "finetune-adapters")


def prepare(model: Any, purpose: str | None, changed: dict[str, Any]) -> None:
    """Prepare a loaded model for `purpose`; record the changes in `changed`, as name -> [before, after].

    A forward pass with gradients makes no key-value cache unless the call asks for one: the cache is not used, and gradient
    checkpointing does not work with it. The config stays as shipped, so saved files do not change. "finetune-adapters"
    freezes the loaded weights and makes the embeddings output tensors that require gradients: otherwise gradient
    checkpointing gives the adapters no gradient.
    """
    if purpose not in TRAINS or not hasattr(model, "named_parameters"):
        return
    if _cache_off(model):
        changed["use_cache"] = [True, False]
    if purpose == "finetune-adapters":
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        for parameter in trained:
            parameter.requires_grad_(False)
        if trained:
            changed["trainable_parameters"] = [sum(parameter.numel() for parameter in trained), 0]
        if _inputs_with_gradient(model):
            changed["embeddings_require_grad"] = [False, True]


def _cache_off(model: Any) -> bool:
    """Whether a part of the model would create a cache that training does not use."""
    found = False
    for module in model.modules():
        config = getattr(module, "config", None)
        # Each part has its own setting: a composite model may pass its arguments on unchanged.
        if getattr(config, "use_cache", None) and _position(type(module)) is not None:
            module.register_forward_pre_hook(_without_cache, with_kwargs=True)
            found = True
    return found


def _position(cls: Any) -> int | None:
    """The position of `use_cache` among the parameters of a class's forward; None if it has none."""
    names = list(inspect.signature(cls.forward).parameters)
    return names.index("use_cache") - 1 if "use_cache" in names else None


def _without_cache(
    module: Any, inputs: tuple[Any, ...], keywords: dict[str, Any]
) -> tuple[tuple[Any, ...], Mapping[str, Any]] | None:
    if keywords.get("use_cache") is not None or not need("torch").is_grad_enabled():
        return None  # requested, or not training: generate() and evaluation
    position = _position(type(module))
    if position is not None and len(inputs) > position:
        return None
    return inputs, {**keywords, "use_cache": False}


def _inputs_with_gradient(model: Any) -> bool:
    try:
        embeddings = model.get_input_embeddings()
    except (AttributeError, NotImplementedError):
        return False
    if not hasattr(embeddings, "register_forward_hook"):
        return False
    embeddings.register_forward_hook(_with_gradient)
    return True


def _with_gradient(module: Any, inputs: Any, output: Any) -> None:
    # At module level, because the hook of enable_input_require_grads() is local and prevents pickling the
    # model.
    if module.training and hasattr(output, "requires_grad_"):
        output.requires_grad_(True)


def warnings(model: Any, purpose: str | None, dtype: str | None) -> Iterator[str]:
    """Warnings about training with the loaded weights. `dtype` is the dtype of most of them."""
    if purpose not in TRAINS:
        return
    if purpose == "training" and getattr(model, "is_quantized", False):
        yield 'quantised weights are not trained: pass purpose="finetune-adapters" and train adapters on them'
    elif purpose == "training" and dtype == "bfloat16":
        yield (
            "the weights that are trained are bfloat16, which has 8 bits for a number: steps below 1/256 of a weight are "
            "lost, and at a learning rate of 1e-5 most are; load float32 and compute in bfloat16 (bf16=True of the "
            "Trainer, or autocast)"
        )
    elif purpose == "training" and dtype == "float16":
        yield (
            'the weights that are trained are float16: a GradScaler (fp16=True) raises "Attempting to unscale FP16 '
            'gradients", and without one small gradients are zero; load float32 and compute in float16 (fp16=True, or '
            "autocast)"
        )
    elif dtype == "float16":
        yield (
            "the frozen weights are float16: keep the adapters in float32, as peft does by itself (autocast_adapter_dtype), "
            'or a GradScaler (fp16=True) raises "Attempting to unscale FP16 gradients"'
        )
