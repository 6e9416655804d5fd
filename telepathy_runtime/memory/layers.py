"""What one decoder layer of each model family keeps for its backward pass: the sums over the facts in `families`.

T = batch * seq_len tokens, e = bytes per element, h hidden, i intermediate, q and kv the widths of all query and all key
heads, a heads.
"""

from __future__ import annotations

from telepathy_runtime.memory.families import ACTIVATIONS, family, form
from telepathy_runtime.memory.shapes import matrices
from telepathy_runtime.memory.targets import sites_of
from telepathy_runtime.memory.workload import GQA_IN_FLASH, GQA_IN_SDPA, Workload
from telepathy_runtime.models.spec import ModelSpec, element_size


def autocast(work: Workload) -> bool:
    """Whether the forward runs in 16 bits over float32 norms, so that the stream is float32."""
    return (work.mixed_precision or work.prepared != "none") and work.casts


def new_gradients(work: Workload) -> bool:
    """Whether the gradients of a layer's weights stay beside what its backward works with.

    When gradients accumulate, they were there before, and what is added to them is freed at once.
    """
    return work.regime == "full" and work.grad_accum == 1


def weights_behind(work: Workload, count: int) -> int:
    """Bytes that `count` weights of a layer have after their backward, in addition to those before it.

    These are their gradients; under autocast, the copies of the weights in 16 bits are freed.
    """
    mixed, e = autocast(work), element_size(work.dtype)
    grown = new_gradients(work) and not work.opt_in_backward
    return count * ((4 if mixed else e) * grown - e * mixed)


def norm_kept(spec: ModelSpec, work: Workload, feeds: bool = True) -> int:
    """Bytes that one norm of the stream keeps; `feeds` tells whether a matrix reads its output.

    A norm in PyTorch operations keeps its input in float32, and what the gradient of its scale needs. Torch's own
    kernel, and Liger's, keep the input in its dtype. All keep the output if the matrix that reads it is trained.
    """
    e, row, full = element_size(work.dtype), work.tokens * spec.hidden, work.regime == "full"
    kind, output = family(spec).norm, feeds * full * e * row
    if work.casts and kind == "layer":  # in float32; each matrix keeps its own copy of the output
        return 4 * row + 8 * work.tokens + 4 * spec.hidden * (not work.mixed_precision)
    if autocast(work):  # the stream is float32, and so is the output
        copies = 8 * row if kind == "cohere" else 4 * row
        # The output of a block is 16 bits before its norm.
        return copies + 4 * work.tokens + full * (e if kind == "rms" and not feeds else 4) * row
    if kind == "layer":
        return e * row + 8 * work.tokens + output
    if kind == "cohere":
        return 8 * row + 4 * work.tokens + full * 4 * row + output
    if work.kernels != "plain":
        return e * row + 4 * work.tokens + output
    return 4 * row + 4 * work.tokens + full * (4 if kind == "rms32" else e) * row + output


def norms_kept(spec: ModelSpec, work: Workload) -> int:
    """Bytes that all norms of a layer keep."""
    how = family(spec)
    e, tokens, full = element_size(work.dtype), work.tokens, work.regime == "full"
    total = how.before * norm_kept(spec, work) + how.after * norm_kept(spec, work, feeds=False)
    row = tokens * spec.hidden
    if not how.before and not autocast(work):  # the matrices of both blocks read the stream itself
        total += 2 * full * e * row
    if how.norm == "layer" and how.parallel:
        # Both norms keep the stream, of which autocast makes a float32 copy for each.
        total -= (how.before - 1) * (4 * autocast(work) if work.casts else e) * row
    if autocast(work) or (work.casts and how.norm == "layer"):
        readers = (1 if how.fused_qkv else 3) + (2 if spec.gated_mlp and not how.fused_gate else 1)
        total += readers * full * e * row
    if how.head_norms:
        q, kv = spec.query_dim, spec.kv_dim
        rows = spec.heads + spec.kv_heads if how.head_norms == "head" else 2
        total += 4 * tokens * (q + kv) + 4 * tokens * rows
        total += full * (4 if how.norm == "rms32" else e) * tokens * (q + kv)
    return total


