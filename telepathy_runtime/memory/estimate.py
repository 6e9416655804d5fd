"""Peak memory of one model's job on one device, in closed form: no torch, microseconds, exact integers.

The peak is the maximum over a few instants of a step. Each instant lists what is in memory, which explains
the result. The formulas hold for transformers 4.46 and newer in eager PyTorch with 16-bit weights, or float32
shards of FSDP. Not modelled, and an error if requested: autocast over whole float32 weights, quantised
weights, torch.compile, fused losses. Estimates do not include the CUDA context, workspaces of kernels and
fragmentation; `gpus` reserves memory for them.
"""

from __future__ import annotations

from dataclasses import dataclass

from telepathy_runtime.memory.blocks import Block, block, lora_params, repeats_keys
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import ModelSpec, element_size

COMPONENTS = ("weights", "gradients", "optimizer", "activations", "logits", "kv_cache", "transient")


@dataclass(frozen=True)
class Instant:
    """One moment of a step, and the bytes in memory then, by component."""

    name: str
    weights: int = 0
    gradients: int = 0
    optimizer: int = 0
    activations: int = 0
    logits: int = 0
    kv_cache: int = 0
    transient: int = 0

    @property
    def total(self) -> int:
        """Bytes alive at this instant."""
        return (
            self.weights + self.gradients + self.optimizer + self.activations + self.logits + self.kv_cache
            + self.transient
        )  # fmt: skip

    def components(self) -> dict[str, int]:
        """Bytes by component; they add up to `total`."""
        return {name: getattr(self, name) for name in COMPONENTS}


@dataclass(frozen=True)
class Estimate:
    """Bytes of one job on one device; compare `peak_allocated` with max_memory_allocated."""

    models: tuple[str, ...]
    workloads: tuple[Workload, ...]
    after_load: int  # weights alone
    steady: int  # between two steps
    instants: tuple[Instant, ...]
    notes: tuple[str, ...] = ()
    whole: bool = True  # False: a lower bound, without activations

    @property
    def peak(self) -> Instant:
        """The instant with the most memory."""
        return max(self.instants, key=lambda instant: instant.total)

    @property
    def peak_allocated(self) -> int:
        """Bytes alive at the peak."""
        return self.peak.total


@dataclass(frozen=True)
class States:
    """Bytes of a job on one device that do not depend on the batch."""

    weights: int
    gradients: int  # after a backward pass
    optimizer: int
    step_transient: int  # in addition to gradients, inside optimizer.step()
    gathered: int = 0  # parameters gathered for one layer under sharding
    bucket: int = 0  # DDP's copy of the gradients


def estimate(spec: ModelSpec, work: Workload) -> Estimate:
    """Peak bytes of `work` on `spec`.

    Raises UnknownOptionError for an architecture or an option whose bytes are not modelled.
    """
    layer = block(spec, work)
    held = states(spec, work)
    if work.regime == "inference":
        instants = _inference(spec, work, layer, held)
    else:
        instants = training(spec, work, layer, held)
    return Estimate(
        models=(spec.id,),
        workloads=(work,),
        after_load=held.weights,
        steady=held.weights + held.optimizer + held.bucket,
        instants=instants,
        notes=_notes(spec, work),
    )


def logits_bytes(work: Workload, vocab: int) -> tuple[int, int, int]:
    """(kept by outputs, alive in the loss's forward, alive in its backward) of logits; each byte counted once.

    The loss computes in float32: a copy, the log-softmax, then two gradients of that size.
    """
    e, size = element_size(work.dtype), work.tokens * vocab
    held = e * size * work.keep_outputs
    # Before 4.50 the loss also copies the shifted logits.
    shift = 4 * size if work.version < (4, 50) and work.batch > 1 else 0
    return held, held + 8 * size + shift, held + 12 * size


