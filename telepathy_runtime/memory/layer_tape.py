"""One layer on a tape: what its forward and its backward need at most, and a forward without gradients.

For layers that are built as Llama's, with adapters or without gradients, and for Gemma 3's. Which of many short tensors are the most depends
on tokens, widths and rank, so they are counted in the order of PEFT's and transformers' code.
"""

from __future__ import annotations

import weakref
from functools import lru_cache, partial
from typing import NamedTuple

from telepathy_runtime.memory.families import Family, family, form, projects_first
from telepathy_runtime.memory.layers import autocast, repeats_keys
from telepathy_runtime.memory.lora import targets
from telepathy_runtime.memory.operations import Matrix, Model
from telepathy_runtime.memory.programs import attend
from telepathy_runtime.memory.tape import Tape, Tensor
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import ModelSpec, element_size

KINDS = ("weights", "gradients", "activations", "copies", "transient")


class Peaks(NamedTuple):
    """Bytes of a layer, beside its input."""

    kept: int  # after its forward, without its output, the copies, and what only the cache holds
    cached: int  # of keys and values, what only the cache holds after its forward
    cast: int  # copies of the adapters' matrices that only autocast holds, until the model's forward ends
    copies: int  # of frozen matrices in autocast's 16 bits, after its forward
    forward: int  # at most in its forward
    rotates: bool  # whether queries or keys take a gradient, so that sines and cosines are kept
    backward: (
        int  # at most in its backward, beside what it kept; with checkpointing, all that it computes again
    )


def built_as_llama(how: Family, experts: int) -> bool:
    """Whether a layer has two norms in PyTorch's operations, each before a block, and no experts."""
    return not experts and how.norm in ("rms", "rms32") and (how.before, how.after) == (2, 0)


def on_tape(how: Family, experts: int) -> bool:
    """Whether adapters on a layer are counted operation by operation: it is as above, or as Gemma 3's, with norms of its blocks' outputs."""
    if how.after and (how.norm != "rms32" or not how.sdpa):
        return False
    return built_as_llama(how._replace(after=0), experts)


def steps_on_tape(how: Family, experts: int, work: Workload) -> bool:
    """Whether a step of training is counted so: with adapters, and in all regimes where there are norms of the blocks' outputs."""
    if work.regime == "lora":
        return on_tape(how, experts)
    return work.trains and bool(how.after) and on_tape(how, experts) and not work.opt_in_backward


def infers_on_tape(spec: ModelSpec, work: Workload) -> bool:
    """Whether a layer without gradients is counted so, too: not with parts that are joined, or one matrix for several, or a quantised one."""
    how = family(spec)
    apart = not (how.joined or how.fused_qkv or how.fused_gate or unpacks(spec, work))
    return apart and on_tape(how, spec.experts)


def unpacks(spec: ModelSpec, work: Workload) -> bool:
    """Whether the matrices of a layer are stored in a form that is unpacked for each product."""
    return bool(work.quantized != "none" or spec.stored_bytes)


@lru_cache(maxsize=512)
def peaks(spec: ModelSpec, work: Workload, masked: bool, first: bool = False) -> Peaks:
    """What a layer of a model with adapters keeps and needs in a step.

    `masked`: with a 4-D mask, for padding or a sliding window. `first`: its input needs no gradient.
    """
    tape = Tape(KINDS, trains=True)
    element = 4 if autocast(work) else element_size(work.held_dtype)
    half = element_size(work.dtype) if work.casts else 0
    model = Model(tape, element, trained=False, training=True, half=half)
    layer = _Layer(tape, model, spec, work, masked)
    for _ in range(2 if work.grad_accum > 1 else 1):
        made = tape.new if first else tape.leaf
        x = made(work.tokens * spec.hidden, element)
        before = sum(tape.alive.values())
        tape.best.clear()
        with tape.part("layer"):
            run = partial(layer.forward, x)
            out: Tensor = tape.checkpoint(run) if work.checkpointing else run()
            del run
        forward = tape.best["layer"][0] - before
        held = sum(tape.alive.values())
        model.end_autocast()
        held -= sum(tape.alive.values())
        node, size = out.node, out.size
        del out
        after, copies = sum(tape.alive.values()), tape.alive["copies"]
        keys = [weakref.ref(each.storage) for each in layer.cache]
        layer.cache.clear()
        cached = after - sum(tape.alive.values())
        # The others are not freed in the backward if the caller keeps the cache.
        others = [key() for key in keys if work.keep_outputs]
        after -= cached
        tape.best.clear()
        backward = after
        if work.reentrant:
            # The whole forward runs again, and its output and the gradient to begin with are held.
            del node
            gradient = tape.new(size, 1)
            with tape.part("layer"):
                again = layer.forward(x)
            model.end_autocast()
            del gradient
            tape.backward(Tensor(again.storage, again.number, again.element, again.node), holds=True)
            del again
        elif node is not None:
            tape.backward(Tensor(tape.new(0, 1).storage, size, 1, node))
            del node
        if tape.best:
            backward = max(total for total, _ in tape.best.values())
        tape.leaves.clear()
        others.clear()
    return Peaks(after - before - copies, cached, held, copies, forward, layer.rotates, backward - after)


