"""What one decoder layer works with in a forward pass without gradients, where nothing is kept but the cache.

The most bytes are alive in one of four places: the norm, the rotation of queries and keys, attention, or the feed-forward
block. The letters are those of `layers`.
"""

from __future__ import annotations

from telepathy_runtime.memory.families import ACTIVATIONS, FAMILIES, family, form, projects_first
from telepathy_runtime.memory.layers import autocast, norm_kept, repeats_keys, up_to_8, weights_behind
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.consistency import WHOLE
from telepathy_runtime.models.spec import ModelSpec, element_size

SHARED_SINCE = (5, 24)
"""The first transformers whose GPT-J has one table of positions, and looks them up once for all layers and sequences."""
LOADED_SINCE = (5, 0)
"""The first transformers that loads this table with the weights, and not in the first step."""


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
    # The only layer's input are the embeddings themselves, if no positions are added.
    other = spec.layers > 1 or spec.learned_positions
    most -= element_size(work.dtype) * work.tokens * spec.hidden * (not other)
    return most + rotary_tables(spec, work) + _looks_up(spec, work)


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
    if how.float_scores:
        return element * work.seq_len * _turned(spec)
    return 2 * element * work.seq_len * _turned(spec) * kinds


def position_buffer(spec: ModelSpec, work: Workload) -> int:
    """Sines and cosines of all positions, of which GPT-J has a table in float32 beside its weights, before transformers 5.24 one in each layer."""
    how = FAMILIES.get(form(spec))
    if how is None or not how.float_scores:
        return 0
    tables = spec.layers if work.version < SHARED_SINCE else 1
    return 4 * spec.max_positions * _turned(spec) * tables


def _looks_up(spec: ModelSpec, work: Workload) -> int:
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


def _rows(spec: ModelSpec, work: Workload) -> int:
    """The embeddings, which the model holds, the layer's input, and the output of its norm."""
    how, rows = family(spec), 0
    if spec.learned_positions:
        rows = work.seq_len if how.held > 0 else work.tokens  # GPT-2 looks them up once for all sequences
    return element_size(work.dtype) * spec.hidden * ((2 + bool(how.before)) * work.tokens + rows)


def _norm_works(spec: ModelSpec, work: Workload) -> int:
    """The norms of the stream, the last with the output of a block, and those of the heads."""
    how, e, tokens = family(spec), element_size(work.dtype), work.tokens
    h, q, kv = spec.hidden, spec.query_dim, spec.kv_dim
    float_output = e * (how.norm == "rms32")
    rows = 4 if how.after else 2 + (not how.parallel)
    # Where no norm is before a block, the output of one is beside the sum with the stream.
    stream = tokens * h * (8 + e * rows + float_output * (not how.before)) * (how.norm != "layer")
    if not how.head_norms:
        return stream
    projected = 2 * kv * projects_first(how) - 2 * kv * work.use_cache
    return max(stream, _rows(spec, work) + tokens * (e * (q + projected) + 8 * q))


def _rotation_works(spec: ModelSpec, work: Workload) -> int:
    """What was projected, the two products and their sum, before a layer's keys and values are in the cache."""
    how, e, tokens = family(spec), element_size(work.dtype), work.tokens
    q, kv = spec.query_dim, spec.kv_dim
    if (
        how.joined and how.tables[0]
    ):  # GLM joins the rotated part of each head to the rest of it, first for queries
        share = _share(spec)
        joining = max(q + int(share * (q + kv)), q + kv + int(share * kv))
        return _rows(spec, work) + e * tokens * (q + 2 * kv + joining - 2 * kv * work.use_cache)
    if not how.rotary or how.rotated < 1 or how.fused_qkv or how.tables[0]:
        return 0
    parts = max(3 * q, q + 3 * kv)
    if how.rotates_in_float:
        # Cohere converts queries and keys; in OLMo, the sines are float32.
        parts = 2 * parts + (2 * (q + kv) if how.norm == "cohere" else 0)
    missing = work.use_cache * (1 + ends_unrotated(spec))
    return _rows(spec, work) + e * tokens * (parts + q + 2 * kv - 2 * kv * missing)


def ends_unrotated(spec: ModelSpec) -> bool:
    """Whether the last layer has no window and therefore, in Cohere 2, no rotation."""
    how = family(spec)
    return how.norm == "cohere" and how.two_masks and spec.sliding_layers * 4 == spec.layers * 3


