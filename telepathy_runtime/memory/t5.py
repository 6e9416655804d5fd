"""The step of T5 on a tape: an encoder and a decoder, whose attention adds a learned bias for each distance.

As in transformers 5.15 and newer.
"""

from __future__ import annotations

from functools import partial

from telepathy_runtime.memory.layers import up_to_8
from telepathy_runtime.memory.operations import Model
from telepathy_runtime.memory.programs import Program
from telepathy_runtime.memory.tape import Tape, Tensor
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import ModelSpec, NotModelledError

KEEP_OUTPUT = ("relu", "tanh")
"""Activations whose backward reads the output."""
KNOWN = (*KEEP_OUTPUT, "gelu", "gelu_new", "silu")
"""Activations whose operations are known."""
SINCE = (5, 15)
"""The first transformers whose T5 runs as here."""


class _Attention:
    """The parameters of an attention block, and its norm's; `bias` is the table of distances of a stack's first layer."""

    def __init__(self, model: Model, spec: ModelSpec, decoder: bool, bias: Tensor | None = None) -> None:
        self.decoder = decoder
        h, inner = spec.hidden, spec.query_dim
        self.q, self.k, self.v = (model.matrix(inner, h, bias=False) for _ in range(3))
        self.o = model.matrix(h, inner, bias=False)
        self.norm, self.bias = model.vector(h), bias


class _Layer:
    """The parameters of a layer."""

    def __init__(self, model: Model, spec: ModelSpec, decoder: bool, bias: Tensor | None) -> None:
        h, i = spec.hidden, spec.intermediate
        self.own = _Attention(model, spec, decoder, bias)
        self.cross = _Attention(model, spec, decoder) if decoder else None
        self.ups = [model.matrix(i, h, bias=False) for _ in range(1 + spec.gated_mlp)]
        self.down, self.norm = model.matrix(h, i, bias=False), model.vector(h)


class _Stack:
    """The encoder or the decoder."""

    def __init__(self, model: Model, spec: ModelSpec, decoder: bool) -> None:
        self.decoder = decoder
        table = model.table(spec.relative_buckets, spec.heads)
        number = spec.layers if decoder else spec.encoder_layers
        self.layers = [_Layer(model, spec, decoder, None if at else table) for at in range(number)]
        self.norm = model.vector(spec.hidden)