@lru_cache(maxsize=512)
def norm_forward(spec: ModelSpec, work: Workload) -> int:
    """The most bytes inside the last norm's forward, beside its input and what it keeps."""
    tape = Tape(KINDS, trains=True)
    element = 4 if autocast(work) else element_size(work.held_dtype)
    half = element_size(work.dtype) if work.casts else 0
    layer = _Layer(tape, Model(tape, element, False, True, half), spec, work, masked=False, adapted=False)
    x = tape.leaf(work.tokens * spec.hidden, element)
    before = sum(tape.alive.values())
    with tape.part("norm"):
        out = layer.norm(x, spec.hidden)
    most = tape.best["norm"][0]
    kept = sum(tape.alive.values()) - out.storage.size
    del out
    return most - max(kept, before)


@lru_cache(maxsize=512)
def most_without_gradients(spec: ModelSpec, work: Workload, masked: bool) -> int:
    """The most bytes inside the last layer's forward without gradients and adapters, with its input and the model's embeddings.

    Without the cache, but with the copies of all layers' matrices, which autocast keeps.
    """
    tape = Tape(KINDS, trains=False)
    element = 4 if autocast(work) else element_size(work.held_dtype)
    half = element_size(work.dtype) if work.casts else 0
    model = Model(tape, element, trained=False, training=False, half=half)
    layer = _Layer(tape, model, spec, work, masked, adapted=False)
    x = tape.new(work.tokens * spec.hidden, element)
    held = (
        x if spec.layers == 1 else tape.new(x.number, element)
    )  # the embeddings are the first layer's input
    with tape.part("layer"):
        layer.forward(x)
    del held
    before = (spec.layers - 1) * tape.alive["copies"]
    return tape.best["layer"][0] + before - sum(each.storage.size for each in layer.cache)


