"""The attention masks of a batch: which ones transformers builds, and how long they are in memory.

A model builds one mask for its layers with full attention and one for those with a sliding window, before the first
layer. They are gone when the last layer has run, but a checkpointed layer keeps the mask that it reads until its
backward, for its second forward.
"""

from __future__ import annotations

from typing import NamedTuple

from telepathy_runtime.memory.families import family
from telepathy_runtime.memory.layers import has_mask
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import ModelSpec, element_size


class Masks(NamedTuple):
    """Bytes of a batch's masks."""

    built: int  # while the layers run in the forward
    kept: int  # that checkpointed layers keep until their backward
    first: int  # of these, the one of the first layer


def masks_of(spec: ModelSpec, work: Workload) -> Masks:
    """Return the bytes of the masks of a batch. Raises KeyError if the architecture has no closed form."""
    element = element_size(work.held_dtype) if work.attn == "eager" else 1
    one = work.batch * work.seq_len**2 * element
    always, both = has_mask(work), family(spec).two_masks
    whole = one * always
    window = one * (always or slides_at(spec, work))
    with_window, without = spec.sliding_layers > 0, spec.sliding_layers < spec.layers
    return Masks(
        built=whole * (without or both) + window * (with_window or both),
        kept=whole * without + window * with_window,
        # Where only some layers have a window, the first one has.
        first=window if with_window else whole,
    )


def slides_at(spec: ModelSpec, work: Workload) -> bool:
    """Whether some layers need a mask, because a token does not see all before it; flash attention needs none."""
    return (
        bool(spec.sliding_layers)
        and work.attn != "flash_attention_2"
        and work.seq_len + work.new_tokens >= spec.sliding_window
    )
