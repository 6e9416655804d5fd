"""Sines and cosines of positions, and which part of which layers is rotated."""

from __future__ import annotations

from telepathy_runtime.memory.families import FAMILIES, family, form
from telepathy_runtime.memory.layers import autocast
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.consistency import WHOLE
from telepathy_runtime.models.spec import ModelSpec, element_size

SHARED_SINCE = (5, 24)
"""The first transformers whose GPT-J has one table of positions, and looks them up once for all layers and sequences."""
LOADED_SINCE = (5, 0)
"""The first transformers that loads this table with the weights, and not in the first step."""


def rotary_tables(spec: ModelSpec, work: Workload) -> int:
    """Sines and cosines of the batch's positions, once for each kind of layers.

    All sequences share them, but in Qwen2.5-VL.
    """
    how = family(spec)
    if not how.rotary:
        return 0
    in_float = autocast(work) or (how.rotates_in_float and how.norm == "rms32")
    element = 4 if in_float else element_size(work.dtype)
    kinds = work.batch if how.tables_of_each else 1
    kinds *= 1 + (how.two_tables and 0 < spec.sliding_layers < spec.layers)
    if how.float_scores or how.sinks:  # gpt-oss has both for half of a head
        return element * work.seq_len * _turned(spec)
    return 2 * element * work.seq_len * _turned(spec) * kinds


def position_buffer(spec: ModelSpec, work: Workload) -> int:
    """Sines and cosines of all positions, of which GPT-J has a table in float32 beside its weights, before transformers 5.24 one in each layer."""
    how = FAMILIES.get(form(spec))
    if how is None or not how.float_scores:
        return 0
    tables = spec.layers if work.version < SHARED_SINCE else 1
    return 4 * spec.max_positions * _turned(spec) * tables


def looks_up(spec: ModelSpec, work: Workload) -> int:
    """What a layer of an older GPT-J holds of its table: a copy for each sequence, the positions, and what was looked up."""
    if not family(spec).float_scores or work.version >= SHARED_SINCE:
        return 0
    each = 4 * spec.max_positions + (8 + element_size(work.dtype)) * work.seq_len
    return work.batch * each * _turned(spec) - rotary_tables(spec, work)


def _share(spec: ModelSpec) -> float:
    """The share of a head that is rotated; a config of heads that are rotated whole may name one, which is not read."""
    how = family(spec)
    own = 0.0 if form(spec) in WHOLE else spec.rotated
    return own or how.tables[1] or how.rotated


def rotated_share(spec: ModelSpec) -> float:
    """The share of a head that is rotated, as its sines and cosines have it."""
    return _turned(spec) / spec.head_dim


def _turned(spec: ModelSpec) -> int:
    """How many numbers of a head are rotated, or have a sine that is not used where that is odd."""
    exact = spec.head_dim * _share(spec)
    whole = round(exact) if family(spec).float_scores else int(exact)
    return whole + whole % 2


def unrotated(spec: ModelSpec) -> int:
    """How many layers are not rotated: every fourth one of SmolLM3, and those of Cohere 2 without a window."""
    if form(spec) == "smollm3":
        return spec.layers // 4
    how = family(spec)
    return spec.layers - spec.sliding_layers if how.norm == "cohere" and how.two_masks else 0


def ends_unrotated(spec: ModelSpec) -> bool:
    """Whether the last layer is one of them, as every fourth one is."""
    return unrotated(spec) * 4 == spec.layers
