"""The closed form of activations: the bytes that the layers keep for their backward pass, and work with.

One layer is counted operation by operation (`layer_tape`); here, the layers of a model are put together. The formulas of Korthikanti et
al. (arXiv 2205.05198) count the same tensors, but those of another family of models.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from telepathy_runtime.memory.families import FAMILIES, Family, family, form, knows_activation
from telepathy_runtime.memory.layer_tape import (
    last_norm,
    most_without_gradients,
    peaks,
    position_rows,
)
from telepathy_runtime.memory.layers import autocast, has_mask
from telepathy_runtime.memory.lora import embeddings_train, targets
from telepathy_runtime.memory.masks import Masks, masks_of, slides_at
from telepathy_runtime.memory.rotary import ends_unrotated, looks_up, rotary_tables, unrotated
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.architectures import READERS
from telepathy_runtime.models.spec import ModelSpec, NotModelledError, UnknownOptionError, element_size

ARCHITECTURES = tuple(FAMILIES)
"""Architectures whose activations have a closed form; others can be traced."""


@dataclass(frozen=True)
class Block:
    """Bytes of one decoder layer; of the layer with a sliding window where some layers have one at work. All but the first three are of training."""

    infer: int  # maximum inside its forward without gradient, with its input and the model's embeddings, without the cache
    tables: int  # sines and cosines, which all layers share
    masks: Masks
    copies: int = 0  # of its matrices in 16 bits, under autocast: until its backward, with checkpointing in each forward
    unsaved_copies: int = (
        0  # of these, those that the first layer does not keep, because its input needs no gradient
    )
    cast: int = 0  # copies of all adapters in 16 bits that only autocast holds, until the forward ends
    saved: int = 0  # kept from its forward to its backward
    every: int = 0  # kept by all layers
    again: int = 0  # kept after the forward that checkpointing repeats, in addition to its stored input
    unsaved_first: int = 0  # what the first layer does not keep, because its input needs no gradient
    working: int = 0  # maximum in addition to the saved tensors, inside its forward or backward
    first_working: int = 0  # the same of the first layer
    plain_working: int = 0  # the same of a layer that checkpointing leaves alone
    adapting: int = 0  # maximum inside its forward, in addition to the saved tensors
    stored_input: int = 0  # kept instead of `saved` with checkpointing
    first_holds: bool = False  # whether the first layer keeps its input
    cached: int = 0  # of all layers' keys and values, what only the cache holds
    first_cached: int = 0  # the same of the first layer
    hidden_kept: int = 0  # of the hidden states that a model returns, those that are kept for the backward
    hidden: tuple[int, int, int] = (0, 0, 0)
    """Those not counted otherwise in the forward of the last layer, of the last norm, and in the backward of the first layer."""
    ending: int = 0  # maximum inside the last norm's forward, in addition to what it keeps


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
    if work.trains:
        return _in_training(spec, work)
    return Block(_infers(spec, work), rotary_tables(spec, work), masks_of(spec, work))


def _infers(spec: ModelSpec, work: Workload) -> int:
    """The most bytes inside a layer's forward without gradients."""
    masked = has_mask(work) or slides_at(spec, work)
    return most_without_gradients(spec, work, masked) + rotary_tables(spec, work) + looks_up(spec, work)


