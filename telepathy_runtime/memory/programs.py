"""The steps of models that no table of `layers` describes: their operations in order, on a tape.

BERT and its kin: each block's output is added to its input, and then normed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from telepathy_runtime.memory.layers import up_to_8
from telepathy_runtime.memory.operations import Matrix, Model
from telepathy_runtime.memory.tape import Tape, Tensor
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import ModelSpec, NotModelledError, element_size

Program = Callable[[], tuple[list[Tensor], list[Tensor]]]
"""Runs a forward: the outputs, logits first, and what else the model's call holds until it has its loss."""


class _Layer:
    """The parameters of one layer."""

    def __init__(self, model: Model, h: int, i: int, work: Workload) -> None:
        self.q, self.k, self.v, self.o = (model.matrix(h, h) for _ in range(4))
        # PEFT's own targets for BERT and its kin: queries and values.
        rank, element = work.lora_rank, element_size(work.lora_dtype)
        both = [model.adapters(rank, h, h, element) if work.regime == "lora" else None for _ in range(2)]
        self.adapters = {self.q: both[0], self.v: both[1]}
        self.attended, self.normed = model.norm(h), model.norm(h)
        self.up, self.down = model.matrix(i, h), model.matrix(h, i)


def bert(tape: Tape, model: Model, spec: ModelSpec, work: Workload) -> Program:
    """BERT, RoBERTa and XLM-R.

    Any head other than that of a masked language model reads one token of a sequence, as for classification.
    """
    h, tokens = spec.hidden, work.tokens
    if work.regime == "lora" and (
        work.lora_targets != Workload.lora_targets or work.dora or work.modules_to_save
    ):
        raise NotModelledError(
            f"other adapters of {spec.architecture} than PEFT's usual ones have no closed form"
        )
    roberta = spec.architecture != "bert"
    # Parameters in the order of transformers' modules, as an optimizer steps them.
    words = model.table(spec.vocab, h)
    places = None if roberta else model.table(spec.max_positions, h)
    norm = model.norm(h)
    places = places or model.table(spec.max_positions, h)
    layers = [_Layer(model, h, spec.intermediate, work) for _ in range(spec.layers)]
    language = spec.head_rows < 0
    if language:
        dense, head_norm = model.matrix(h, h), model.norm(h)
        head = model.matrix(spec.vocab, h, weight=words)
    # The table of the kinds of tokens; a head that is not a language model's has the rest.
    rest = max(spec.params - model.params, 0)
    usual = (1 if roberta else 2) * h
    kinds = model.vector(rest if language else min(usual, rest))
    left = spec.params - model.params
    other = model.vector(
        left, left - h * h + 2 * h if left > h * h else 0
    )  # a square matrix, the pooler's, and less
    read = given(model, work, spec.max_positions)

    def attention(x: Tensor, layer: _Layer, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        q, k, v = (model.adapted(x, each, layer.adapters.get(each)) for each in (layer.q, layer.k, layer.v))
        pairs = work.batch * spec.heads * work.seq_len**2
        if work.attn == "eager":
            return model.eager(q, k, v, work.batch, pairs, spec.attention_dropout, [mask])
        return attend(model, q, k, v, spec.heads, (work.batch, work.seq_len, work.seq_len), mask), None

    def block(x: Tensor, by: Matrix, beside: Tensor, norm: tuple[Tensor, Tensor]) -> Tensor:
        x = model.linear(x, by)
        x = model.dropout(x, spec.dropout)
        return model.layer_norm(model.add(x, beside), norm, h)

    def layer_of(x: Tensor, layer: _Layer, mask: Tensor | None) -> Tensor:
        context, weights = attention(x, layer, mask)
        attended = block(context, layer.o, x, layer.attended)
        del context  # the weights of eager attention stay until the layer ends
        wide = model.linear(attended, layer.up)
        wide = model.kernel(wide)
        out = block(wide, layer.down, attended, layer.normed)
        del weights
        return out

    def embeddings() -> Tensor:
        soft = work.regime == "frozen_grad" or (work.regime == "lora" and work.checkpointing)
        word = tape.leaf(tokens * h, model.element) if soft else model.embed(words, tokens, h)
        kind = model.embed(kinds, tokens, h)
        x = model.add(word, kind)
        place = model.embed(places, tokens if roberta else work.seq_len, h)
        x = model.add(x, place)
        x = model.layer_norm(x, norm, h)
        return model.dropout(x, spec.dropout)

    def forward() -> tuple[list[Tensor], list[Tensor]]:
        with tape.part("embedding"):
            embedded = embeddings()
            mask = mask_of(model, work)
        x = embedded
        for number, layer in enumerate(layers):
            with tape.part(f"layer {number + 1}"):
                x = checkpointed(tape, work, partial(layer_of, layer=layer, mask=mask), x)
        del embedded, mask
        if not language:
            with tape.part("head"):
                return [model.first(x, other, work.batch * h)], [read]
        with tape.part("head"):
            y = model.linear(x, dense)
            y = model.kernel(y)
            y = model.layer_norm(y, head_norm, h)
        with tape.part("head", "logits"):
            y = model.linear(y, head)
        return [y], [read, x]

    return forward


def given(model: Model, work: Workload, positions: int) -> Tensor:
    """The inputs, which the caller holds, and the model's tables of positions and kinds: eight bytes a number."""
    each = work.tokens * (2 + work.trains) + 2 * positions
    return model.tape.new(each, 8)


def mask_of(model: Model, work: Workload) -> Tensor | None:
    """The mask of a padded batch."""
    if not work.padded:
        return None
    return model.tape.new(work.batch * work.seq_len**2, 1 if work.attn != "eager" else model.element)


def checkpointed(tape: Tape, work: Workload, run: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Run a layer, with checkpointing if the job has it."""
    if not work.checkpointing:
        return run(x)
    out: Tensor = tape.checkpoint(lambda: run(x))
    return out


def attend(
    model: Model,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    heads: int,
    shape: tuple[int, int, int],
    mask: Tensor | None,
) -> Tensor:
    """Scaled dot product attention by the kernel that CUDA takes: flash without a mask, else the efficient one.

    `shape`: batch, queries and keys of a sequence. The efficient kernel's sums are rounded up to 32 queries.
    """
    batch, queries, keys = shape
    bias = None
    if mask is not None:
        # A mask of bits becomes a bias, whose rows are padded.
        bias = model.tape.new(batch * queries * up_to_8(keys), model.half or model.element)
    if mask is None and (model.half or model.element) == 2:
        return model.flash(q, k, v, batch * heads * queries)
    return model.flash(q, k, v, batch * heads * (-(-queries // 32) * 32), bias)
