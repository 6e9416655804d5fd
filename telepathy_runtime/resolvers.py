"""The choices of a load, one at a time, for code that calls `from_pretrained` itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from telepathy_runtime.choose.precision import RESOLVE
from telepathy_runtime.loading import planning

if TYPE_CHECKING:
    from telepathy_runtime.choose.purpose import Purpose


def resolve_device_map(
    model_id: str | os.PathLike[str] | None = None,
    *,
    dtype: Any = RESOLVE,
    purpose: Purpose | None = None,
    explain: bool = False,
    **keywords: Any,
) -> Any:
    """The device map for this process, for `from_pretrained(device_map=resolve_device_map())`.

    None (CPU, ZeRO-3, FSDP), a one-device dict, or "auto". With `model_id` the size of the checkpoint is read from its
    index or safetensors headers, so that one GPU that is too small gives "auto" and a warning instead of running out.
    `purpose` as in load_model: training wants the whole model on one device. `keywords` are those of from_pretrained (revision, cache_dir, subfolder, quantization_config, tp_plan ...).
    `explain=True` prints the choice and its reason.
    """
    return planning.decide_device_map(
        model_id, dtype=dtype, purpose=purpose, keywords=keywords, explain=explain
    )


def resolve_attn_implementation(
    model_id: str | os.PathLike[str] | None = None,
    *,
    model_class: Any = None,
    dtype: Any = "resolve",
    device_map: Any = "resolve",
    explain: bool = False,
    **keywords: Any,
) -> Any:
    """The attention implementation for `from_pretrained(attn_implementation=resolve_attn_implementation(ID))`.

    Reads the config of `model_id` to know the class (`model_class` as for load_model). Without an id nothing is known
    about the class. None means that transformers decides by itself: sdpa where the class has it and eager elsewhere. A
    name is given only for an attention that transformers would not take by itself. Give `dtype` and `device_map` if the load has others than the
    loader would choose: flash attention needs a half dtype and a GPU. `explain=True` prints the choice and its reason.
    """
    return planning.decide_attention(
        model_id,
        model_class=model_class,
        dtype=dtype,
        device_map=device_map,
        keywords=keywords,
        explain=explain,
    )


def resolve_dtype(
    asked: Any = RESOLVE,
    *,
    model_id: str | os.PathLike[str] | None = None,
    purpose: Purpose | None = None,
    explain: bool = False,
    **keywords: Any,
) -> Any:
    """The dtype for this machine as a torch.dtype, for `from_pretrained(dtype=resolve_dtype())`.

    bfloat16 where the hardware computes in it (CUDA capability 8.0, macOS 14, every CPU), else float16, or float32 for
    models that overflow in float16 (known when `model_id` is given); float32 for `purpose="training"`. "auto", None and
    dicts come back as they are.
    """
    return planning.decide_dtype(
        asked, model_id=model_id, purpose=purpose, keywords=keywords, explain=explain
    )
