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
    keeps_input,
    norm_saved,
    norm_working,
)
from telepathy_runtime.memory.families import family
from telepathy_runtime.memory.forward import LOADED_SINCE, position_buffer
from telepathy_runtime.memory.image_step import (
    check_images,
    check_reads,
    text_of,
    with_images,
    with_tower,
)
from telepathy_runtime.memory.instants import Instant
from telepathy_runtime.memory.layers import autocast, copies_keys, has_mask, repeats_keys
from telepathy_runtime.memory.lora import adapter_params
from telepathy_runtime.memory.losses import logits_bytes
from telepathy_runtime.memory.notes import notes_of
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
    final_norm = norm_saved(spec, work)
    mixed = autocast(work)
    # What of keys and values only the cache holds: those in 32 bits, and what was repeated, which a layer counts if `outputs` stays.
    twice = copies_keys(spec, work, has_mask(work))
    keys = 2 * e * twice * (not work.keep_outputs) + (2 if twice else 4) * (mixed and family(spec).rotary)
    keys *= layers * tokens * spec.kv_dim * (work.use_cache and not work.checkpointing)
    keys = layer.cached if layer.taped else keys
    left_keys = keys * work.keep_outputs
    # Of the first layer's keys and values in the cache, those that its attention keeps, too.
    twofold = (cache // max(layers, 1) - layer.first_cached) * layer.taped * cached
    row = (4 if mixed else e) * tokens * spec.hidden
    full = work.regime == "full"
    embeds = work.regime == "frozen_grad"
    masks = layer.masks
    # The caller's inputs_embeds; checkpointing stores it anyway as the input of the first layer, and so do some norms,
    # unless positions or a dropout make another tensor of it.
    other = changes_embeddings(spec)
    # PEFT makes the embeddings require a gradient where layers are checkpointed, so the graph keeps them.
    required = work.regime == "lora" and work.checkpointing
    shared = work.checkpointing or bool(family(spec).before and keeps_input(spec, work))
    given = row if (embeds and not shared) or ((embeds or required) and other) else 0
    if full or embeds or required or "embed_tokens" in work.modules_to_save:
        given += tokens * spec.hidden * spec.embedding_dropout  # the dropout's mask
    # Hidden states beside those that the layers keep are gone before the backward if `outputs` is.
    returned = row * _extra_hidden(spec, work, layer) if work.hidden_states else 0
    hidden = returned * work.keep_outputs
    # Embeddings that require a gradient are leaves of the last step's graph, and the first of its hidden states.
    leaf, first = embeds or required, embeds or (required and not other)
    last = work.keep_outputs * row * (2 * leaf + work.hidden_states * (layers + 1 - first))
    in_layer, in_norm, in_first = (row * each * work.hidden_states for each in layer.hidden)
    # At the end of the backward, layers have freed theirs, but not the caller, nor the leaf of the graph.
    at_first, at_end = (in_first * work.keep_outputs, last) if layer.taped else (hidden, hidden)
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
    # The copy of the head that PEFT trains keeps its input.
    head_input = e * tokens * spec.hidden * ("lm_head" in work.modules_to_save and not work.casts)
    table = spec.embedding_params * (4 if mixed else e)
    head = table * (full or "lm_head" in work.modules_to_save)
    # Copies of the weights in 16 bits: autocast keeps those of trained weights until the forward ends.
    head_copy = e * spec.embedding_params * (mixed and work.prepared != "norms")
    left = 0 if work.checkpointing else layers * layer.copies - layer.unsaved_copies
    inside = (layers * layer.copies if full else left) + layer.cast
    copies = inside + head_copy
    beside = held.root + held.bucket
    tables = head * (not work.opt_in_backward)
    # What tied weights get from the head waits for what they get as an embedding, beside what accumulated before.
    waiting = before + head * (before > 0 and spec.tied and full)
    # With a step in the backward, each gradient is in memory together with what the step of its tensor needs.
    each = held.step_transient / held.gradients if work.opt_in_backward and held.gradients else 0
    unpacked = held.unpacked * (not layer.unpacks)
    at_work = beside + unpacked + int(each * e * spec.hidden * spec.intermediate)
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
        later = held.gradients
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
    ends = head * ((2 if spec.tied and full else 0) + (work.grad_accum > 1))
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
                activations=activations - final_norm - done + recomputed,
                transient=at_work + layer.working + units + layer.copies,
            ),
        )  # fmt: skip
    instants: tuple[Instant, ...] = (
        # During this step's forward, `outputs` still keeps the last step's logits, cache and hidden states,
        # and through its graph the inputs and their gradient.
        Instant(
            "loss, forward", **base, gradients=before, activations=activations + last + keys, logits=logits.forward + kept,
            kv_cache=cache, transient=beside + copies + row * (not (full or (layer.taped and work.hidden_states) or head_input)) + returned - hidden,
        ),
        Instant(
            "last layer, forward", **base, gradients=before, logits=kept, kv_cache=cache,
            activations=activations - final_norm - hidden + in_layer + last + keys,
            transient=beside + inside + unpacked + layer.adapting + masks.built - masks.kept * work.checkpointing,
        ),
        Instant(
            "final norm, forward", **base, gradients=before, logits=kept, kv_cache=cache,
            activations=activations - hidden + in_norm + last + keys,
            transient=beside + inside + layer.ending + masks.built - masks.kept * work.checkpointing - head_input,
        ),
        Instant(
            "loss, backward", **base, gradients=before, activations=activations + left_keys, logits=logits.backward,
            transient=beside + left + head_copy,
        ),
        Instant(
            "head, backward", **base, gradients=before + head, activations=activations + left_keys, logits=kept + logits.gradient,
            transient=beside + left + (1 + full) * head_copy + max(row, int(each * head)),
        ),
        Instant(
            "final norm, backward", **base, gradients=max(waiting, tables), logits=kept, activations=activations + left_keys,
            transient=beside + left + norm_working(spec, work) - head_input,
        ),
        Instant(
            "last layer, backward", **base, gradients=max(waiting, tables), logits=kept,
            activations=activations - final_norm + recomputed * (not after) + left_keys,
            transient=at_work + (layer.plain_working if after else layer.working) + units + max(left, first_copies),
        ),
        *again,
        Instant(
            "first layer, backward", **base, activations=one_layer, logits=kept, kv_cache=cache - twofold,
            gradients=max(later, waiting), transient=at_work + layer.first_working + held.unit + first_copies,
        ),
        Instant(
            "embedding, backward", **base, gradients=held.gradients, logits=kept, kv_cache=cache, activations=at_end,
            transient=beside + ends + max(row, int(each * head)),
        ),
        Instant(
            "optimizer step", **base, gradients=held.gradients, logits=kept, kv_cache=cache, activations=at_end,
            transient=held.step_transient + held.bucket,
        ),
    )  # fmt: skip
    if not layer.adapting:
        instants = tuple(each for each in instants if each.name != "last layer, forward")
    if not layer.ending:
        instants = tuple(each for each in instants if each.name != "final norm, forward")
    if work.objective == "dpo" and work.reference != "none":
        # The reference reads the batch while the policy's activations wait for their backward.
        instants = (
            Instant(
                "reference, forward", **base, gradients=before, activations=activations, logits=row,
                transient=beside + held.unpacked + layer.infer + masks.built * (not work.checkpointing),
            ),
            *instants,
        )  # fmt: skip
    return instants[:-1] if work.opt_in_backward else instants


def _extra_hidden(spec: ModelSpec, work: Workload, layer: Block) -> int:
    """How many of the layers + 1 hidden states are kept only because of output_hidden_states."""
    if layer.taped:
        return spec.layers + 1 - layer.hidden_kept
    kept = spec.layers if work.checkpointing else int(work.regime == "frozen_grad")
    return spec.layers + 1 - kept - (work.regime == "full")


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
    instants = [
        Instant(
            "prefill, last layer", **base, activations=max(spec.layers - 2, 0) * hidden,
            transient=beside + 2 * held.unit + held.unpacked + layer.infer + layer.masks.built,
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


def _first_cache(spec: ModelSpec, work: Workload) -> int:
    """Bytes of the cache after the first forward: a layer with a window keeps a view of all keys until the next token."""
    return _in_cache(
        spec, work, replace(spec, sliding_layers=0).kv_bytes(work.batch, work.seq_len, work.dtype)
    )


def _in_cache(spec: ModelSpec, work: Workload, size: int) -> int:
    """Bytes of a cache that has so many in 16 bits: under autocast, rotated keys are in 32."""
    return size * 3 // 2 if autocast(work) and family(spec).rotary else size
