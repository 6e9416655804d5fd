"""The steps of models that no table of `layers` describes: their operations in order, on a tape.

BERT and its kin: each block's output is added to its input, and then normed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from telepathy_runtime.memory.families import ONE_KERNEL
from telepathy_runtime.memory.layers import up_to_8
from telepathy_runtime.memory.lora import targets
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


class _Kin(NamedTuple):
    """How an encoder differs from BERT."""

    places_of_each: bool = (
        False  # positions are looked up for each sequence, and their table is behind the norm
    )
    kinds: bool = True  # a table of the kinds of tokens
    in_one: bool = False  # attention's last product is in the function that holds its inputs, without a dropout behind it


_KIN = {
    "roberta": _Kin(places_of_each=True),
    "xlm-roberta": _Kin(places_of_each=True),
    "distilbert": _Kin(kinds=False, in_one=True),
}


class _Head(NamedTuple):
    """What is behind the layers, in parameters: of the kinds' table, and of a head that reads one token of a sequence."""

    name: str  # language, pairs (whether each token was replaced), first, or none
    kinds: int
    rest: int = 0


def _head_of(spec: ModelSpec, left: int, width: int, kinds: bool) -> _Head:
    """The head of an encoder that has `left` parameters beside its tables and layers."""
    h = spec.hidden
    language = h * width + 3 * width + spec.vocab
    if spec.head_rows < 0 and left >= language and spec.architecture not in ("distilbert", "electra"):
        return _Head("language", left - language)
    behind = (("language", language), ("pairs", h * h + 2 * h + 1), ("none", 0), ("none", h * h + h))
    for number in (1, 2) if kinds else (0,):
        for name, size in behind:
            if left == number * width + size and (name == "none" or spec.head_rows < 0):
                return _Head(name, number * width, size if name == "none" else 0)
    usual = min((1 if "roberta" in spec.architecture else 2) * width * kinds, left)
    return _Head("first", usual, left - usual)


