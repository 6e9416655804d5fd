"""The step of Whisper on a tape: convolutions over a whole recording, an encoder, and a decoder that reads its output.

As in transformers 5.15 and newer.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from telepathy_runtime.memory.operations import Matrix, Model
from telepathy_runtime.memory.programs import Program, bias_of, checkpointed
from telepathy_runtime.memory.tape import Tape, Tensor
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import ModelSpec, NotModelledError, UnknownOptionError

SINCE = (5, 15)
"""The first transformers whose Whisper is known to run as here."""
KERNEL = 3
"""Width of both convolutions; the second one halves the length."""


class _Attention:
    """The parameters of an attention block and of the norm before it."""

    def __init__(self, model: Model, h: int) -> None:
        self.norm = model.norm(h)
        self.q, self.v, self.o = (model.matrix(h, h) for _ in range(3))
        self.k = model.matrix(h, h, bias=False)


class _Layer:
    """The parameters of a layer."""

    def __init__(self, model: Model, h: int, i: int, decoder: bool) -> None:
        self.decoder = decoder
        self.blocks = [_Attention(model, h) for _ in range(1 + decoder)]
        self.norm = model.norm(h)
        self.up, self.down = model.matrix(i, h), model.matrix(h, i)


def _convolution(model: Model, rows: int, channels: int) -> Matrix:
    """A convolution as a matrix; Adafactor's means are those of each kernel, and of each place in one."""
    weight = model.vector(KERNEL * rows * channels, rows * (channels + KERNEL))
    return model.matrix(rows, KERNEL * channels, weight=weight)


