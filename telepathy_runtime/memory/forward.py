"""What one decoder layer works with in a forward pass without gradients, where nothing is kept but the cache.

The most bytes are alive in one of four places: the norm, the rotation of queries and keys, attention, or the feed-forward
block. The letters are those of `layers`.
"""

from __future__ import annotations

from telepathy_runtime.memory.layers import ACTIVATIONS, family, repeats_keys
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import ModelSpec, element_size


def works_without_gradients(spec: ModelSpec, work: Workload, masked: bool) -> int:
    """The most bytes inside a layer's forward without gradients, with its input and output, without the cache.

    Raises KeyError if the architecture has no closed form.
    """
    most = max(
        _norm_works(spec, work),
        _rotation_works(spec, work),
        _attention_works(spec, work, masked),
        _mlp_works(spec, work),
    )
    return most + _tables(spec, work)


def _tables(spec: ModelSpec, work: Workload) -> int:
    """Sines and cosines of all positions, which the model computes once for each kind of its layers."""
    how = family(spec)
    if not how.rotary or how.tables[0]:
        return 0
    element = 4 if how.rotates_in_float and how.norm == "rms32" else element_size(work.dtype)
    kinds = 1 + (how.two_tables and 0 < spec.sliding_layers < spec.layers)
    return 2 * element * work.seq_len * int(spec.head_dim * how.rotated) * kinds


def _rows(spec: ModelSpec, work: Workload) -> int:
    """The embeddings, which the model holds, the layer's input, and the output of its norm."""
    how = family(spec)
    positions = spec.learned_positions > 0
    return element_size(work.dtype) * work.tokens * spec.hidden * (2 + bool(how.before) + positions)


def _norm_works(spec: ModelSpec, work: Workload) -> int:
    how, e, tokens = family(spec), element_size(work.dtype), work.tokens
    h, q, kv = spec.hidden, spec.query_dim, spec.kv_dim
    if how.head_norms:
        return tokens * (e * ((1 + (how.norm == "rms32")) * h + q + 2 * kv) + 8 * q)
    return tokens * (2 * e * h + 8 * h)


def _rotation_works(spec: ModelSpec, work: Workload) -> int:
    """Queries in float32, the two products and their sum, before the last layer's keys and values are in the cache."""
    how, e, tokens = family(spec), element_size(work.dtype), work.tokens
    if not how.rotates_in_float or how.norm != "cohere" or spec.sliding_layers:
        return 0
    q, kv = spec.query_dim, spec.kv_dim
    return _rows(spec, work) + tokens * (4 * (4 * q + kv) + e * (q + 2 * kv * (not work.use_cache)))


def _attention_works(spec: ModelSpec, work: Workload, masked: bool) -> int:
    """Queries, keys and values, and the softmax of eager attention with what it is computed from."""
    how, e, tokens = family(spec), element_size(work.dtype), work.tokens
    q, kv = spec.query_dim, spec.kv_dim
    repeated = repeats_keys(work, masked) and kv != q
    total = _rows(spec, work) + e * tokens * q
    if how.fused_qkv:
        total += e * tokens * (q * how.rotary + 2 * kv)
    elif (how.joined and not how.tables[0]) or how.float_scores:
        # Views of the projections are parts of what was joined.
        share = how.tables[1] if how.float_scores else how.rotated
        total += int(e * tokens * (1 + share) * (q + kv))
    if repeated:
        total += 2 * e * tokens * q
    if not work.use_cache and not (repeated and work.attn == "eager"):
        total += 2 * e * tokens * kv
    if work.attn == "eager":
        pairs = work.batch * spec.heads * work.seq_len**2
        return total + pairs * (2 * e if how.half_softmax else 8 + e)
    return total + e * tokens * q  # its output


def _mlp_works(spec: ModelSpec, work: Workload) -> int:
    """The feed-forward block, beside the weights of eager attention, which the layer holds until its end."""
    how, e, tokens = family(spec), element_size(work.dtype), work.tokens
    wide, row = e * tokens * spec.intermediate, e * tokens * spec.hidden
    scores = e * work.batch * spec.heads * work.seq_len**2 if work.attn == "eager" else 0
    if spec.experts:
        # The tokens sorted by expert; at the end, the outputs of the experts, weighted, and in their order.
        many = spec.experts_per_token
        branches = 9 if how.experts == "clamped" else 4
        shared = row * bool(spec.shared_width)
        return scores + max(branches * wide + row, 4 * row) * many + 4 * row + shared
    kept, _ = ACTIVATIONS.get(spec.activation, (1, False))
    branches = 3 + how.fused_gate if spec.gated_mlp else max(kept, 2)
    positions = e * work.seq_len * spec.hidden * (how.held > 0 and spec.learned_positions > 0)
    return scores + branches * wide + (4 + how.held) * row + positions