def attention_kept(spec: ModelSpec, work: Workload, masked: bool) -> int:
    """Bytes that attention keeps; `masked`: with a 4-D mask, for padding or a sliding window."""
    how = family(spec)
    e, tokens = element_size(work.dtype), work.tokens
    q, kv = spec.query_dim, spec.kv_dim
    cached = _cached(work)
    repeated = copies_keys(spec, work, masked)
    # Adapters of another dtype keep their own copy of the output.
    adapted = (work.regime, work.lora_dtype) == ("lora", work.dtype) and "o" in sites_of(
        work.lora_targets, form(spec), matrices(spec)
    )
    trained_out = work.regime == "full" or adapted
    number, share = how.tables[0], spec.rotated or how.tables[1]
    table = 4 if autocast(work) else e
    keys = 2 * e * tokens * (q if repeated else kv) + int(
        number * share * table * work.seq_len * spec.head_dim
    )
    if autocast(work) and repeats_keys(spec, work, masked) and not repeated:
        keys += e * tokens * (q - kv)  # of the view of one head, the cast makes a copy
    if repeated and cached and work.keep_outputs:
        keys += 2 * e * tokens * kv  # the cache holds the originals, attention the copies
    if how.fused_qkv and (work.attn != "eager" or work.batch == 1):
        # The cache copies keys and values, and so does a product over several sequences. Queries that are not rotated, and values that are neither copied nor
        # repeated, are views of the whole matrix' output.
        if not how.rotary:
            keys += 2 * e * tokens * kv * cached
        elif not cached and not repeated:
            keys += e * tokens * (q + kv)
    pairs = work.batch * spec.heads * work.seq_len**2
    if work.attn == "eager":
        # The softmax, and the probabilities in the model's dtype; the output is saved only for o_proj.
        softmax = 0 if how.half_softmax else 4
        # Dropout keeps a mask; what it drops from is kept only as the softmax itself.
        dropped = (1 + e * how.half_softmax) * spec.attention_dropout
        steps = e * spec.attention_softcap
        if how.float_scores:
            keys += (4 - e) * tokens * (q + kv)
        keys += 8 * tokens * spec.heads * how.sinks  # where the largest of each row is
        return pairs * (softmax + e + dropped + steps) + keys + (1 + trained_out) * e * tokens * q
    mask = work.batch * work.seq_len * up_to_8(work.seq_len) * e if masked else 0
    copied = (
        e * tokens * q * (how.joined and trained_out and not masked)
    )  # with a mask, it is in o_proj's order
    return keys + 2 * e * tokens * q + copied + 4 * tokens * spec.heads + mask


def _cached(work: Workload) -> bool:
    """Whether a training step's forward keeps keys and values for later tokens."""
    return work.use_cache and not work.checkpointing


def attention_works(spec: ModelSpec, work: Workload) -> int:
    """Bytes inside the backward of eager attention's softmax, in addition to what the layer kept at first.

    There are two tensors of gradients, and those of the trained weights behind them. What the MLP and o_proj kept is
    freed by then, and so are the probabilities, if they are not the softmax itself.
    """
    if work.attn != "eager":
        return 0
    how, e, full = family(spec), element_size(work.dtype), work.regime == "full"
    pairs = work.batch * spec.heads * work.seq_len**2
    gradients = 2 * e if how.half_softmax else 4 + 4 - e
    gradients -= (1 + e * how.half_softmax) * spec.attention_dropout
    # With dropout, the product's backward may hold more: what is dropped from is then not yet freed.
    before = e - gradients if spec.attention_dropout else 0
    behind = weights_behind(work, spec.mlp_params + spec.query_dim * spec.hidden)
    rows = e * work.tokens * ((2 - (not how.parallel)) * spec.hidden - full * spec.query_dim)
    freed = mlp_kept(spec, work) + norm_kept(spec, work) * (how.before > 1) + dropout_kept(spec, work)
    freed += how.after * norm_kept(spec, work, feeds=False)
    if not how.before:
        freed += full * e * work.tokens * spec.hidden
    if (
        how.fused_qkv
        and how.rotary
        and work.batch == 1
        and not _cached(work)
        and spec.kv_dim == spec.query_dim
    ):
        freed += e * work.tokens * (spec.query_dim + spec.kv_dim)  # the rest of what values were a view of
    if autocast(work):  # the stream is float32, and each matrix of the MLP kept a copy of its input
        rows += (4 - e) * work.tokens * spec.hidden
        freed += full * (1 + (spec.gated_mlp and not how.fused_gate)) * e * work.tokens * spec.hidden
    product = max(pairs * before + 2 * e * work.tokens * spec.query_dim, 0) * bool(before)
    return pairs * gradients + product + behind + rows - freed