def states(spec: ModelSpec, work: Workload) -> States:
    """Weights, gradients and optimizer states of one device, sharded according to the workload."""
    e = element_size(work.held_dtype)
    weights = spec.bytes_in(work.held_dtype)
    if work.regime == "full":
        trained, element, largest = spec.params, e, spec.embedding_params
    elif work.regime == "lora":
        trained, element = lora_params(spec, work), element_size(work.lora_dtype)
        largest = work.lora_rank * max(spec.hidden, spec.intermediate)
        weights += trained * element
    else:
        trained, element, largest = 0, e, 0
    copies = {"adamw": 2, "sgd": 0, "sgd_momentum": 1}[work.optimizer]
    gradients, optimizer = trained * element, copies * trained * element
    transient = step_transient(work, gradients, largest * element)
    return _shard(spec, work, States(weights, gradients, optimizer, transient))


def step_transient(work: Workload, gradients: int, largest: int) -> int:
    """Bytes that optimizer.step() needs in addition to gradients and states."""
    if work.opt_impl == "fused" or work.optimizer != "adamw":
        return 0
    return gradients if work.opt_impl == "foreach" else 2 * largest


def _shard(spec: ModelSpec, work: Workload, whole: States) -> States:
    """Divide the parts that each scheme shards; activations and logits are never divided."""
    ranks, kind = work.ranks, work.shard
    if kind == "none" or ranks == 1:
        return whole
    if kind == "ddp":
        return States(
            whole.weights, whole.gradients, whole.optimizer, whole.step_transient, 0, whole.gradients
        )
    gathered, weights, gradients = 0, whole.weights, whole.gradients
    if kind in ("zero2", "zero3", "fsdp"):
        gradients = _part(gradients, ranks)
    if kind in ("zero3", "fsdp"):
        weights = _part(weights, ranks)
        largest = max(spec.layer_params, spec.embedding_params) * element_size(work.dtype)
        gathered = 2 * largest  # the current unit and the next one, which is being gathered
    return States(
        weights, gradients, _part(whole.optimizer, ranks), _part(whole.step_transient, ranks), gathered
    )


