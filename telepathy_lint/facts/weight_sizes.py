"""Describes the memory cost of a dtype, for models with known sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telepathy_lint.sites import Site

if TYPE_CHECKING:
    from telepathy_runtime.models.spec import ModelSpec

_QUANTIZED = ("quantization_config", "load_in_4bit", "load_in_8bit")


#: Of so few parameters the dtype makes at most 2 GB of difference.
_FEW = 1_000_000_000


def cost_of_float32(site: Site) -> str | None:
    """`28.4 GiB instead of 14.2 for Qwen2.5-7B`; None if the model is unknown."""
    if not site.generative or site.opaque or site.argument(*_QUANTIZED) is not None:
        return None  # most weights of a quantized model are quantized
    spec = _spec_of(site)
    if spec is None or site.model_id is None:
        return None
    size, float32 = spec.params_bytes, 4 * spec.params
    if size >= float32:
        return None  # the checkpoint itself is float32
    name = site.model_id.rpartition("/")[2]
    return f"{float32 / 2**30:.1f} GiB instead of {size / 2**30:.1f} for {name}"


def ships_bfloat16(site: Site) -> bool:
    """Whether the checkpoint is known to be in bfloat16, so that its own dtype is the one that is asked for."""
    spec = _spec_of(site)
    return spec is not None and spec.dtype == "bfloat16"


def has_few_parameters(site: Site) -> bool:
    """Whether a model that generates is known, and so small that float32 costs little."""
    spec = _spec_of(site) if site.generative else None
    return spec is not None and spec.params <= _FEW


def _spec_of(site: Site) -> ModelSpec | None:
    """What the registry knows of the model."""
    if site.model_id is None or "/" not in site.model_id:
        return None
    from telepathy_runtime.models import registry  # only where there is a finding

    return registry.find(site.model_id)
