"""The closed form of activations: the bytes that the layers keep for their backward pass, and work with.

T = batch * seq_len tokens, e = bytes per element, h hidden, i intermediate, q and kv the widths of all query
and all key heads, a heads. What a layer keeps is in `layers`. The formulas of Korthikanti et al. (arXiv
2205.05198) have the same form, but their constants are for another family of models.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from telepathy_runtime.memory.families import FAMILIES, family, form, knows_activation
from telepathy_runtime.memory.forward import (
    ends_unrotated,
    rotary_tables,
    rotated_again,
    rotation_works,
    works_without_gradients,
)
from telepathy_runtime.memory.layer_tape import (
    built_as_llama,
    infers_on_tape,
    most_without_gradients,
    norm_forward,
    on_tape,
    peaks,
    steps_on_tape,
    unpacks,
)
from telepathy_runtime.memory.layers import (
    attention_kept,
    attention_works,
    autocast,
    dropout_kept,
    experts_work,
    forward_again,
    has_mask,
    mlp_kept,
    mlp_works,
    norm_kept,
    norms_kept,
    weights_behind,
)
from telepathy_runtime.memory.lora import (
    adapter_params,
    adapters_kept,
    embeddings_train,
    targets,
    unsaved_first,
)
from telepathy_runtime.memory.masks import Masks, masks_of, slides_at
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.architectures import READERS
from telepathy_runtime.models.spec import ModelSpec, NotModelledError, UnknownOptionError, element_size

ARCHITECTURES = tuple(FAMILIES)
"""Architectures whose activations have a closed form; others can be traced."""


@dataclass(frozen=True)
class Block:
    """Bytes of one decoder layer; of the layer with a sliding window where some layers have one at work."""

    copies: int  # of its matrices in 16 bits, under autocast: until its backward, with checkpointing in each forward
    unsaved_copies: (
        int  # of these, those that the first layer does not keep, because its input needs no gradient
    )
    cast: int  # copies of all adapters in 16 bits that only autocast holds, until the forward ends
    saved: int  # kept from its forward to its backward
    every: int  # kept by all layers
    again: int  # kept after the forward that checkpointing repeats, in addition to its stored input
    unsaved_first: int  # what the first layer does not keep, because its input needs no gradient
    working: int  # maximum in addition to the saved tensors, inside its forward or backward
    first_working: int  # the same of the first layer
    plain_working: int  # the same of a layer that checkpointing leaves alone
    adapting: int  # maximum inside its forward where adapters or clamped experts run, in addition to the saved tensors
    infer: int  # maximum inside its forward without gradient, without the cache
    stored_input: int  # kept instead of `saved` with checkpointing
    tables: int  # sines and cosines, which all layers share
    masks: Masks
    cached: int = 0  # of all layers' keys and values, what only the cache holds
    first_cached: int = 0  # the same of the first layer
    hidden_kept: int = 0  # of the hidden states that a model returns, those that are kept for the backward
    hidden: tuple[int, int, int] = (
        0,
        0,
        0,
    )  # those not counted otherwise in the forward of the last layer, of the last norm, and in the backward of the first layer
    ending: int = 0  # maximum inside the last norm's forward, in addition to what it keeps
    taped: bool = False  # whether a tape counted what is kept, and what only the cache holds
    unpacks: bool = False  # whether a quantised matrix that is unpacked is counted above, where it is there


def block(spec: ModelSpec, work: Workload) -> Block:
    """Return the bytes of one layer of `spec` under `work`.

    Raises NotModelledError if the model's activations have no closed form.
    """
    what = _unmodelled(spec, work)
    if what:
        raise NotModelledError(f"activations of {what} have no closed form")
    if work.source_len:
        raise UnknownOptionError(f"source_len is for encoder-decoders, and {spec.id} is none")
    spec = divided(spec, work)
    if steps_on_tape(family(spec), spec.experts, work):
        return _on_tape(spec, work)
    e, tokens = element_size(work.dtype), work.tokens
    slides = slides_at(spec, work)
    rest = (
        norms_kept(spec, work) + mlp_kept(spec, work) + dropout_kept(spec, work) + adapters_kept(spec, work)
    )
    whole = rest + attention_kept(spec, work, has_mask(work))
    saved = rest + attention_kept(spec, work, True) if slides else whole
    sliding = spec.sliding_layers if slides else 0
    row = (4 if autocast(work) else e) * tokens * spec.hidden
    matrices = spec.mlp_params + spec.attention_params
    again = saved - row * _keeps_stored(spec, work)
    behind = frozenset({"o"})
    grown = element_size(work.lora_dtype) * adapter_params(spec, work, behind) * (work.grad_accum == 1)
    adapting = experts_work(spec, work)
    # A layer that runs again as a whole holds its output to the end of its backward.
    held = row * work.reentrant
    # Where attention's softmax is at work, the adapters behind it are done; a held gradient of the output is not.
    attending = attention_works(spec, work) - adapters_kept(spec, work, behind) + grown
    others = max(mlp_works(spec, work), _norms_work(spec, work), rotation_works(spec, work, saved))
    working = max(
        others + held, attending + 2 * held, forward_again(spec, work), adapting * work.checkpointing
    )
    rotating = rotated_again(spec, work, saved)
    # Beside the last layer that rotates, there may be one layer's input less.
    first_working, working = max(working, rotating), max(working, rotating - row * ends_unrotated(spec))
    return Block(
        copies=e * matrices * autocast(work),
        unsaved_copies=0,
        cast=0,
        saved=saved,
        every=sliding * saved + (spec.layers - sliding) * whole,
        again=again,
        unsaved_first=unsaved_first(spec, work),
        working=working,
        first_working=first_working,
        plain_working=max(others, attending),
        adapting=adapting,
        infer=_infers(spec, work, has_mask(work) or slides),
        stored_input=row,
        tables=rotary_tables(spec, work),
        masks=masks_of(spec, work),
    )


def _on_tape(spec: ModelSpec, work: Workload) -> Block:
    """The bytes of one layer from a tape."""
    again, masked, slides = work.checkpointing, has_mask(work), slides_at(spec, work)
    row = (4 if autocast(work) else element_size(work.dtype)) * work.tokens * spec.hidden
    # Where layers are checkpointed, the others have no cache either.
    how = {"checkpointing": False, "reentrant": False, "checkpoint_every": 1}
    plain, mask = work.but(use_cache=work.use_cache and not again, **how), masked or slides
    whole, most = (peaks(spec, plain, each) for each in (masked, mask))
    middle = peaks(spec, work, mask)
    # Without these, the first layer's input needs no gradient.
    other = work.regime == "lora" and not again and not embeddings_train(spec, work)
    start = peaks(spec, plain, mask, first=True) if other else most
    own, first_own = row * most.holds_input, row * start.holds_input
    alone = start if other else middle
    keeps = not again or work.plain_at_end(spec.layers) > 0  # the last layer
    # In Cohere 2, the last layer may not be rotated; beside the last one that is, there is one layer's input less.
    bare = ends_unrotated(spec)
    ends = peaks(spec, work, mask, rotated=False) if bare else middle
    last = alone if spec.layers == 1 else most if keeps else ends
    # Beside a layer that runs, there are its input, which checkpointing stores, and the embeddings, which the model holds.
    embeddings = embeddings_held(spec, work, bool(first_own))
    adapting = last.forward + embeddings
    if keeps:
        adapting += row - last.kept - last.copies - row * last.holds_input
    adapting -= last.cast + last.cached
    # Hidden states are the layers' inputs and the last norm's output; the embeddings are the first, if nothing makes another tensor of them.
    first_kept = start.holds_input or (work.regime == "frozen_grad" and not changes_embeddings(spec))
    inputs_kept = (spec.layers - 1) * most.holds_input + first_kept
    if again:
        inputs_kept = spec.layers
    there = bool(embeddings) and spec.layers > 1 and not (spec.learned_positions or spec.embedding_dropout)
    in_norm = spec.layers - inputs_kept - there
    again_kept = (most.kept + most.copies) * again
    sliding = spec.sliding_layers * slides
    # The model's sines and cosines are freed with its forward where layers keep only their own, and where nothing before the feed-forward block
    # of the only layer takes a gradient.
    tables = rotary_tables(spec, work)
    own_tables = family(spec).tables[0] > 0 and not again
    gone = tables * (own_tables or (spec.layers == 1 and other and not start.rotates))
    return Block(
        copies=most.copies,
        unsaved_copies=most.copies - start.copies,
        cast=alone.cast + (spec.layers - 1) * middle.cast,
        saved=most.kept + own,
        every=sliding * (most.kept + own) + (spec.layers - sliding) * (whole.kept + own),
        again=most.kept,
        unsaved_first=(most.kept + own - start.kept - first_own) * other,
        working=max((alone if spec.layers == 1 else ends).backward, (middle.backward - row) * bare)
        - again_kept,
        first_working=alone.backward - again_kept,
        plain_working=most.backward,
        adapting=max(adapting + gone, 0),
        infer=_infers(spec, work, mask),
        stored_input=row,
        tables=tables - gone,
        masks=masks_of(spec, work),
        cached=start.cached + (spec.layers - 1) * most.cached,
        first_cached=start.cached,
        hidden_kept=inputs_kept + ("lm_head" in work.modules_to_save and not work.casts),
        hidden=(
            in_norm - (keeps and not (first_kept if spec.layers == 1 else last.holds_input)),
            in_norm,
            spec.layers + 1 - (again or first_kept),
        ),
        ending=norm_forward(spec, work) + row * (not keeps_input(spec, work)) + embeddings + gone,
        taped=True,
        unpacks=True,
    )


def changes_embeddings(spec: ModelSpec) -> bool:
    """Whether the first layer's input is another tensor than what the model was given or looked up."""
    return bool(spec.learned_positions or spec.embedding_dropout or family(spec).scales_embeddings)


