"""Peak memory of one model's job on one device, in closed form: no torch, microseconds, exact integers.

The peak is the maximum over a few instants of a step. Each instant lists what is in memory, which explains
the result. The formulas hold for transformers 4.46 and newer in eager PyTorch, with 16-bit weights or with float32
ones under autocast, whole or in shards of FSDP. Not modelled: torch.compile.
Estimates do not include the CUDA context, workspaces of kernels and fragmentation; `gpus` reserves memory for
them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from telepathy_runtime.memory.blocks import (
    Block,
    block,
    changes_embeddings,
    divided,
)
from telepathy_runtime.memory.families import family
from telepathy_runtime.memory.image_step import (
    check_images,
    check_reads,
    text_of,
    with_images,
    with_tower,
)
from telepathy_runtime.memory.instants import Instant
from telepathy_runtime.memory.layer_tape import last_norm
from telepathy_runtime.memory.layers import autocast, has_mask, repeats_keys
from telepathy_runtime.memory.lora import adapter_params
from telepathy_runtime.memory.losses import logits_bytes
from telepathy_runtime.memory.notes import notes_of
from telepathy_runtime.memory.optimizers import step_of_one
from telepathy_runtime.memory.rotary import LOADED_SINCE, position_buffer, unrotated
from telepathy_runtime.memory.runs import as_run, check_runs
from telepathy_runtime.memory.states import States, states
from telepathy_runtime.memory.taped import PROGRAMS, check_job, phases
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import ModelSpec, NotModelledError, element_size


@dataclass(frozen=True)
class Estimate:
    """Bytes of one job on one device; compare `peak_allocated` with max_memory_allocated."""

    models: tuple[str, ...]
    workloads: tuple[Workload, ...]
    after_load: int  # weights, and GPT-J's table of positions
    steady: int  # between two steps
    instants: tuple[Instant, ...]
    notes: tuple[str, ...] = ()
    whole: bool = True  # False: a lower bound, without activations

    @property
    def peak(self) -> Instant:
        """The instant with the most memory."""
        return max(self.instants, key=lambda instant: instant.total)

    def noted(self, *notes: str) -> Estimate:
        """The same estimate with these notes before its own."""
        return replace(self, notes=(*notes, *self.notes))

    @property
    def peak_allocated(self) -> int:
        """Bytes alive at the peak."""
        return self.peak.total


def estimate(spec: ModelSpec, work: Workload) -> Estimate:
    """Peak bytes of `work` on `spec`.

    Raises UnknownOptionError for an architecture or an option whose bytes are not modelled.
    """
    check_reads(spec.id, spec.architecture, work)
    check_images(spec, work)
    check_runs(spec, work)
    run = as_run(spec, work)
    if spec.architecture in PROGRAMS:
        check_job(spec, run)
    layer = None if spec.architecture in PROGRAMS else block(spec, text_of(spec, run))
    held, table = states(spec, run), position_buffer(spec, run)
    held = replace(held, weights=held.weights + table)
    if layer is None and work.packed and spec.encoder_layers:
        raise NotModelledError(f"activations of {spec.architecture} with packed batches have no closed form")
    if layer is None:
        held, found = phases(spec, run, held)
        instants = tuple(Instant(name, **parts) for name, parts in found)
    else:
        held = with_tower(spec, run, held) if work.image_tokens else held
        instants = (_inference if work.regime == "inference" else training)(spec, run, layer, held)
        instants = with_images(spec, run, held, instants) if work.image_tokens else instants
        instants = tuple(_with_batch(run, each) for each in instants)
    return Estimate(
        models=(spec.id,),
        workloads=(work,),
        after_load=held.weights - table * (run.version < LOADED_SINCE),
        steady=held.weights + held.optimizer + held.bucket,
        instants=instants,
        notes=notes_of(spec, work, run),
    )


def training(spec: ModelSpec, work: Workload, layer: Block, held: States) -> tuple[Instant, ...]:
    """The instants of one step after the first: forward, loss, backward, optimizer."""
    e, tokens, layers = element_size(work.dtype), work.tokens, spec.layers
    logits = logits_bytes(work, spec.vocab, spec.hidden, spec.logit_softcap)
    kept = logits.held
    cached = work.use_cache and work.keep_outputs and not work.checkpointing
    cache = _first_cache(divided(spec, work), work) if cached else 0
    norm = last_norm(divided(spec, work), work)
    final_norm = norm.kept
    mixed = autocast(work)
    keys = layer.cached
    left_keys = keys * work.keep_outputs
    # Of the first layer's keys and values in the cache, those that its attention keeps, too.
    twofold = (_first_cache(replace(divided(spec, work), layers=1), work) - layer.first_cached) * cached
    row = (4 if mixed else e) * tokens * spec.hidden
    full = work.regime == "full"
    embeds = work.regime == "frozen_grad"
    masks = layer.masks
    # The caller's inputs_embeds; checkpointing stores it anyway as the input of the first layer, and so do some norms,
    # unless positions or a dropout make another tensor of it.
    other = changes_embeddings(spec)
    # PEFT makes the embeddings require a gradient where layers are checkpointed, so the graph keeps them.
    required = work.regime == "lora" and work.checkpointing
    shared = work.checkpointing or layer.first_holds
    given = row if (embeds and not shared) or ((embeds or required) and other) else 0
    if full or embeds or required or "embed_tokens" in work.modules_to_save:
        given += tokens * spec.hidden * spec.embedding_dropout  # the dropout's mask
    # Hidden states beside those that the layers keep are gone before the backward if `outputs` is.
    returned = row * (layers + 1 - layer.hidden_kept) * work.hidden_states
    hidden = returned * work.keep_outputs
    # Embeddings that require a gradient are leaves of the last step's graph, and the first of its hidden states.
    leaf, first = embeds or required, (embeds or required) and not other
    last = work.keep_outputs * row * work.hidden_states * (layers + 1 - first)
    # The loss keeps the leaf of its graph and the gradient to the end of the step.
    at_end = last + 2 * row * leaf
    last += 2 * row * leaf * (work.keep_outputs or work.grad_accum > 1)
    in_layer, in_norm, in_first = (row * each * work.hidden_states for each in layer.hidden)
    # At the end of the backward, layers have freed theirs, but not the caller, nor the leaf of the graph.
    # The last of them is the last norm's output, which the head keeps until its backward.
    stays = row * (norm.output and work.hidden_states and work.keep_outputs)
    at_first = in_first * work.keep_outputs
    on_device = min(layers, 2) if "activations" in work.offload else layers
    # Of a checkpointed layer, only the input is kept; the first layer is one of them.
    plain = layers - -(-layers // work.checkpoint_every) if work.checkpointing else 0
    after = work.plain_at_end(layers)
    stored = (
        (on_device - plain) * layer.stored_input + plain * layer.every // max(layers, 1)
        if work.checkpointing
        else (layer.every if on_device == layers else on_device * layer.saved)
        - layer.unsaved_first * (on_device == layers)
    )
    if work.checkpointing and work.prepared == "norms":
        stored -= row - e * tokens * spec.hidden  # the first layer's input is the embeddings, in 16 bits
    activations = stored + final_norm + hidden + given + layer.tables + masks.kept * work.checkpointing
    before = held.gradients if work.grad_accum > 1 else 0
    base = {"weights": held.weights, "optimizer": held.optimizer}
    table = spec.embedding_params * (4 if mixed else e)
    head = table * (full or "lm_head" in work.modules_to_save)
    # Copies of the weights in 16 bits: autocast keeps those of trained weights until the forward ends.
    head_copy = e * spec.embedding_params * (mixed and work.prepared != "norms")
    left = 0 if work.checkpointing else layers * layer.copies - layer.unsaved_copies
    inside = (layers * layer.copies if full else left) + layer.cast
    copies = inside + head_copy
    beside = held.root + held.bucket
    # With a step in the backward, each gradient is in memory together with what the step of its tensor needs; that of a tied head waits
    # for the embedding's.
    ties = spec.tied and full
    tables = head * (not work.opt_in_backward or ties)
    step_head = (
        step_of_one(work, spec.embedding_params, 4 if mixed else e) * work.opt_in_backward * bool(head)
    )
    # What tied weights get from the head waits for what they get as an embedding, beside what accumulated before.
    waiting = before + head * (before > 0 and ties)
    first_copies = layer.copies - layer.unsaved_copies
    # The next layer's parameters are gathered before its turn, but not where it has to run again to say that it needs them.
    units = held.unit * (1 if work.reentrant else 2)
    recomputed = layer.again if work.checkpointing else 0
    one_layer = (
        at_first
        + given
        + layer.tables
        + (
            layer.again + layer.stored_input + masks.first
            if work.checkpointing
            else layer.saved - layer.unsaved_first
        )
    )
    if work.shard == "fsdp" and work.ranks > 1 and work.reentrant and not full:
        # For each frozen layer that runs again, FSDP 1 hooks the nodes of its inputs, which are leaves then: until the end of
        # the backward, they hold the input and its gradient.
        one_layer = activations - final_norm + layer.again + max(layers - 2, 0) * layer.stored_input
    if work.opt_in_backward:
        later = tables
    else:
        # Gradients of all layers but the first: while all its saved tensors are alive, its gradients do not
        # exist yet.
        later = held.gradients - full * (4 if mixed else e) * (
            spec.layer_params + spec.learned_positions * spec.hidden
        )
        later -= element_size(work.lora_dtype) * adapter_params(spec, work)
        later -= table * ("embed_tokens" in work.modules_to_save or (full and not spec.tied))
    # Tied weights: the gradients of head and embedding exist at the same time, and their sum is a third
    # tensor.
    ends = head * ((2 if ties else 0) + (work.grad_accum > 1))
    # Their own gradient is gone when both are summed up.
    ends = max(ends, ends - head * ties + row)
    # Positions have their gradient before the tokens.
    positions = full * (4 if mixed else e) * spec.learned_positions * spec.hidden
    in_end, at_last = held.gradients, beside + ends
    if work.opt_in_backward:
        own = table * (full or "embed_tokens" in work.modules_to_save)
        step = step_of_one(work, spec.embedding_params, 4 if mixed else e) * bool(own)
        placed = (
            tables + positions + row + step_of_one(work, positions // (4 if mixed else e), 4 if mixed else e)
        )
        in_end, at_last = 0, beside + max(own + max(ends, step), placed)
    at_head = {
        "gradients": before + head, "logits": kept + logits.gradient,
        "transient": beside + left + head_copy + row + step_head * (not ties),
    }  # fmt: skip
    if mixed and head:
        # The gradient of the copy is converted when that of the logits, the copy and what the head read are gone.
        early, later_on = (
            logits.gradient + 2 * head_copy + e * tokens * spec.hidden,
            head + head_copy + step_head * (not ties),
        )
        first_half = early > later_on
        at_head = {
            "gradients": before + head * (not first_half), "logits": kept + logits.gradient * first_half,
            "transient": beside + left + (early - logits.gradient if first_half else later_on - head),
        }  # fmt: skip
    again: tuple[Instant, ...] = ()
    if after:
        # The plain layers behind it are done, and their gradients are there.
        done = after * layer.every // layers
        behind = after * (
            full * e * spec.layer_params + element_size(work.lora_dtype) * adapter_params(spec, work)
        )
        again = (
            Instant(
                "last checkpointed layer, backward", **base, logits=kept,
                gradients=max(waiting, tables + behind * (not work.opt_in_backward)),
                activations=activations - final_norm + stays - done + recomputed,
                transient=beside + layer.working + units + layer.copies,
            ),
        )  # fmt: skip
    instants: tuple[Instant, ...] = (
        # During this step's forward, `outputs` still keeps the last step's logits, cache and hidden states,
        # and through its graph the inputs and their gradient.
        Instant(
            "loss, forward", **base, gradients=before, activations=activations + last + keys, logits=logits.forward + kept,
            kv_cache=cache, transient=beside + copies + row * (not (norm.output or work.hidden_states)) + returned - hidden,
        ),
        Instant(
            "last layer, forward", **base, gradients=before, logits=kept, kv_cache=cache,
            activations=activations - final_norm - hidden + in_layer + last + keys,
            transient=beside + inside + layer.adapting + masks.built - masks.kept * work.checkpointing,
        ),
        Instant(
            "final norm, forward", **base, gradients=before, logits=kept, kv_cache=cache,
            activations=activations - hidden + in_norm + last + keys,
            transient=beside + inside + layer.ending + masks.built - masks.kept * work.checkpointing,
        ),
        Instant(
            "loss, backward", **base, gradients=before, activations=activations + left_keys, logits=logits.backward,
            transient=beside + left + head_copy,
        ),
        Instant("head, backward", **base, activations=activations + left_keys, **at_head),
        Instant(
            "final norm, backward", **base, gradients=max(waiting, tables), logits=kept, activations=activations + left_keys,
            transient=beside + left + norm.backward + stays,
        ),
        Instant(
            "last layer, backward", **base, gradients=max(waiting, tables), logits=kept,
            activations=activations - final_norm + stays + recomputed * (not after) + left_keys,
            transient=beside + (layer.plain_working if after else layer.working) + units + max(left, first_copies),
        ),
        *again,
        Instant(
            "first layer, backward", **base, activations=one_layer, logits=kept, kv_cache=cache - twofold,
            gradients=max(later, waiting), transient=beside + layer.first_working + held.unit + first_copies,
        ),
        Instant(
            "embedding, backward", **base, gradients=in_end, logits=kept, kv_cache=cache, activations=at_end, transient=at_last,
        ),
        Instant(
            "optimizer step", **base, gradients=held.gradients, logits=kept, kv_cache=cache, activations=at_end,
            transient=held.step_transient + held.bucket,
        ),
    )  # fmt: skip
    if work.objective == "dpo" and work.reference != "none":
        # The reference reads the batch while the policy's activations wait for their backward.
        instants = (
            Instant(
                "reference, forward", **base, gradients=before, activations=activations, logits=row,
                transient=beside + layer.infer + masks.built * (not work.checkpointing),
            ),
            *instants,
        )  # fmt: skip
    return instants[:-1] if work.opt_in_backward else instants


def _inference(spec: ModelSpec, work: Workload, layer: Block, held: States) -> tuple[Instant, ...]:
    e, tokens = element_size(work.dtype), work.tokens
    local, mixed = divided(spec, work), autocast(work)
    cache = _first_cache(local, work) if work.use_cache else 0
    row = (4 if mixed else e) * tokens * spec.hidden
    hidden = row * work.hidden_states
    rows = work.batch if work.logits == "last" else tokens
    base = {"weights": held.weights, "kv_cache": cache}
    # Autocast keeps a copy of each matrix in 16 bits, which a layer counts for all layers.
    matrices = spec.layers * (local.attention_params + local.mlp_params) + spec.embedding_params
    beside, copies = held.root, e * matrices * mixed
    # Before 4.46, the model creates float32 logits itself.
    element = e if work.version >= (4, 46) else e + 4
    # A scale or a softcap makes a second tensor of them; by then, autocast's copy of what the head reads is gone.
    scaled = bool(family(spec).logit_steps or spec.logit_softcap)
    element += e * scaled
    read = e * rows * spec.hidden * (mixed and not scaled)
    # The working memory of a layer includes the embeddings and its input; the logits include the last hidden
    # state.
    # Those that the layer and the model do not hold in any case.
    others = max(spec.layers - 2 + bool(spec.learned_positions and spec.layers > 1), 0)
    instants = [
        Instant(
            "prefill, last layer", **base, activations=others * hidden,
            transient=beside + 2 * held.unit + layer.infer + layer.masks.built,
        ),
        Instant(
            "prefill, logits", **base, activations=spec.layers * hidden,
            logits=element * rows * spec.vocab, transient=beside + copies + row + read,
        ),
    ]  # fmt: skip
    if work.new_tokens:
        total = work.seq_len + work.new_tokens - 1
        cache = _in_cache(local, work, local.kv_bytes(work.batch, total, work.dtype))
        # `generate` copies logits to float32 while the copy of the last token is still alive. A layer's keys
        # grow by concatenation, with old and new in memory.
        grown = cache * (4 if mixed else 3) // (6 * spec.layers)
        beside += copies
        repeated = (
            2
            * e
            * work.batch
            * total
            * (local.query_dim - local.kv_dim)
            * repeats_keys(spec, work, has_mask(work))
        )
        name, logits = "last generated token", (e + 8) * work.batch * spec.vocab
        instants += [
            Instant(f"{name}, logits", held.weights, logits=logits, kv_cache=cache, transient=beside),
            Instant(
                f"{name}, attention", held.weights, logits=4 * work.batch * spec.vocab,
                kv_cache=cache, transient=beside + max(grown, repeated),
            ),
        ]  # fmt: skip
    return tuple(instants)


def _with_batch(work: Workload, at: Instant) -> Instant:
    """An instant with the batch itself: the numbers of tokens, their mask and labels, and positions, which all sequences share.

    The model holds the positions until its layers are done. The loss makes a longer copy of the labels.
    """
    numbers = work.tokens * (2 + work.trains + (at.name == "loss, forward"))
    numbers += work.seq_len * (at.name in _IN_MODEL)
    return replace(at, activations=at.activations + 8 * numbers)


_IN_MODEL = ("prefill, last layer", "last layer, forward", "final norm, forward")
"""Instants in the forward of the model's layers."""


def _first_cache(spec: ModelSpec, work: Workload) -> int:
    """Bytes of the cache after the first forward: a layer with a window keeps a view of all keys until the next token."""
    return _in_cache(
        spec, work, replace(spec, sliding_layers=0).kv_bytes(work.batch, work.seq_len, work.dtype)
    )


def _in_cache(spec: ModelSpec, work: Workload, size: int) -> int:
    """Bytes of a cache that has so many in 16 bits: under autocast, rotated keys are in 32."""
    if not (autocast(work) and family(spec).rotary):
        return size
    return size + size * (spec.layers - unrotated(spec)) // (2 * spec.layers)