def _in_training(spec: ModelSpec, work: Workload) -> Block:
    """The bytes of one layer in a step of training."""
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
    # Where the last layer is not rotated, there is one layer's input less beside the last one that is.
    bare = ends_unrotated(spec)
    ends = peaks(spec, work, mask, rotated=False) if bare else middle
    still = peaks(spec, plain, mask, rotated=False) if unrotated(spec) else most
    last = alone if spec.layers == 1 else (still if bare else most) if keeps else ends
    # Beside a layer that runs, there are its input, which checkpointing stores, and the embeddings, which the model holds.
    embeddings = embeddings_held(spec, work, bool(first_own))
    forward = max(last.forward, (middle.forward - row) * (bare and not keeps))
    adapting = forward + embeddings
    if keeps:
        adapting += row - last.kept - last.copies - row * last.holds_input
    adapting -= last.cast + last.cached
    # The only layer's input is what the caller gave, and is counted as that.
    alone_given = work.regime == "frozen_grad" and spec.layers == 1 and not changes_embeddings(spec)
    adapting -= row * (alone_given and keeps and not last.holds_input)
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
    norm = last_norm(spec, work)
    return Block(
        copies=most.copies,
        unsaved_copies=most.copies - start.copies,
        cast=alone.cast + (spec.layers - 1) * middle.cast,
        saved=most.kept + own,
        every=sliding * (most.kept + own)
        + (spec.layers - sliding) * (whole.kept + own)
        + unrotated(spec) * (still.kept - most.kept),
        again=most.kept,
        unsaved_first=(most.kept + own - start.kept - first_own) * other,
        working=max((alone if spec.layers == 1 else ends).backward, (middle.backward - row) * bare)
        - again_kept,
        first_working=alone.backward - again_kept,
        plain_working=most.backward,
        adapting=max(adapting + gone, 0),
        infer=_infers(spec, work),
        stored_input=row,
        first_holds=start.holds_input,
        tables=tables - gone,
        masks=masks_of(spec, work),
        cached=start.cached
        + (spec.layers - 1) * most.cached
        - unrotated(spec) * (most.cached - still.cached),
        first_cached=start.cached,
        hidden_kept=inputs_kept + norm.output,
        hidden=(
            in_norm - (keeps and not (first_kept if spec.layers == 1 else last.holds_input)),
            in_norm,
            spec.layers + 1 - (again or first_kept),
        ),
        ending=max(norm.forward + embeddings + gone, 0),
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
    rows = position_rows(spec, work)
    if not (work.checkpointing or work.regime == "frozen_grad") and (other or (spec.layers > 1 and not kept)):
        rows += work.tokens
    return element * spec.hidden * rows


def built_as_llama(how: Family, experts: int) -> bool:
    """Whether a layer has two norms in PyTorch's operations, each before a block, and no experts."""
    return not experts and how.norm in ("rms", "rms32") and (how.before, how.after) == (2, 0)


def built_as_gemma(how: Family, experts: int) -> bool:
    """Whether a layer is built as above, or as Gemma 3's, with norms of its blocks' outputs."""
    if how.after and (how.norm != "rms32" or not how.sdpa):
        return False
    return built_as_llama(how._replace(after=0), experts)


def unpacks(spec: ModelSpec, work: Workload) -> bool:
    """Whether the matrices of a layer are stored in a form that is unpacked for each product."""
    return bool(work.quantized != "none" or spec.stored_bytes)


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
    built = built_as_llama if work.regime in ("full", "frozen_grad") else built_as_gemma
    if (work.casts or work.dora) and not built(family(spec), spec.experts):
        return f"{spec.architecture} {'under autocast' if work.casts else 'with DoRA'}"
    # Of SmolLM3, every fourth layer is not rotated, and its queries are in 16 bits.
    how = family(spec)
    apart = not (how.joined or how.fused_qkv or how.fused_gate or unpacks(spec, work))
    known = apart and built_as_gemma(how, spec.experts) and form(spec) != "smollm3"
    if autocast(work) and work.regime == "inference" and not known:
        return f"{spec.architecture} without gradients under autocast"
    other = work.regime != "lora" and family(spec).head_norms
    if work.reentrant and (other or not built_as_llama(family(spec), spec.experts)):
        return f"{spec.architecture} with checkpointing and use_reentrant=True"
    if work.checkpoint_every > 1 and 0 < spec.sliding_layers < spec.layers:
        return f"{spec.architecture} with checkpoint_every={work.checkpoint_every} and two kinds of attention"
    if work.lora_dropout and (work.dora or not built_as_gemma(family(spec), spec.experts)):
        return f"{spec.architecture} with a dropout before its adapters" + " and DoRA" * work.dora
    if work.kernels == "adapters" and not _fuses(spec, work):
        return f"{spec.architecture} with kernels='adapters', but for q_proj, k_proj, v_proj, o_proj of a quantised base,"
    return ""


def _fuses(spec: ModelSpec, work: Workload) -> bool:
    """Whether the functions that compute a product and its adapter at once are known for this job."""
    known = built_as_llama(family(spec), spec.experts) and not family(spec).head_norms
    return known and unpacks(spec, work) and {each.site for each in targets(spec, work)} == set("qkvo")


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