def embeddings_held(spec: ModelSpec, work: Workload, kept: bool) -> int:
    """Bytes of embeddings and positions that the model holds while its layers run, beside their inputs.

    `kept`: whether the first layer keeps its input. Checkpointing stores it, and a caller's embeddings are counted as given.
    """
    element = 4 if autocast(work) else element_size(work.dtype)
    other = bool(spec.learned_positions or spec.embedding_dropout)
    rows = 0
    if spec.learned_positions:  # GPT-2 looks them up once for all sequences
        rows = work.seq_len if family(spec).held > 0 else work.tokens
    if not (work.checkpointing or work.regime == "frozen_grad") and (other or (spec.layers > 1 and not kept)):
        rows += work.tokens
    return element * spec.hidden * rows


def _infers(spec: ModelSpec, work: Workload, masked: bool) -> int:
    """The most bytes inside a layer's forward without gradients, with its input and the model's embeddings, without the cache."""
    if infers_on_tape(spec, work):
        return most_without_gradients(spec, work, masked) + rotary_tables(spec, work)
    return works_without_gradients(spec, work, masked)


def _keeps_stored(spec: ModelSpec, work: Workload) -> bool:
    """Whether the layer itself keeps its stored input: for its first norm, or for matrices that read it without one."""
    if family(spec).before:
        return keeps_input(spec, work)
    return work.regime == "full" and not work.casts