class _Layer:
    """The parameters of a layer, and its forward."""

    def __init__(
        self, tape: Tape, model: Model, spec: ModelSpec, work: Workload, masked: bool, adapted: bool = True
    ) -> None:
        self.tape, self.model, self.spec, self.work, self.masked = tape, model, spec, work, masked
        self.cache: list[Tensor] = []
        self.lowered: list[Tensor] = []
        self.weights: dict[str, Tensor] = {}
        self.norms: list[Tensor] = []  # the scales of those that have run
        self.how = family(spec)
        element = element_size(work.lora_dtype)
        self.adapters: dict[str, tuple[Matrix, Matrix, Tensor]] = {}
        for each in targets(spec, work) if adapted and work.regime == "lora" else ():
            both = model.adapters(work.lora_rank, each.outputs, each.inputs, element)
            self.adapters[each.site] = (*both, tape.parameter(each.outputs, element, trained=work.dora))
        self.scales = form(spec) == "granite"
        self.packed = unpacks(spec, work)
        self.rotates = False

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output."""
        model = self.model
        self.norms.clear()
        y = self.norm(x, self.spec.hidden)
        y, weights = self.attention(y)
        y = self.ending(y)
        y = rest = model.add(x, y)
        y = self.norm(y, self.spec.hidden)
        y = self.feed_forward(y)
        y = self.ending(y)
        y = model.add(rest, y)
        del weights  # the layer's code holds those of eager attention
        return y

    def weight(self, name: str, number: int, element: int) -> Tensor:
        """A weight of the layer, the same one in each forward."""
        if name not in self.weights:
            self.weights[name] = self.tape.parameter(
                number, element, self.work.regime == "full" and not self.packed
            )
        return self.weights[name]

    def ending(self, x: Tensor) -> Tensor:
        """What of a block's output is added to the stream: in Granite a part of it, in Gemma 3 its norm."""
        if self.how.after:
            return self.norm(x, self.spec.hidden)
        x = self.model.dropout(x, self.spec.dropout)
        return self.model.scaled(x) if self.scales else x

    def norm(self, x: Tensor, width: int) -> Tensor:
        """A norm of rows of `width` numbers."""
        model, element, weight = self.model, x.element, self.model.element
        scale = self.weight(f"norm {len(self.norms)}", width, weight)
        self.norms.append(scale)
        if self.work.kernels != "plain" and width == self.spec.hidden:
            out, sums = self.tape.new(x.number, element), self.tape.new(x.number // width, 4)
            return self.tape.record(out, (x, scale), (x, sums))
        return model.raised_norm(x, scale, width, self.how.norm == "rms32")

    def attention(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The attention block: its output, and eager attention's weights."""
        spec, work, model = self.spec, self.work, self.model
        widths = spec.query_dim, spec.kv_dim, spec.kv_dim
        if self.how.fused_qkv:
            whole = self.linear("qkv", x, sum(widths), spec.qkv_bias)
            q, k, v = (part(whole, work.tokens * each) for each in widths)
            del whole
        else:
            q, k, v = (self.project(site, x, each) for site, each in zip("qkv", widths, strict=True))
            if projects_first(self.how):
                q = self.head_norm(q, spec.query_dim)
                k = self.head_norm(k, spec.kv_dim)
        self.rotates = q.node is not None or k.node is not None
        turned = self.rotated(q)
        q, k = turned, self.rotated(k)
        del turned
        if work.use_cache and not work.checkpointing:
            k, v = model.copied(k), model.copied(v)
            self.cache += k, v
        out, weights = self.attended(q, k, v)
        if self.how.joined and work.attn != "eager" and not self.masked:
            out = model.copied(out)
        return self.linear("o", out, spec.hidden, spec.out_bias), weights

    def attended(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor | None]:
        """What attention computes from queries, keys and values, and eager attention's weights."""
        spec, work, model, tape = self.spec, self.work, self.model, self.tape
        eager, length = work.attn == "eager", work.seq_len
        repeated = repeats_keys(spec, work, self.masked) and spec.kv_dim != spec.query_dim
        one = repeated and spec.kv_heads == 1
        if one:  # a view, whose gradient is summed up to that of one head
            k, v = (tape.record(Tensor(each.storage, q.number, each.element), (each,)) for each in (k, v))
        elif repeated:
            k, v = (tape.record(tape.new(q.number, each.element), (each,)) for each in (k, v))
        if not eager:
            mask = tape.new(0, 1) if self.masked else None
            return attend(model, q, k, v, spec.heads, (work.batch, length, length), mask), None
        pairs, added = work.batch * spec.heads * length**2, element_size(work.held_dtype)
        # Products of several sequences read copies in the order of the heads; repeated or cached keys and values are in it, but not a view.
        ordered = not one and (repeated or bool(self.cache))
        return model.eager_in_float(q, k, v, pairs, spec.attention_dropout, added, work.batch > 1, ordered)

    def project(self, site: str, x: Tensor, width: int) -> Tensor:
        """Queries, keys or values, with the norm of their heads."""
        y = self.linear(site, x, width, self.spec.qkv_bias)
        normed = self.how.head_norms and site != "v" and not projects_first(self.how)
        return self.head_norm(y, width) if normed else y

    def head_norm(self, x: Tensor, width: int) -> Tensor:
        """The norm of the heads of queries or keys, or of all their heads together."""
        return self.norm(x, self.spec.head_dim if self.how.head_norms == "head" else width)

    def rotated(self, x: Tensor) -> Tensor:
        """Queries or keys, rotated: the second half of each head, negated, changes places with the first."""
        new, element = self.tape.new, 4 if autocast(self.work) else x.element
        straight = new(x.number, element)
        half = new(x.number // 2, x.element)
        turned = new(x.number, x.element)
        del half
        turned = new(x.number, element)
        out = self.tape.record(new(x.number, element), (x,))
        del straight, turned
        return out

    def feed_forward(self, x: Tensor) -> Tensor:
        """The feed-forward block."""
        model, spec, wide = self.model, self.spec, self.spec.intermediate
        if self.how.fused_gate:
            whole = self.linear("gate_up", x, 2 * wide, spec.mlp_bias)
            gate, up = (part(whole, self.work.tokens * wide) for _ in range(2))
            y = self.gated(gate, up)
        else:
            gate = self.linear("gate", x, wide, spec.mlp_bias)
            liger = self.work.kernels == "liger"
            if not liger:
                gate = model.activation(spec.activation, gate)
            up = self.linear("up", x, wide, spec.mlp_bias)
            y = self.gated(gate, up) if liger else model.times(gate, up)
        del gate, up
        return self.linear("down", y, spec.hidden, spec.mlp_bias)

    def gated(self, gate: Tensor, up: Tensor) -> Tensor:
        """The product of the activated gate and the other half; in one kernel, it keeps both."""
        if self.work.kernels != "liger":
            return self.model.times(self.model.activation(self.spec.activation, gate), up)
        return self.tape.record(self.tape.new(up.number, up.element), (gate, up), (gate, up))

    def linear(self, site: str, x: Tensor, rows: int, bias: bool) -> Tensor:
        """A product with a frozen matrix and its adapter, as PEFT adds it."""
        model, work, packed = self.model, self.work, self.packed
        columns = x.number // work.tokens
        element = element_size(work.dtype) if packed else model.element
        added = self.weight(f"{site}, bias", rows, element) if bias else None
        base = Matrix(rows, columns, self.weight(site, rows * columns, element), added)
        adapters = self.adapters.get(site)
        if adapters is not None and work.kernels == "adapters":
            return self.fused(x, base, adapters)
        out = model.unpacked(x, base) if packed else model.linear(x, self.lower(base))
        if packed:  # bitsandbytes returns the dtype of its input
            out = model.cast(out, x.element)
        if adapters is None:
            return out
        element = out.element
        if packed:  # PEFT's layer for bitsandbytes copies the output, and leaves its input to autocast
            out = model.copied(out)
        if not (packed and work.casts):
            x = model.cast(x, adapters[0].weight.element)  # stays until the end
        if work.dora:
            added = self.directed(x, base, out, adapters)
        else:
            dropped = model.dropout(x, work.lora_dropout)
            inner = model.linear(dropped, adapters[0])
            del dropped
            added = model.scaled(model.linear(inner, adapters[1]))
            del inner
        if packed:
            return model.add(out, added if work.casts else model.cast(added, element))
        out = model.add(out, added)
        del added
        return model.cast(out, element)

    def fused(self, x: Tensor, base: Matrix, adapters: tuple[Matrix, Matrix, Tensor]) -> Tensor:
        """A product and its adapter in one function, which keeps what both read, and no mask of the dropout."""
        model, (down, up, _) = self.model, adapters
        x = model.lower(x)
        out = model.unpacked(Tensor(x.storage, x.number, x.element), base)
        kept = (x, self.tape.new(x.number, x.element)) if self.work.lora_dropout else (x,)
        return self.tape.record(
            out,
            (x, down.weight, up.weight),
            kept,
            working=element_size(self.work.dtype) * base.rows * base.columns,
        )

    def lower(self, base: Matrix) -> Matrix:
        """A matrix as its product reads it; a copy of its weight is counted as one, and kept without gradients."""
        weight = self.model.lower(base.weight)
        if weight is not base.weight:
            weight.storage.becomes("copies")
            if not self.tape.trains:
                self.lowered.append(weight)
        return Matrix(base.rows, base.columns, weight, base.bias)

    def directed(
        self, x: Tensor, base: Matrix, out: Tensor, adapters: tuple[Matrix, Matrix, Tensor]
    ) -> Tensor:
        """What DoRA adds: it computes the norm of the whole adapted weight, whose parts stay until it returns."""
        model, new, (down, up, magnitude) = self.model, self.tape.new, adapters
        size, element = base.rows * base.columns, x.element
        identity = new(base.columns**2, down.weight.element)
        product = model.linear(model.linear(identity, down), up)
        del identity
        product = model.cast(product, element)
        weight = new(size, element) if self.packed or base.weight.element != element else None
        scaled = new(size, element)
        whole = new(size, element)
        del scaled
        in_float = model.raised(whole)  # for its norm
        norm = new(base.rows, element)
        del whole, in_float
        scale = self.tape.record(new(base.rows, magnitude.element), (magnitude,), (norm,))
        y = model.linear(model.linear(x, down), up)
        if base.bias is not None:  # is subtracted, and may be wider
            without = new(out.number, max(out.element, base.bias.element))
            out = self.tape.record(without, (out,), passes=out.element == without.element)
            del without
        straight = model.times(scale, out)
        y = model.scaled(model.times(scale, y))
        y = model.add(straight, y)
        del product, weight
        return y


def part(x: Tensor, number: int) -> Tensor:
    """A view of so many numbers."""
    return Tensor(x.storage, number, x.element, x.node)
