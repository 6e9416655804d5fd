"""Functions that make a single choice of a load, for code that calls `from_pretrained` itself."""

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
    """Return the device map for this process: `from_pretrained(device_map=resolve_device_map())`.

    The result is None (CPU, ZeRO-3, FSDP), a dict with one device, or "auto". With `model_id`, the size of
    the checkpoint is read from its index or safetensors headers, so a GPU that is too small gives "auto" and
    a warning instead of running out of memory. `purpose` is as in load_model: training needs the whole model
    on one device. `keywords` are those of from_pretrained (revision, cache_dir, subfolder,
    quantization_config, tp_plan ...). `explain=True` prints the choice and its reason.
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
    """Return the attention: `from_pretrained(attn_implementation=resolve_attn_implementation(ID))`.

    The config of `model_id` gives the class (`model_class` as in load_model); without an id the class is
    unknown. None leaves the choice to transformers: sdpa if the class supports it, else eager. A name is
    returned only if it differs from that choice. Pass the `dtype` and `device_map` of the load if they differ
    from the loader's choices: flash attention needs a 16-bit dtype and a GPU. `explain=True` prints the choice and its reason.
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
    """Return the torch.dtype for this machine: `from_pretrained(dtype=resolve_dtype())`.

    bfloat16 if the hardware supports it (CUDA capability 8.0, macOS 14, any CPU), else float16, or float32
    for models that overflow in float16 (known if `model_id` is given); float32 for `purpose="training"`.
    "auto", None and dicts are returned unchanged.
    """
    return planning.decide_dtype(
        asked, model_id=model_id, purpose=purpose, keywords=keywords, explain=explain
    )