def _part(size: int, ranks: int) -> int:
    return -(-size // ranks)


def training(spec: ModelSpec, work: Workload, layer: Block, held: States) -> tuple[Instant, ...]:
    """The instants of one step after the first: forward, loss, backward, optimizer."""
    e, tokens, layers = element_size(work.dtype), work.tokens, spec.layers
    kept, forward, backward = logits_bytes(work, spec.vocab)
    cached = work.use_cache and work.keep_outputs and not work.checkpointing
    cache = spec.kv_bytes(work.batch, work.seq_len, work.dtype) if cached else 0
    final_norm = (
        4 * tokens * spec.hidden + 4 * tokens + (work.regime == "full") * 2 * e * tokens * spec.hidden
    )
    row = e * tokens * spec.hidden
    full = work.regime == "full"
    embeds = work.regime == "frozen_grad"
    # The caller's inputs_embeds; checkpointing stores it anyway as the input of the first layer.
    given = row if embeds and not work.checkpointing else 0
    hidden = row * _extra_hidden(spec, work) if work.hidden_states else 0
    last = work.keep_outputs * row * (2 * embeds + work.hidden_states * (layers + 1 - embeds))
    stored = layers * layer.stored_input if work.checkpointing else layers * layer.saved - layer.unsaved_first
    activations = stored + final_norm + hidden + given + layer.mask * work.checkpointing
    before = held.gradients if work.grad_accum > 1 else 0
    base = {"weights": held.weights, "optimizer": held.optimizer}
    head = spec.embedding_params * e * full
    beside = held.gathered + held.bucket
    one_layer = hidden + layer.saved + (layer.stored_input if work.checkpointing else 0)
    # Gradients of all layers but the first: while all its saved tensors are alive, its gradients do not exist
    # yet.
    later = held.gradients - full * e * spec.layer_params - head * (not spec.tied)
    # Tied weights: the gradients of head and embedding exist at the same time, and their sum is a third
    # tensor.
    ends = head * ((2 if spec.tied else 0) + (work.grad_accum > 1))
    return (
        # During this step's forward, `outputs` still keeps the last step's logits, cache and hidden states,
        # and through its graph the inputs and their gradient.
        Instant(
            "loss, forward", **base, gradients=before, activations=activations + last, logits=forward + kept,
            kv_cache=cache, transient=beside + row * (not full),
        ),
        Instant("loss, backward", **base, gradients=before, activations=activations, logits=backward, transient=beside),
        Instant(
            "head, backward", **base, gradients=before + head, activations=activations,
            logits=kept + e * tokens * spec.vocab, transient=beside + row,
        ),
        Instant(
            "last layer, backward", **base, gradients=max(before, head), logits=kept,
            activations=activations + (layer.saved if work.checkpointing else 0), transient=beside + layer.working,
        ),
        Instant(
            "first layer, backward", **base, activations=one_layer, logits=kept, kv_cache=cache,
            gradients=max(later, before), transient=beside + layer.working,
        ),
        Instant(
            "embedding, backward", **base, gradients=held.gradients, logits=kept, kv_cache=cache, activations=hidden,
            transient=beside + ends + row,
        ),
        Instant(
            "optimizer step", **base, gradients=held.gradients, logits=kept, kv_cache=cache, activations=hidden,
            transient=held.step_transient + held.bucket,
        ),
    )  # fmt: skip


def _extra_hidden(spec: ModelSpec, work: Workload) -> int:
    """How many of the layers + 1 hidden states are kept only because of output_hidden_states."""
    kept = spec.layers if work.checkpointing else int(work.regime == "frozen_grad")
    return spec.layers + 1 - kept - (work.regime == "full")


def _inference(spec: ModelSpec, work: Workload, layer: Block, held: States) -> tuple[Instant, ...]:
    e, tokens = element_size(work.dtype), work.tokens
    cache = spec.kv_bytes(work.batch, work.seq_len, work.dtype) if work.use_cache else 0
    row = e * tokens * spec.hidden
    hidden = row * work.hidden_states
    rows = work.batch if work.logits == "last" else tokens
    base = {"weights": held.weights, "kv_cache": cache}
    beside = held.gathered
    # The working memory of a layer includes the embeddings and its input; the logits include the last hidden
    # state.
    instants = [
        Instant(
            "prefill, last layer", **base, activations=max(spec.layers - 2, 0) * hidden,
            transient=beside + layer.infer + layer.mask,
        ),
        Instant(
            "prefill, logits", **base, activations=spec.layers * hidden,
            logits=e * rows * spec.vocab, transient=beside + row,
        ),
    ]  # fmt: skip
    if work.new_tokens:
        total = work.seq_len + work.new_tokens - 1
        cache = spec.kv_bytes(work.batch, total, work.dtype)
        # `generate` copies logits to float32 while the copy of the last token is still alive. A layer's keys
        # grow by concatenation, with old and new in memory.
        grown = cache // (2 * spec.layers)
        repeated = 2 * e * work.batch * total * (spec.query_dim - spec.kv_dim) * repeats_keys(work)
        name, logits = "last generated token", (e + 8) * work.batch * spec.vocab
        instants += [
            Instant(f"{name}, logits", held.weights, logits=logits, kv_cache=cache, transient=beside),
            Instant(
                f"{name}, attention", held.weights, logits=4 * work.batch * spec.vocab,
                kv_cache=cache, transient=beside + max(grown, repeated),
            ),
        ]  # fmt: skip
    return tuple(instants)


def dtype_note(spec: ModelSpec, work: Workload) -> list[str]:
    """A note that a float32 checkpoint is planned in 16 bits, which requires loading with `dtype`."""
    if spec.dtype != "float32" or work.held_dtype == "float32":
        return []
    return [f"the checkpoint is float32: without dtype={work.held_dtype} the weights may load as twice this"]


def _notes(spec: ModelSpec, work: Workload) -> tuple[str, ...]:
    notes = dtype_note(spec, work)
    length = work.seq_len + work.new_tokens
    if length > spec.max_positions > 0:
        notes.append(f"{length} tokens are more than the {spec.max_positions} that {spec.id} was made for")
    if work.shard != "none" and work.ranks > 1:
        notes.append(
            f"{work.shard} over {work.ranks} ranks is arithmetic, not traced; activations are not divided"
        )
    if work.mixed_precision:
        notes.append(
            f"activations are counted as those of {work.dtype} weights, where they rule the peak, more than was measured"
        )
    if work.attn == "flash_attention_2":
        notes.append("flash_attention_2 is counted as PyTorch's own flash kernel: the same tensors are saved")
    return tuple(notes)
