"""Describes the memory cost of a dtype, for models with known sizes."""

from __future__ import annotations

from telepathy_lint.sites import Site

_QUANTIZED = ("quantization_config", "load_in_4bit", "load_in_8bit")


#: Of so few parameters the dtype makes at most 2 GB of difference.
_FEW = 1_000_000_000


def cost_of_float32(site: Site) -> str | None:
    """`28.4 GiB instead of 14.2 for Qwen2.5-7B`; None if the model is unknown."""
    if not site.generative or site.opaque or site.argument(*_QUANTIZED) is not None:
        return None  # most weights of a quantized model are quantized
    found = _size_of(site)
    if found is None or site.model_id is None:
        return None
    params, size, _ = found
    float32 = 4 * params
    if size >= float32:
        return None  # the checkpoint itself is float32
    name = site.model_id.rpartition("/")[2]
    return f"{float32 / 2**30:.1f} GiB instead of {size / 2**30:.1f} for {name}"


def ships_bfloat16(site: Site) -> bool:
    """Whether the checkpoint is known to be in bfloat16, so that its own dtype is the one that is asked for."""
    found = _size_of(site)
    return found is not None and found[2] == "bfloat16"


def has_few_parameters(site: Site) -> bool:
    """Whether a model that generates is known, and so small that float32 costs little."""
    found = _size_of(site) if site.generative else None
    return found is not None and found[0] <= _FEW


def _size_of(site: Site) -> tuple[int, int, str] | None:
    """The parameters, the bytes and the dtype of a listed model's checkpoint."""
    if site.model_id is None or "/" not in site.model_id:
        return None
    from telepathy_runtime.models.sizes import size_of  # only where there is a finding

    return size_of(site.model_id)