def keeps_input(spec: ModelSpec, work: Workload) -> bool:
    """Whether a norm of the stream keeps its input itself, not a copy in another dtype."""
    if work.casts:
        return autocast(work)
    return family(spec).norm == "layer" or work.kernels != "plain"


def _unmodelled(spec: ModelSpec, work: Workload) -> str:
    """The properties of a model or a job without a closed form; empty if there are none."""
    if work.dtype == "float32":
        return "float32 weights"
    if spec.stored_bytes and work.regime == "full":
        return "quantised weights, which take no gradients,"
    if spec.stored_bytes and spec.experts:
        return "quantised experts"
    if spec.head_rows >= 0:
        return f"{spec.architecture} with another head than a language model's"
    # A model that has a reader and was counted all the same has something that the reader does not know.
    odd = spec.counted and spec.architecture in READERS
    if (
        odd
        or form(spec) not in FAMILIES
        or not spec.layers
        or bool(spec.experts) != bool(family(spec).experts)
    ):
        return spec.architecture or "a model known by its headers alone"
    if not knows_activation(spec):
        return f"{spec.architecture} with the activation {spec.activation}"
    # Autocast and DoRA were compared for layers that are built as Llama's: two norms, each before a block; for those of Gemma 3 with adapters.
    built = built_as_llama if work.regime in ("full", "frozen_grad") else on_tape
    if (work.casts or work.dora) and not built(family(spec), spec.experts):
        return f"{spec.architecture} {'under autocast' if work.casts else 'with DoRA'}"
    # Of SmolLM3, every fourth layer is not rotated, and its queries are in 16 bits.
    known = infers_on_tape(spec, work) and form(spec) != "smollm3"
    if autocast(work) and work.regime == "inference" and not known:
        return f"{spec.architecture} without gradients under autocast"
    other = work.regime != "lora" and family(spec).head_norms
    if work.reentrant and (other or not built_as_llama(family(spec), spec.experts)):
        return f"{spec.architecture} with checkpointing and use_reentrant=True"
    if work.checkpoint_every > 1 and 0 < spec.sliding_layers < spec.layers:
        return f"{spec.architecture} with checkpoint_every={work.checkpoint_every} and two kinds of attention"
    if work.lora_dropout and (work.dora or not on_tape(family(spec), spec.experts)):
        return f"{spec.architecture} with a dropout before its adapters" + " and DoRA" * work.dora
    if work.kernels == "adapters" and not _fuses(spec, work):
        return f"{spec.architecture} with kernels='adapters', but for q_proj, k_proj, v_proj, o_proj of a quantised base,"
    return ""