class _Run:
    """The operations of one forward."""

    def __init__(self, tape: Tape, model: Model, spec: ModelSpec, work: Workload) -> None:
        self.tape, self.model, self.spec, self.work = tape, model, spec, work
        self.read = work.source_len or work.seq_len
        self.cache: list[Tensor] = []

    def stack(self, stack: _Stack, table: Tensor, index: Tensor, memory: Tensor | None) -> Tensor:
        """The output of the encoder, or with the encoder's output as `memory`, of the decoder."""
        model, spec = self.model, self.spec
        name = "decoder" if stack.decoder else "encoder"
        with self.tape.part(f"{name}, embedding"):
            embedded = model.embed(table, index.number, spec.hidden, index)
            masks = self.masks(stack.decoder)
            x = model.dropout(embedded, spec.dropout)
        biases: list[Tensor | None] = [None, None]
        for number, layer in enumerate(stack.layers):
            with self.tape.part(f"{name}, layer {number + 1}"):
                x, biases = self.layer(x, layer, memory, masks, biases)
        with self.tape.part(f"{name}, norm"):
            x = model.rms_norm(x, stack.norm, spec.hidden)
            return model.dropout(x, spec.dropout)

    def masks(self, decoder: bool) -> list[Tensor | None]:
        """The masks of attention inside a stack, and of the decoder's to the encoder's output."""
        work, eager = self.work, self.work.attn == "eager"
        own = work.seq_len**2 * (work.batch if eager else 1) if decoder else self.read**2 * work.batch
        sizes = [
            own * (work.padded or (decoder and eager)),
            work.batch * work.seq_len * self.read * work.padded,
        ]
        element = self.model.element if eager else 1
        return [self.tape.new(size, element) if size else None for size in sizes[: 1 + decoder]]

    def layer(
        self,
        x: Tensor,
        layer: _Layer,
        memory: Tensor | None,
        masks: list[Tensor | None],
        biases: list[Tensor | None],
    ) -> tuple[Tensor, list[Tensor | None]]:
        """The output, and the biases that the next layer reads."""
        run = partial(self._layer, x, layer, memory, masks, biases)
        out: tuple[Tensor, list[Tensor | None]] = (
            self.tape.checkpoint(run) if self.work.checkpointing else run()
        )
        return out

    def _layer(
        self,
        x: Tensor,
        layer: _Layer,
        memory: Tensor | None,
        masks: list[Tensor | None],
        biases: list[Tensor | None],
    ) -> tuple[Tensor, list[Tensor | None]]:
        own, cross = biases
        x, own, held = self.residual(x, layer.own, None, masks[0], own)
        if layer.cross is not None:
            x, cross, held = self.residual(x, layer.cross, memory, masks[-1], cross)
        x = self.feed_forward(x, layer)
        del held  # the weights of eager attention stay until the layer ends
        return x, [own, cross]

    def residual(
        self, x: Tensor, block: _Attention, memory: Tensor | None, mask: Tensor | None, bias: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """An attention block: its input and what it adds, its bias, and eager attention's weights."""
        normed = self.model.rms_norm(x, block.norm, self.spec.hidden)
        y, bias, weights = self.attention(normed, block, memory, mask, bias)
        return self.model.add(x, self.model.dropout(y, self.spec.dropout)), bias, weights

    def attention(
        self, x: Tensor, block: _Attention, memory: Tensor | None, mask: Tensor | None, bias: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        model, spec, work = self.model, self.spec, self.work
        source = x if memory is None else memory
        q, k, v = model.linear(x, block.q), model.linear(source, block.k), model.linear(source, block.v)
        cached = block.decoder and work.use_cache and not work.checkpointing
        if cached:
            k, v = self.cached(k), self.cached(v)
        queries, keys = x.number // spec.hidden // work.batch, source.number // spec.hidden // work.batch
        if bias is None:
            if block.bias is not None:
                bias = self.distances(block.bias, queries, keys, not block.decoder)
            elif work.checkpointing:
                bias = self.tape.leaf(spec.heads * queries * keys, q.element)
            else:
                bias = self.tape.new(spec.heads * queries * keys, q.element)
        causal = block.decoder and memory is None and queries > 1
        if work.attn == "eager":
            pairs = work.batch * spec.heads * queries * keys
            out, weights = model.eager(q, k, v, work.batch, pairs, spec.dropout, [bias, mask], cached)
            return model.linear(out, block.o), bias, weights
        joined = self.added(bias, mask, (queries, keys), causal, memory is None)
        out = self.fused(q, k, v, joined, queries, keys)
        del joined
        return model.linear(out, block.o), bias, None

    def cached(self, x: Tensor) -> Tensor:
        """A copy of keys or values in the cache, in the order of the heads."""
        copy = self.model.copied(self.model.viewed(x) if self.work.attn == "eager" else x)
        if not self.work.trains:
            copy.storage.becomes("kv_cache")
        self.cache.append(copy)
        return copy

    def distances(self, table: Tensor, queries: int, keys: int, both: bool) -> Tensor:
        """The bias of each distance between a query and a key, for each head."""
        new = self.tape.new
        context = new(queries, 8)
        context = new(queries, 8)
        memory = new(keys, 8)
        apart = new(queries * keys, 8)
        index = self.buckets(apart, both)
        bias = self.model.embed(table, index.number, self.spec.heads, index)
        del context, memory, apart
        return bias

    def buckets(self, apart: Tensor, both: bool) -> Tensor:
        """The row of the table for each distance; `apart` are the distances."""

        def new(element: int) -> Tensor:
            return self.tape.new(apart.number, element)

        found = None
        if both:
            found = new(1)
            for _ in range(3):
                found = new(8)
            near = new(8)
        else:
            zeros = new(8)
            near = new(8)
            del zeros
            near = new(8)
        small = new(1)
        for element in (4, 4, 4, 4, 4, 8, 8):
            far = new(element)
        limit = new(8)
        far = new(8)
        del limit
        chosen = new(8)
        if found is None:
            found = new(8)
        del near, small, far, chosen
        return found

    def added(
        self, bias: Tensor, mask: Tensor | None, shape: tuple[int, int], causal: bool, permuted: bool
    ) -> Tensor:
        """What fused attention adds to its scores: the bias, and the mask."""
        tape, model = self.tape, self.model
        joined = bias
        if mask is not None:
            joined = tape.new(self.work.batch * bias.number, bias.element)
            joined = tape.record(joined, (bias,), (mask,), made=joined.size)
        elif causal:
            seen = tape.new(shape[0] * shape[1], 1)
            joined = tape.record(tape.new(bias.number, bias.element), (bias,), (seen,))
        return model.copied(joined) if permuted else joined

    def fused(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor, queries: int, keys: int) -> Tensor:
        """Memory-efficient attention with a bias, whose rows are padded to 8, and in its gradient to 16."""
        tape, batch, heads = self.tape, self.work.batch, self.spec.heads
        bias, rows = self.model.lower(bias), bias.number // keys
        padded = up_to_8(keys)
        if padded != keys:
            wide = tape.record(tape.new(rows * padded, bias.element), (bias,))
            bias = tape.record(Tensor(wide.storage, bias.number, bias.element), (wide,))
            del wide
        every = batch * heads * queries
        aligned = -(-keys // 16) * 16
        if rows != every:
            bias = tape.record(Tensor(bias.storage, every * aligned, bias.element), (bias,))
        else:
            bias = tape.record(Tensor(bias.storage, every * aligned, bias.element), (bias,), passes=True)
        out = tape.new(q.number, q.element)
        sums = tape.new(batch * heads * (-(-queries // 32) * 32) * tape.trains, 4)
        seeds = tape.new(1, 8), tape.new(1, 8)
        return tape.record(out, (q, k, v, bias), (q, k, v, bias, out, sums, *seeds))

    def feed_forward(self, x: Tensor, layer: _Layer) -> Tensor:
        model, spec = self.model, self.spec
        normed = model.rms_norm(x, layer.norm, spec.hidden)
        y = self.wide(normed, layer)
        del normed
        return model.add(x, model.dropout(y, spec.dropout))

    def wide(self, x: Tensor, layer: _Layer) -> Tensor:
        model, spec = self.model, self.spec
        if spec.gated_mlp:
            gate = self.act(model.linear(x, layer.ups[0]))
            straight = model.linear(x, layer.ups[1])  # stays until the block ends
            y = model.times(gate, straight)
        else:
            y = model.linear(x, layer.ups[0])
            y = self.act(y)
        y = model.dropout(y, spec.dropout)
        y = model.cast(y, layer.down.weight.element)
        return model.linear(y, layer.down)

    def act(self, x: Tensor) -> Tensor:
        """The activation of the feed-forward block."""
        if self.spec.activation in KEEP_OUTPUT:
            return self.model.activated(x)
        return self.model.gelu_new(x) if self.spec.activation == "gelu_new" else self.model.kernel(x)


def t5(tape: Tape, model: Model, spec: ModelSpec, work: Workload) -> Program:
    """T5 with its language model's head.

    Raises NotModelledError for what runs in another way: older transformers, float16, an unknown activation.
    """
    if work.version < SINCE:
        raise NotModelledError(
            f"activations of {spec.architecture} before transformers 5.15 have no closed form"
        )
    if work.attn == "flash_attention_2":
        raise NotModelledError(
            f"{spec.architecture} has no flash_attention_2; its activations have no closed form"
        )
    if work.held_dtype == "float16":
        raise NotModelledError(f"activations of {spec.architecture} in float16 have no closed form")
    if spec.activation not in KNOWN:
        raise NotModelledError(
            f"activations of {spec.architecture} with {spec.activation} have no closed form"
        )
    table = model.table(spec.vocab, spec.hidden)
    encoder, decoder = _Stack(model, spec, decoder=False), _Stack(model, spec, decoder=True)
    head = model.matrix(spec.vocab, spec.hidden, bias=False, weight=table if spec.tied else None)
    source = work.source_len or work.seq_len
    read, asked, target = (tape.new(work.batch * each, 8) for each in (source, source, work.seq_len))

    def forward() -> tuple[list[Tensor], list[Tensor]]:
        run = _Run(tape, model, spec, work)
        memory = run.stack(encoder, table, read, None)
        with tape.part("decoder, embedding"):
            if work.trains:  # the labels, shifted
                shifted = tape.new(work.batch * work.seq_len, 8)
            else:
                shifted = target
        out = run.stack(decoder, table, shifted, memory)
        with tape.part("head", "logits"):
            scaled = model.scaled(out) if spec.scaled_output else out
            logits = model.linear(scaled, head)
        return [logits, memory, *run.cache], [asked, shifted, out, scaled]

    return forward
