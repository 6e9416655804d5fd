"""Describes the memory cost of a dtype, for models with known sizes."""

from __future__ import annotations

from telepathy_lint.sites import Site

_QUANTIZED = ("quantization_config", "load_in_4bit", "load_in_8bit")


def cost_of_float32(site: Site) -> str | None:
    """`28.4 GiB instead of 14.2 for Qwen2.5-7B`; None if the model is unknown."""
    if site.model_id is None or "/" not in site.model_id or not site.generative or site.opaque:
        return None
    if site.argument(*_QUANTIZED) is not None:
        return None  # most weights are quantized
    from telepathy_runtime.models import registry  # only imported for a finding

    try:
        spec = registry.get(site.model_id)
    except registry.UnknownModelError:
        return None
    size, float32 = spec.params_bytes, 4 * spec.params
    if size >= float32:
        return None  # the checkpoint itself is float32
    name = site.model_id.rpartition("/")[2]
    return f"{float32 / 2**30:.1f} GiB instead of {size / 2**30:.1f} for {name}"
