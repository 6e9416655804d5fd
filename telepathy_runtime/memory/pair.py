"""Peak memory of two models joined by a trained bridge: a source without gradients, and a target with gradients.

The source stores no activations; its caller keeps its hidden states, logits and cache. If the target is meant
to be frozen but is not (`.eval()` without `requires_grad_(False)`), each of its weights also has a gradient
that no optimizer uses.
"""

from __future__ import annotations

from dataclasses import dataclass

from telepathy_runtime.memory.blocks import block
from telepathy_runtime.memory.estimate import Estimate
from telepathy_runtime.memory.instants import Instant
from telepathy_runtime.memory.layer_tape import last_norm
from telepathy_runtime.memory.losses import logits_bytes
from telepathy_runtime.memory.optimizers import Trained, optimizer_bytes, step_transient
from telepathy_runtime.memory.rotary import position_buffer
from telepathy_runtime.memory.runs import check_runs, with_attention
from telepathy_runtime.memory.units import gib
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import ModelSpec, UnknownOptionError, element_size


@dataclass(frozen=True)
class PerceiverBridge:
    """A Perceiver resampler: latents attend to the source's hidden states, then to each other.

    `depth` layers of cross-attention, self-attention and a GELU block of 4 x width, as in the reviewed
    experiments' LatentBridgeV15; all in the target's width.
    """

    source_width: int
    target_width: int
    latents: int = 128
    depth: int = 4
    heads: int = 8

    @property
    def params(self) -> int:
        """Parameters: 16 width^2 + 19 width per layer, latents, one scale, and a projection if the widths differ."""
        width = self.target_width
        project = 0 if self.source_width == width else (self.source_width + 1) * width
        return self.latents * width + project + self.depth * (16 * width**2 + 19 * width) + 1

    def saved(self, batch: int, source_tokens: int, e: int) -> int:
        """Bytes kept for the bridge's backward; `source_tokens` is the total number of source hidden states."""
        width, rows = self.target_width, batch * self.latents
        # Keys and values of every layer; the hidden states that they are computed from are counted once.
        read = self.depth * 3 * e * source_tokens * width
        if self.source_width != width:
            read += e * source_tokens * (width + self.source_width)
        # Per layer: inputs and outputs of three norms, two queries and outputs, keys and values, 8 x width
        # for GELU.
        own = self.depth * rows * (24 * e * width + 24 + 8 * self.heads)
        return read + own + 4 * e * rows * width


@dataclass(frozen=True)
class Adapter:
    """Any other trained bridge, described by its parameters and saved bytes."""

    params: int
    saved_bytes: int = 0  # kept for its backward, for the whole batch

    def saved(self, batch: int, source_tokens: int, e: int) -> int:
        """Bytes kept for its backward."""
        return self.saved_bytes