def mlp_kept(spec: ModelSpec, work: Workload) -> int:
    """Bytes that the feed-forward block keeps."""
    if spec.experts:
        return _experts_kept(spec, work)
    e, full = element_size(work.dtype), work.regime == "full"
    wide = e * work.tokens * spec.intermediate
    kept, output = ACTIVATIONS.get(spec.activation, (1, False))
    if spec.gated_mlp:
        # Gate, its activation, and up; Liger's kernel recomputes the activation.
        return (kept + (1 if work.kernels == "liger" else 2) + full) * wide
    return (kept + (full and not output)) * wide


def _experts_kept(spec: ModelSpec, work: Workload) -> int:
    """Bytes that the experts keep in transformers' default implementation, which sorts the tokens by expert.

    Each token is there once for each of its experts: gate, its activation and up, and the output, which is kept for the
    weights of the experts.
    """
    e, full, tokens = element_size(work.dtype), work.regime == "full", work.tokens
    rows = tokens * spec.experts_per_token
    branches = 6 if family(spec).experts == "clamped" else 3
    kept = e * rows * ((branches + full) * spec.intermediate + (1 + full) * spec.hidden)
    shared = e * tokens * ((3 + full) * spec.shared_width + spec.hidden) if spec.shared_width else 0
    router = 4 * tokens * spec.experts + 8 * 4 * rows
    return kept + shared + router


def mlp_works(spec: ModelSpec, work: Workload) -> int:
    """Bytes inside the backward of the feed-forward block, in addition to what it kept.

    The gradients of product, gate, up and the residual stream, and that of down_proj; by then, the product is freed.
    An activation in several operations has a gradient more. The mask of the last dropout is freed, too.
    """
    e, full, h = element_size(work.dtype), work.regime == "full", spec.hidden
    kept, output = ACTIVATIONS.get(spec.activation, (1, False))
    branches = 3 if spec.gated_mlp else 2 + (kept > 2)
    if spec.experts:  # a row of each token for each of its experts, whose outputs are freed
        rows = e * work.tokens * spec.experts_per_token
        weights = new_gradients(work) * e * spec.experts * h * spec.intermediate
        stream = e * work.tokens * h
        # Of an expert that reads all tokens, there are two gradients of the stream, and its output is freed.
        at_down = (
            rows * ((3 - full) * spec.intermediate - h) + stream * (1 + bool(spec.shared_width)) + weights
        )
        # Before, where the outputs are put back into their order, there are three tensors of them; more, where they are weighted in float32.
        at_down = max(at_down, (3 + (4 - work.checkpointing) * family(spec).float_routes) * rows * h + stream)
        # At gate and up, which are one matrix, the input's gradient and those of all weights are there.
        freed = (1 + full if family(spec).experts == "gated" else 4 + full) * spec.intermediate + h
        return max(at_down, rows * (h - freed) + stream * (1 + 2 * bool(spec.shared_width)) + 3 * weights)
    # The norm of the block's output is done by then.
    own = spec.gated_mlp or not output  # else the product is what the activation keeps
    wide = e * work.tokens * (branches - full * own) * spec.intermediate - dropout_kept(spec, work) // 2
    if (
        full and not spec.gated_mlp and kept == 1 and own
    ):  # at down_proj, whose gradient the dropout makes another tensor
        wide += e * work.tokens * h * spec.dropout
    wide -= norm_kept(spec, work, feeds=False) * (family(spec).after > 1)
    if autocast(work):  # the stream and the weight's gradient are float32; the weight's copy is freed
        return wide + 4 * work.tokens * h + (4 * new_gradients(work) - e) * h * spec.intermediate
    return wide + e * work.tokens * h + new_gradients(work) * e * h * spec.intermediate