class _Run:
    """The operations of one forward."""

    def __init__(self, model: Model, spec: ModelSpec, work: Workload) -> None:
        self.model, self.spec, self.work = model, spec, work
        self.cache: list[Tensor] = []

    def layer(self, x: Tensor, layer: _Layer, memory: Tensor | None, mask: Tensor | None) -> Tensor:
        """A layer of the encoder, or with the encoder's output as `memory`, of the decoder."""
        model, spec, held = self.model, self.spec, None
        # The gradient of a clamp is in the order of the convolutions, and each product copies it.
        clamps = self.work.held_dtype == "float16" and not layer.decoder
        rest = x
        for number, block in enumerate(layer.blocks):
            y = model.layer_norm(rest, block.norm, spec.hidden)
            source = memory if number else None
            y, held = self.attention(y, block, source, None if number else mask, layer.decoder)
            y = model.dropout(y, spec.dropout)
            rest = model.add(rest, model.viewed(y) if clamps else y)
            del y
        y = model.layer_norm(rest, layer.norm, spec.hidden)
        y = self.up(y, layer.up)
        y = model.dropout(y, spec.activation_dropout)
        y = model.linear(y, layer.down)
        y = model.dropout(y, spec.dropout)
        y = model.add(rest, model.viewed(y) if clamps else y)
        del held  # the weights of eager attention stay until the layer ends
        return model.clamped(y) if clamps else y

    def up(self, x: Tensor, by: Matrix) -> Tensor:
        return self.model.kernel(self.model.linear(x, by))

    def attention(
        self, x: Tensor, block: _Attention, memory: Tensor | None, mask: Tensor | None, decoder: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Attention, and eager attention's weights."""
        model, spec, work = self.model, self.spec, self.work
        source = x if memory is None else memory
        eager, cached = work.attn == "eager", decoder and work.use_cache and not work.checkpointing
        flash = not eager and mask is None and self.work.dtype != "float32"
        q = model.copied(model.scaled(model.linear(x, block.q)))
        k, v = (model.copied(model.linear(source, each)) for each in (block.k, block.v))
        if cached:
            k, v = self.cached(k), self.cached(v)
        queries, keys = x.number // spec.hidden // work.batch, source.number // spec.hidden // work.batch
        if eager:
            pairs = work.batch * spec.heads * queries * keys
            out, held = model.eager(q, k, v, work.batch, pairs, spec.attention_dropout, [mask], ordered=True)
            return model.linear(out, block.o), held
        return model.linear(self.fused(q, k, v, (queries, keys), mask, flash), block.o), None

    def cached(self, x: Tensor) -> Tensor:
        """A copy of keys or values in the cache."""
        copy = self.model.copied(x)
        self.cache.append(copy)
        if not self.work.trains:
            copy.storage.becomes("kv_cache")
        return copy

    def fused(
        self, q: Tensor, k: Tensor, v: Tensor, shape: tuple[int, int], mask: Tensor | None, flash: bool
    ) -> Tensor:
        """Fused attention, whose output is copied to the order of the tokens if the kernel is flash."""
        model, batch, (queries, keys) = self.model, self.work.batch, shape
        bias = None if mask is None else bias_of(model, batch * mask.number // keys, keys, q.element)
        rows = batch * self.spec.heads * (queries if flash else -(-queries // 32) * 32)
        out = model.flash(q, k, v, rows * (flash or model.tape.trains), bias)
        return model.copied(out) if flash else out

    def encoder(
        self,
        features: Tensor,
        front: Sequence[Matrix],
        table: Tensor,
        layers: list[_Layer],
        norm: tuple[Tensor, ...],
    ) -> Tensor:
        """The output of the encoder."""
        model, spec, tape = self.model, self.spec, self.model.tape
        size = self.work.batch * spec.source_positions * spec.hidden
        with tape.part("encoder, embedding"):
            x = model.kernel(model.convolved(features, front[0], 2 * size))
            embedded = x = model.kernel(model.convolved(x, front[1], size))
            places = tape.new(spec.source_positions, 8)
            x = model.add(x, model.embed(table, places.number, spec.hidden))
            x = model.dropout(x, spec.dropout)
        for number, layer in enumerate(layers):
            with tape.part(f"encoder, layer {number + 1}"):
                x = checkpointed(tape, self.work, partial(self.layer, layer=layer, memory=None, mask=None), x)
        with tape.part("encoder, norm"):
            x = model.layer_norm(x, norm, spec.hidden)
        del embedded, places
        return x

    def decoder(
        self,
        ids: Tensor,
        memory: Tensor,
        tables: Sequence[Tensor],
        layers: list[_Layer],
        norm: tuple[Tensor, ...],
    ) -> Tensor:
        """The output of the decoder."""
        model, spec, work, tape = self.model, self.spec, self.work, self.model.tape
        with tape.part("decoder, embedding"):
            embedded = model.embed(tables[0], ids.number, spec.hidden, ids)
            index = tape.new(ids.number, 8)
            places = model.row_of_each(tables[1], index, spec.hidden)
            x = model.add(embedded, places)
            x = model.dropout(x, spec.dropout)
            mask = self.mask()
        for number, layer in enumerate(layers):
            with tape.part(f"decoder, layer {number + 1}"):
                x = checkpointed(tape, work, partial(self.layer, layer=layer, memory=memory, mask=mask), x)
        with tape.part("decoder, norm"):
            x = model.layer_norm(x, norm, spec.hidden)
        del embedded, index, places
        return x

    def mask(self) -> Tensor | None:
        """The mask of the decoder's attention; the kernels need none for a batch without padding."""
        work, pairs = self.work, self.work.seq_len**2
        if work.attn == "eager":
            seen = self.model.tape.new(pairs, 1)
            mask = self.model.tape.new(work.batch * pairs, self.model.element)
            del seen
            return mask
        return self.model.tape.new(pairs, 1) if work.padded else None


def whisper(tape: Tape, model: Model, spec: ModelSpec, work: Workload) -> Program:
    """Whisper with its language model's head, which is its decoder's table.

    Raises NotModelledError for what runs in another way, UnknownOptionError for a length that it does not read.
    """
    if work.source_len:
        raise UnknownOptionError(
            f"source_len is for encoder-decoders that read tokens, and {spec.architecture} is none"
        )
    if work.version < SINCE:
        raise NotModelledError(
            f"activations of {spec.architecture} before transformers 5.15 have no closed form"
        )
    if not spec.source_positions or not spec.tied or spec.activation != "gelu":
        raise NotModelledError(
            f"activations of {spec.id}, whose parts differ from Whisper's, have no closed form"
        )
    h, i, bins = spec.hidden, spec.intermediate, spec.mel_bins
    front = [_convolution(model, h, channels) for channels in (bins, h)]
    positions = model.constant(spec.source_positions * h)
    listening = [_Layer(model, h, i, decoder=False) for _ in range(spec.encoder_layers)]
    heard = model.norm(h)
    tables = model.table(spec.vocab, h), model.table(spec.max_positions, h)
    speaking = [_Layer(model, h, i, decoder=True) for _ in range(spec.layers)]
    said = model.norm(h)
    head = model.matrix(spec.vocab, h, bias=False, weight=tables[0])
    features = tape.new(2 * work.batch * bins * spec.source_positions, model.element)
    target = tape.new(work.tokens, 8)

    def forward() -> tuple[list[Tensor], list[Tensor]]:
        run = _Run(model, spec, work)
        with tape.part("encoder, embedding"):
            ids = tape.new(work.tokens, 8) if work.trains else target  # the labels, shifted
        memory = run.encoder(features, front, positions, listening, heard)
        out = run.decoder(ids, memory, tables, speaking, said)
        with tape.part("head", "logits"):
            logits = model.linear(out, head)
        return [logits, memory, *run.cache], [ids, out]

    return forward
