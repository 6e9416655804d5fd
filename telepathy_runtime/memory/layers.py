"""Questions about the layers of a job: whether its stream is in 32 bits, whether it has a mask, whether keys and values are repeated."""

from __future__ import annotations

from telepathy_runtime.memory.workload import GQA_IN_FLASH, GQA_IN_SDPA, Workload
from telepathy_runtime.models.spec import ModelSpec


def autocast(work: Workload) -> bool:
    """Whether the forward runs in 16 bits over float32 norms, so that the stream is float32."""
    return (work.mixed_precision or work.prepared != "none") and work.casts


def has_mask(work: Workload) -> bool:
    """Whether transformers builds a 4-D mask: for a padded batch, and always for eager attention."""
    return work.padded or work.attn == "eager"


_REPEATED = frozenset({"mistral", "mixtral", "qwen2", "qwen2_moe", "phi3", "starcoder2"})
"""Model types whose code for flash attention repeated keys and values."""


def repeats_keys(spec: ModelSpec, work: Workload, masked: bool) -> bool:
    """Whether keys and values are copied to every query head before attention."""
    if work.attn == "flash_attention_2" and work.version < GQA_IN_FLASH:
        return spec.architecture in _REPEATED
    return masked or (work.attn == "sdpa" and work.version < GQA_IN_SDPA)


def up_to_8(length: int) -> int:
    """The width to which PyTorch pads a mask."""
    return -(-length // 8) * 8