def experts_work(spec: ModelSpec, work: Workload) -> int:
    """Bytes inside the forward of the experts, in addition to all that the layer keeps.

    At the end there are the outputs, weighted, and in their order; in gpt-oss, before, a bias for each row and the clamped
    parts.
    """
    if not spec.experts:
        return 0
    rows, full, h = work.tokens * spec.experts_per_token, work.regime == "full", spec.hidden
    how, e = family(spec), element_size(work.dtype)
    # Where the clamped parts are, the output of the experts, which the layer keeps, is not there yet; when checkpointing
    # repeats this, its gradient is.
    if how.experts == "clamped":
        wide = (4 - full) * spec.intermediate + (work.checkpointing - full) * h
        # At the end, the bias of each row and the outputs, weighted, and in their order.
        wide = max(wide, (1 - full) * h + (3 - work.checkpointing) * h)
    else:
        routed = h * (4 if how.float_routes else e) // e
        wide = (1 - full) * h + 2 * routed
        if work.checkpointing and not (full or spec.shared_width):
            # Before, at their last product, there are what it reads, the sorted tokens, and the gradient of the outputs.
            wide = max(wide, spec.intermediate + h + routed)
    # Beside the layer's own tensors of the stream, there are the model's embeddings, if its input are others; frozen weights have counted them.
    more = 0 if work.checkpointing else (spec.layers > 1) - (work.regime == "frozen_grad")
    return e * (rows * wide + (3 - full + more) * work.tokens * h)


def dropout_kept(spec: ModelSpec, work: Workload) -> int:
    """Bytes of the masks of the two dropouts on a layer's stream: one byte an element."""
    return 2 * work.tokens * spec.hidden * spec.dropout


def forward_again(spec: ModelSpec, work: Workload) -> int:
    """Bytes at the end of the forward that checkpointing repeats, in addition to what the layer keeps.

    It ends at the last tensor that is kept, the mask of a dropout: with the gradient of the layer, the output of the
    feed-forward block, what is left of it or what it was computed from, and what the layer's code still holds. A wide
    block's backward needs more.
    """
    how, e, full = family(spec), element_size(work.dtype), work.regime == "full"
    row, read = e * work.tokens * spec.hidden, e * work.tokens * spec.intermediate
    if work.checkpointing and autocast(work):  # all copies of the weights in 16 bits are there
        return read * (not full) + 4 * work.tokens * spec.hidden * (2 - full)
    if work.checkpointing and how.parallel and not (full or spec.gated_mlp or spec.dropout):
        # It ends at the last matrix, before which there are what it reads, and attention's output and the norm's.
        return 3 * row + read
    if not (work.checkpointing and spec.dropout):
        return 0
    kept = full or ACTIVATIONS.get(spec.activation, (1, False))[1]
    left = max(row, read * (not kept) - dropout_kept(spec, work) // 2)
    return row * (3 + (how.parallel or how.held > 0) - (full or how.inline)) + left


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


def copies_keys(spec: ModelSpec, work: Workload, masked: bool) -> bool:
    """Whether keys and values are copies for every query head.

    One head is repeated as a view, of which only the products of eager attention make a copy, for several sequences.
    """
    repeated = repeats_keys(spec, work, masked) and spec.kv_dim != spec.query_dim
    return repeated and (spec.kv_heads > 1 or (work.attn == "eager" and work.batch > 1))


def up_to_8(length: int) -> int:
    """The width to which PyTorch pads a mask."""
    return -(-length // 8) * 8
