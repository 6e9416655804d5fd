"""Which jobs have a step that one process can run on the meta device."""

from __future__ import annotations

from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import UnknownOptionError


def check_traceable(work: Workload) -> None:
    """Raise UnknownOptionError for settings of a job that cannot be traced."""
    if work.shard != "none":
        raise UnknownOptionError("a sharded job cannot be traced in one process; known: shard='none'")
    for name in ("objective", "quantized", "offload", "loss", "kernels"):
        if getattr(work, name) != getattr(Workload, name):
            raise UnknownOptionError(
                f"{name}={getattr(work, name)!r} has no code that runs on the meta device; not traced"
            )
    if work.packed and work.image_tokens:
        raise UnknownOptionError(
            f"images in packed sequences are not traced: packed={work.packed} with image_tokens={work.image_tokens}; "
            "known: packed=False (--no-packed) with the number of sequences as batch"
        )
    if work.attn == "flash_attention_2":
        raise UnknownOptionError(
            "flash_attention_2 has no meta kernel; trace attn='sdpa', which saves the same"
        )