def _fuses(spec: ModelSpec, work: Workload) -> bool:
    """Whether the functions that compute a product and its adapter at once are known for this job."""
    known = built_as_llama(family(spec), spec.experts) and not family(spec).head_norms
    return known and unpacks(spec, work) and {each.site for each in targets(spec, work)} == set("qkvo")


def norm_saved(spec: ModelSpec, work: Workload) -> int:
    """Bytes that the last norm keeps: its input in float32, and what the gradient of its scale needs."""
    copy = element_size(work.dtype) * work.tokens * spec.hidden
    if "lm_head" in work.modules_to_save:  # its input
        return norm_kept(spec, work) * bool(spec.final_norms) + copy
    copy *= work.regime == "full"
    # TRL's log-probabilities keep a copy of the output instead of it.
    alone = autocast(work) or (work.casts and family(spec).norm == "layer")
    copy *= alone - (work.objective != "lm")
    return (norm_kept(spec, work) + copy) * bool(spec.final_norms)


def norm_working(spec: ModelSpec, work: Workload) -> int:
    """Additional bytes inside the last norm's backward: four float32 copies of its input, minus what is freed by then."""
    e, row, full = element_size(work.dtype), work.tokens * spec.hidden, work.regime == "full"
    kind = family(spec).norm
    if work.kernels != "plain" or kind == "layer":
        return 2 * e * row
    freed = 4 * row * (kind == "cohere")  # which keeps two copies of its input
    return 16 * row + 2 * e * row - full * (2 if kind == "rms" else 3) * e * row - freed


