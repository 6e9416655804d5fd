"""What a precision costs, in words, for the models whose published sizes are known."""

from __future__ import annotations

from telepathy_lint.scan import Site

_QUANTIZED = ("quantization_config", "load_in_4bit", "load_in_8bit")


def cost_of_float32(site: Site) -> str | None:
    """`28.4 GiB instead of 14.2 for Qwen2.5-7B`; None where the model is not known."""
    if site.model_id is None or "/" not in site.model_id or not site.generative or site.opaque:
        return None
    if site.argument(*_QUANTIZED) is not None:
        return None  # most weights are then in neither
    from telepathy_runtime.published import published_bytes  # only where there is a finding

    size = published_bytes(site.model_id)
    if size is None:
        return None
    name = site.model_id.rpartition("/")[2]
    return f"{2 * size / 2**30:.1f} GiB instead of {size / 2**30:.1f} for {name}"