def bert(tape: Tape, model: Model, spec: ModelSpec, work: Workload) -> Program:
    """BERT, RoBERTa, XLM-R, DistilBERT and ELECTRA.

    Any head other than that of a masked language model or a discriminator reads one token of a sequence, as for classification.
    """
    h, tokens, width = spec.hidden, work.tokens, spec.embed_dim or spec.hidden
    adapted = {each.site for each in targets(spec, work)} if work.regime == "lora" else {"q", "v"}
    if adapted != {"q", "v"} or work.dora or work.modules_to_save:
        raise NotModelledError(
            f"other adapters of {spec.architecture} than PEFT's usual ones have no closed form"
        )
    if spec.activation not in ONE_KERNEL:
        raise NotModelledError(
            f"activations of {spec.architecture} with the activation {spec.activation} have no closed form"
        )
    kin = _KIN.get(spec.architecture, _Kin())
    # Parameters in the order of transformers' modules, as an optimizer steps them.
    words = model.table(spec.vocab, width)
    places = None if kin.places_of_each else model.table(spec.max_positions, width)
    norm = model.norm(width)
    places = places or model.table(spec.max_positions, width)
    project = model.matrix(h, width) if width != h else None
    layers = [_Layer(model, h, spec.intermediate, work) for _ in range(spec.layers)]
    head = _head_of(spec, spec.params - model.params, width, kin.kinds)
    dense = head_norm = last = None
    if head.name == "language":
        dense, head_norm = model.matrix(width, h), model.norm(width)
        last = model.matrix(spec.vocab, width, weight=words)
    elif head.name == "pairs":
        dense, last = model.matrix(h, h), model.matrix(1, h)
    kinds = model.vector(head.kinds) if kin.kinds else None
    # A square matrix, the pooler's or the classifier's first one, and less.
    square = (h * h + h) * (head.rest >= h * h + h)
    parts = [each for each in (square, head.rest - square) if each]
    other = [model.vector(each, 3 * h if each == square else 0) for each in parts]
    if head.name == "first" and work.regime == "lora":
        # Beside adapters, PEFT trains a copy of the classifier, but not of BERT's pooler before it.
        frozen = bool(square) and spec.architecture == "bert"
        other[frozen:] = [model.copy_of_module(each) for each in parts[frozen:]]
    read = given(model, work, spec.max_positions * (1 + kin.kinds))

    def attention(x: Tensor, layer: _Layer, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        q, k, v = (
            model.adapted(x, each, layer.adapters.get(each), work.lora_dropout)
            for each in (layer.q, layer.k, layer.v)
        )
        pairs, weights = work.batch * spec.heads * work.seq_len**2, None
        if work.attn == "eager":
            out, weights = model.eager(q, k, v, work.batch, pairs, spec.attention_dropout, [mask])
        else:
            out = attend(model, q, k, v, spec.heads, (work.batch, work.seq_len, work.seq_len), mask)
        return model.linear(out, layer.o) if kin.in_one else out, weights

    def block(x: Tensor, by: Matrix | None, beside: Tensor, norm: tuple[Tensor, Tensor]) -> Tensor:
        if by is not None:
            x = model.linear(x, by)
            x = model.dropout(x, spec.dropout)
        return model.layer_norm(model.add(x, beside), norm, h)

    def layer_of(x: Tensor, layer: _Layer, mask: Tensor | None) -> Tensor:
        context, weights = attention(x, layer, mask)
        attended = block(context, None if kin.in_one else layer.o, x, layer.attended)
        del context  # the weights of eager attention stay until the layer ends
        wide = model.linear(attended, layer.up)
        wide = model.kernel(wide)
        if kin.in_one:  # BERT's code holds the wide tensor until the norm is done
            wide = model.linear(wide, layer.down)
            wide = model.dropout(wide, spec.dropout)
        out = block(wide, None if kin.in_one else layer.down, attended, layer.normed)
        del weights
        return out

    def embeddings() -> Tensor:
        soft = work.regime == "frozen_grad" or (work.regime == "lora" and work.checkpointing)
        x = tape.leaf(tokens * width, model.element) if soft else model.embed(words, tokens, width)
        word = x  # stays until the norm is done
        if kinds is not None:
            kind = model.embed(kinds, tokens, width)
            x = model.add(x, kind)
        place = model.embed(places, tokens if kin.places_of_each else work.seq_len, width)
        x = model.add(x, place)
        x = model.layer_norm(x, norm, width)
        del word
        return model.dropout(x, spec.dropout)

    def forward() -> tuple[list[Tensor], list[Tensor]]:
        with tape.part("embedding"):
            embedded = embeddings()
            if project is not None:
                embedded = model.linear(embedded, project)
            mask = mask_of(model, work)
        x = embedded
        for number, layer in enumerate(layers):
            with tape.part(f"layer {number + 1}"):
                x = checkpointed(tape, work, partial(layer_of, layer=layer, mask=mask), x)
        del embedded, mask
        if dense is None or last is None:
            with tape.part("head"):
                return [model.first(x, other, work.batch * h)], [read]
        with tape.part("head"):
            y = model.linear(x, dense)
            y = model.kernel(y)
            if head_norm is not None:
                y = model.layer_norm(y, head_norm, width)
        with tape.part("head", "logits"):
            y = model.linear(y, last)
        return [y], [read, x]

    return forward


def given(model: Model, work: Workload, positions: int) -> Tensor:
    """The inputs, which the caller holds, and the model's tables of `positions` numbers: eight bytes a number."""
    each = work.tokens * (2 + work.trains) + positions
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
    q, k, v = (model.lower(each) for each in (q, k, v))
    bias = None if mask is None else bias_of(model, batch * queries, keys, model.half or model.element)
    if mask is None and (model.half or model.element) == 2:
        return model.flash(q, k, v, batch * heads * queries)
    return model.flash(q, k, v, batch * heads * (-(-queries // 32) * 32), bias)


def bias_of(model: Model, rows: int, keys: int, element: int) -> Tensor:
    """What a mask of bits becomes for the kernel: a number for each pair, whose rows are padded to 8."""
    bias, flipped = model.tape.new(rows * keys, element), model.tape.new(rows * keys, 1)
    del flipped
    return bias if up_to_8(keys) == keys else model.tape.new(rows * up_to_8(keys), element)