def _norms_work(spec: ModelSpec, work: Workload) -> int:
    """Additional bytes inside the backward of a layer's norms, beside the gradient of the stream.

    At the norm before the feed-forward block, what the block kept is freed, and the gradients of its weights are there.
    No matrix keeps the output of a norm that comes after a block.
    """
    how, full, e = family(spec), work.regime == "full", element_size(work.dtype)
    row = e * work.tokens * spec.hidden
    most = norm_working(spec, work) + row
    ends = (most + full * row) * bool(how.after)
    # At the layer's first norm, both blocks are done, and so are all other norms.
    rest = mlp_kept(spec, work) + adapters_kept(spec, work) + dropout_kept(spec, work)
    rest += attention_kept(spec, work, has_mask(work) or slides_at(spec, work))
    rest += (norms_kept(spec, work) - norm_kept(spec, work)) * (how.before == 2)
    # Or at the one matrix behind it, at the gradients of queries, keys and values.
    whole = (2 * row + e * work.tokens * (spec.query_dim + 2 * spec.kv_dim)) * how.fused_qkv
    first = max(most, whole) + weights_behind(work, spec.mlp_params + spec.attention_params) - rest
    if not how.before:
        done = mlp_kept(spec, work) + 2 * norm_kept(spec, work, feeds=False) + full * row
        return max(ends, _head_norms_work(spec, work, done - norm_kept(spec, work)))
    if how.before < 2:
        return max(ends, first)
    freed = mlp_kept(spec, work) + dropout_kept(spec, work) // 2
    freed += norm_kept(spec, work, feeds=False) * (how.after > 1)
    inside = most + weights_behind(work, spec.mlp_params) - freed
    return max(ends, first, inside, _head_norms_work(spec, work, freed))


def _head_norms_work(spec: ModelSpec, work: Workload, freed: int) -> int:
    """Additional bytes inside the backward of the norms of keys and queries, where `freed` bytes of the block before are freed.

    What attention kept is freed, too; the gradients of queries, of the values' input and of the stream are there. At the queries, which
    come last, what the keys' norm kept is freed.
    """
    if not family(spec).head_norms:
        return 0
    e, tokens, q, kv = element_size(work.dtype), work.tokens, spec.query_dim, spec.kv_dim
    full = work.regime == "full"
    freed += norm_kept(spec, work) + adapters_kept(spec, work, frozenset("o"))
    freed += attention_kept(spec, work, has_mask(work) or slides_at(spec, work))
    scaled = full * (4 if family(spec).norm == "rms32" else e)
    copies, stream = (20 - scaled) * tokens, 2 * e * tokens * spec.hidden
    at_keys = copies * kv + e * tokens * q + weights_behind(work, spec.mlp_params + spec.hidden * (q + kv))
    at_queries = copies * q + weights_behind(work, spec.mlp_params + spec.hidden * (q + 2 * kv))
    rows = spec.kv_heads if family(spec).head_norms == "head" else 1
    at_queries -= (4 + scaled) * tokens * kv + 4 * tokens * rows
    return stream + max(at_keys, at_queries) - freed


def divided(spec: ModelSpec, work: Workload) -> ModelSpec:
    """The part of a model whose activations one rank of tensor parallelism computes: heads and widths are divided.

    Raises UnknownOptionError if they are not divisible.
    """
    if work.shard != "tp" or work.ranks == 1:
        return spec
    for name in ("heads", "kv_heads", "intermediate"):
        if getattr(spec, name) % work.ranks:
            raise UnknownOptionError(
                f"shard='tp': {getattr(spec, name)} {name} of {spec.id} over {work.ranks} ranks cannot be divided; --ranks must divide them"
            )
    return replace(
        spec,
        heads=spec.heads // work.ranks,
        kv_heads=spec.kv_heads // work.ranks,
        intermediate=spec.intermediate // work.ranks,
    )