def rotated_again(spec: ModelSpec, work: Workload, kept: int) -> int:
    """Bytes where checkpointing rotates queries and keys again, beside the `kept` ones of a layer; only where Cohere is in float32.

    There are the gradient of the layer, what the norm kept and its output, what was projected, and in float32 both inputs, and
    for each in turn two products and their sum. What comes behind is not there yet.
    """
    if not (work.checkpointing and work.trains) or family(spec).norm != "cohere":
        return 0
    e, tokens, q, kv = element_size(work.dtype), work.tokens, spec.query_dim, spec.kv_dim
    output = e * tokens * spec.hidden * (work.regime != "full")  # else the norm keeps it
    parts = 4 * (q + kv) + max(12 * q, 4 * q + 12 * kv) + e * (q + 2 * kv)
    return norm_kept(spec, work) + output + tokens * (parts + e * spec.hidden) - kept


def rotation_works(spec: ModelSpec, work: Workload, kept: int) -> int:
    """Bytes inside the backward of the queries' rotation, beside the `kept` ones of a layer; only where Cohere is in float32.

    What attention and the feed-forward block kept is freed. There are the gradients of the stream, of the norm's output, of
    values and, in float32, of keys, and four of the queries.
    """
    if family(spec).norm != "cohere":
        return 0
    e, q, kv, h = element_size(work.dtype), spec.query_dim, spec.kv_dim, spec.hidden
    behind = weights_behind(work, spec.mlp_params + q * h)
    gradients = 16 * q + (4 + e) * kv + 2 * e * h
    return norm_kept(spec, work) + work.tokens * gradients + behind - kept


def _attention_works(spec: ModelSpec, work: Workload, masked: bool) -> int:
    """Queries, keys and values, and the softmax of eager attention with what it is computed from."""
    how, e, tokens = family(spec), element_size(work.dtype), work.tokens
    h, q, kv = spec.hidden, spec.query_dim, spec.kv_dim
    copies = 2 * q * (repeats_keys(spec, work, masked) and kv != q and spec.kv_heads > 1)  # one is a view
    joined = how.joined and not how.tables[0]
    held = q
    if how.fused_qkv:
        held += q * how.rotary + 2 * kv
        held += kv * how.rotary * (not work.use_cache)
    else:
        held += 2 * kv * (not work.use_cache)
        if how.holds_parts:
            # Views of the projections are parts of what was joined.
            held += int((1 + _share(spec)) * (q + kv))
    total = _rows(spec, work) + e * tokens * held
    if work.attn == "eager":
        pairs = work.batch * spec.heads * work.seq_len**2
        most = pairs * ((2 + how.sinks) * e if how.half_softmax else 8 + e)
        if (
            how.float_scores
        ):  # the scores of queries and keys in float32, which several sequences copy to another order
            copies_of_both = 4 * tokens * (q + kv)
            most += copies_of_both * (work.version < SHARED_SINCE)  # older code holds them to the end
            most = max(most, 4 * pairs + copies_of_both * (1 + (work.batch > 1)))
        return total + e * tokens * copies + most
    # The kernel's output, beside what it read; then beside its copy, or that of the last matrix. A mask becomes a bias, which is made from
    # bits, and is then a part of a wider one.
    wide, length = up_to_8(work.seq_len), work.seq_len
    bias = e * tokens * wide * masked
    made = tokens * masked * (e * length + max(e * wide * (wide > length), length))
    behind = e * tokens * (q + max(q * (joined and not masked), h))
    return total + max(bias + e * tokens * (q + copies), behind, made + e * tokens * copies)


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
        outputs = 2 + 2 * (4 if how.float_routes else e) // e
        return scores + max(branches * wide + row, outputs * row) * many + 4 * row + shared
    kept, _ = ACTIVATIONS.get(spec.activation, (1, False))
    # At its end, the block has what the last matrix read, and its output.
    if spec.gated_mlp:
        most = max((3 + how.fused_gate) * wide, (1 + 2 * how.fused_gate) * wide + row)
    else:
        most = max(kept * wide, 2 * wide, wide + row)
    positions = e * work.seq_len * spec.hidden * (how.held > 0 and spec.learned_positions > 0)
    return scores + most + (4 + how.held) * row + positions
