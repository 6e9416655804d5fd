"""What a load is for: what inference, training and the training of adapters each want of dtype, placement and the model.

The choices are made in the plan; what has to be done to the loaded model, and what its weights will meet, is here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from telepathy_runtime.choose import traits

Purpose = Literal["inference", "training", "finetune-adapters"]
PURPOSES = ("inference", "training", "finetune-adapters")
#: Those in which gradients flow through the model.
TRAINS = ("training", "finetune-adapters")


def prepare(model: Any, purpose: str | None, changed: dict[str, Any]) -> None:
    """Make a loaded model ready for `purpose`; `changed` receives what that changes, as name -> [before, after].

    Training switches the cache of keys and values off: nothing reads it, and gradient checkpointing cannot have it.
    generate() keeps its cache, its own config decides. Under "finetune-adapters" the weights that were loaded are frozen,
    and the embeddings hand out tensors with a gradient: without one, gradient checkpointing cuts the adapters off.
    """
    if purpose not in TRAINS or not hasattr(model, "named_parameters"):
        return
    for name, change in _cache_off(getattr(model, "config", None)):
        changed[name] = change
    if purpose == "finetune-adapters":
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        for parameter in trained:
            parameter.requires_grad_(False)
        if trained:
            changed["trainable_parameters"] = [sum(parameter.numel() for parameter in trained), 0]
        if _inputs_with_gradient(model):
            changed["embeddings_require_grad"] = [False, True]


def _cache_off(config: Any) -> Iterator[tuple[str, Any]]:
    parts = {"": config, **{name: getattr(config, name, None) for name in traits.sub_configs(config)}}
    for name, part in parts.items():
        if getattr(part, "use_cache", None):
            part.use_cache = False
            yield (f"{name}.use_cache" if name else "use_cache"), [True, False]


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
    # A function of a module: that of enable_input_require_grads() is local to it, and such a model cannot be pickled.
    if module.training and hasattr(output, "requires_grad_"):
        output.requires_grad_(True)


def warnings(model: Any, purpose: str | None, dtype: str | None) -> Iterator[str]:
    """What the loaded weights will meet in training. `dtype` is that of most of the model."""
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