def estimate_pair(
    source: ModelSpec,
    target: ModelSpec,
    read: Workload,
    write: Workload,
    bridge: PerceiverBridge | Adapter,
    *,
    target_frozen: bool = True,
    share_weights: bool = False,
) -> Estimate:
    """Peak bytes of one step: `read` is the source's job, `write` the target's (seq_len includes all its tokens).

    `share_weights`: source and target are one copy in memory. `write.keep_outputs`: whether the outputs of
    source and target stay alive during backward; a step function that returns only the loss drops both.
    Raises UnknownOptionError for options whose bytes are not modelled.
    """
    if read.regime != "inference" or write.regime not in ("frozen_grad", "full"):
        raise UnknownOptionError("a pair needs read.regime='inference' and write.regime='frozen_grad'")
    if read.batch != write.batch or read.dtype != write.dtype:
        raise UnknownOptionError("source and target of a pair must have the same batch and dtype")
    if write.shard != "none" or read.shard != "none":
        raise UnknownOptionError("sharded pairs are not modelled; known: shard='none'")
    if write.checkpoint_every > 1:
        raise UnknownOptionError("checkpoint_every is not modelled for pairs; known: checkpoint_every=1")
    if any(each.image_tokens or each.tower != Workload.tower for each in (read, write)):
        raise UnknownOptionError(
            "a pair reads text alone: image_tokens (--image-tokens) and tower (--tower) are not modelled for pairs; known: "
            f"image_tokens=0, tower={Workload.tower!r}"
        )
    if share_weights and source.id != target.id:
        raise UnknownOptionError("share_weights needs the same model on both sides")
    check_runs(source, read)
    check_runs(target, write)
    read, write = with_attention(source, read), with_attention(target, write)
    if share_weights and write.checkpointing:
        read = read.but(use_cache=False)  # transformers switches the cache off for a model with checkpointing
    e = element_size(write.dtype)
    job = write.but(regime="frozen_grad" if target_frozen else "full")
    layer = block(target, job)
    both = ((target, write),) if share_weights else ((source, read), (target, write))
    weights = sum(each.params * e + position_buffer(each, its) for each, its in both) + bridge.params * e
    trained = bridge.params * e
    # The embedding is read without gradient, so it has a gradient only if it is tied to the head.
    stray = 0 if target_frozen else (target.params - (0 if target.tied else target.embedding_params)) * e
    # Of the bridge's matrices, only the largest is known. Adafactor is counted as if the others were vectors, and Muon as if AdamW
    # stepped all of them.
    tuned = Trained(bridge.params, e, (), ((4 * target.hidden, target.hidden),))
    optimizer = optimizer_bytes(write.optimizer, tuned)
    before = stray + (trained if write.grad_accum > 1 else 0)

    row = e * write.tokens * target.hidden
    kept, forward, backward, _ = logits_bytes(job, target.vocab)
    saved = target.layers * layer.stored_input if write.checkpointing else layer.every
    final = last_norm(target, job).kept
    joined = 0 if write.checkpointing else row
    masks = layer.masks
    activations = saved + final + joined + bridge.saved(read.batch, read.tokens, e) + layer.tables
    activations += masks.kept * write.checkpointing
    cached = target.kv_bytes(write.batch, write.seq_len, write.dtype) if write.use_cache else 0
    reading, reader = _source(source, read), block(source, read)
    # If outputs are kept, the loop's variables still hold those of the last step during this step.
    old, given = cached * write.keep_outputs, 2 * row * write.keep_outputs
    base = {"weights": weights, "optimizer": optimizer}
    held = reading if write.keep_outputs else {"kv_cache": 0, "logits": 0, "hidden": 0}
    instants = (
        Instant(
            "source reads", **base, gradients=before, kv_cache=reading["kv_cache"] + held["kv_cache"] + old,
            logits=reading["logits"] + held["logits"] + kept, activations=reading["hidden"] + held["hidden"],
            transient=reader.infer + reader.masks.built,
        ),
        Instant(
            "loss, forward", **base, gradients=before, kv_cache=reading["kv_cache"] + old,
            logits=reading["logits"] + forward + kept, activations=activations + reading["hidden"] + given,
            transient=row * target_frozen,
        ),
        Instant(
            "loss, backward", **base, gradients=before, kv_cache=held["kv_cache"],
            logits=held["logits"] + backward, activations=activations + held["hidden"],
        ),
        Instant(
            "first layer, backward", **base, gradients=before, kv_cache=held["kv_cache"] + old,
            logits=held["logits"] + kept, transient=layer.working,
            activations=held["hidden"] + layer.saved + layer.tables + masks.first * write.checkpointing
            + bridge.saved(read.batch, read.tokens, e),
        ),
        Instant(
            "optimizer step", **base, gradients=stray + trained, kv_cache=held["kv_cache"] + old,
            logits=held["logits"] + kept, activations=held["hidden"],
            transient=step_transient(write, tuned),
        ),
    )  # fmt: skip
    models = (source.id, target.id)
    notes = () if target_frozen else (
        f"target not frozen: {gib(stray)} of gradients that no optimizer uses",
    )  # fmt: skip
    return Estimate(models, (read, write), weights, weights + optimizer + stray, instants, notes)


def _source(source: ModelSpec, read: Workload) -> dict[str, int]:
    """What the caller keeps of the source's outputs, in bytes."""
    e = element_size(read.dtype)
    rows = read.batch if read.logits == "last" else read.tokens
    hidden = (source.layers + 1) * e * read.tokens * source.hidden if read.hidden_states else 0
    cache = source.kv_bytes(read.batch, read.seq_len, read.dtype) if read.use_cache else 0
    return {"kv_cache": cache, "logits": e * rows * source.vocab, "hidden": hidden}
