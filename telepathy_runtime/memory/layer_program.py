"""The operations of one decoder layer on a tape, in the order of PEFT's and transformers' code.

How the layers of an architecture differ is in `families`.
"""

from __future__ import annotations

from collections.abc import Sequence

from telepathy_runtime.memory.eager_attention import Eager, eager
from telepathy_runtime.memory.expert_program import Mixture
from telepathy_runtime.memory.families import family, form, projects_first
from telepathy_runtime.memory.layers import repeats_keys
from telepathy_runtime.memory.lora import targets
from telepathy_runtime.memory.operations import Matrix, Model
from telepathy_runtime.memory.programs import attend
from telepathy_runtime.memory.rotation_program import Rotation
from telepathy_runtime.memory.tape import Tape, Tensor
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import ModelSpec, element_size


class Layer:
    """The parameters of a layer, and its forward."""

    def __init__(
        self,
        tape: Tape,
        model: Model,
        spec: ModelSpec,
        work: Workload,
        masked: bool,
        adapted: bool = True,
        rotated: bool = True,
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
        self.packed = bool(work.quantized != "none" or spec.stored_bytes)
        self.turns = rotated and self.how.rotary
        self.rotates = False

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output."""
        model, how, h = self.model, self.how, self.spec.hidden
        self.norms.clear()
        if how.parallel:
            return self.side_by_side(x)
        y = self.norm(x, h) if how.before else x
        normed = y if how.held > 1 else None
        y, weights = self.attention(y)
        y = self.ending(y, how.inner_dropout)
        attended = y if how.held > 0 else None
        y = rest = model.add(x, y)
        y = self.norm(y, h) if how.before else y
        if how.inline:
            y = self.linear("up", y, self.spec.intermediate, self.spec.mlp_bias)
            y = model.activation(self.spec.activation, y)
            y = self.linear("down", y, h, self.spec.mlp_bias)
        else:
            y = self.feed_forward(y)
        y = self.ending(y, how.inner_dropout)
        y = model.add(rest, y)
        del weights, normed, attended  # the layer's code holds those of eager attention
        return y

    def side_by_side(self, x: Tensor) -> Tensor:
        """The output of a layer whose two blocks read its input."""
        model, how, h = self.model, self.how, self.spec.hidden
        y = self.norm(x, h)
        attended, weights = self.attention(y)
        if how.before > 1:
            del y
        attended = self.ending(attended, how.inner_dropout)
        if how.before > 1:
            y = self.norm(x, h)
        wide = self.feed_forward(y)
        if how.before > 1:
            del y
        wide = self.ending(wide, how.inner_dropout)
        wide = model.add(model.add(attended, wide), x)
        del weights
        return wide

    def weight(self, name: str, number: int, element: int) -> Tensor:
        """A weight of the layer, the same one in each forward."""
        if name not in self.weights:
            self.weights[name] = self.tape.parameter(
                number, element, self.work.regime == "full" and not self.packed
            )
        return self.weights[name]

    def ending(self, x: Tensor, inside: bool = False) -> Tensor:
        """What of a block's output is added to the stream: in Granite a part of it, in Gemma 3 its norm.

        `inside`: the block's own code has the dropout.
        """
        if self.how.after:
            return self.norm(x, self.spec.hidden)
        x = x if inside else self.model.dropout(x, self.spec.dropout)
        return self.model.scaled(x) if self.scales else x

    def norm(self, x: Tensor, width: int) -> Tensor:
        """A norm of rows of `width` numbers."""
        model, element, weight = self.model, x.element, self.model.element
        kind = self.how.norm
        scale = self.weight(f"norm {len(self.norms)}", width, weight)
        self.norms.append(scale)
        if kind == "layer":
            return model.layer_norm(x, (scale,), width)
        if kind == "cohere":
            return self.centred(x, scale, width)
        if self.work.kernels != "plain" and width == self.spec.hidden:
            out, sums = self.tape.new(x.number, element), self.tape.new(x.number // width, 4)
            return self.tape.record(out, (x, scale), (x, sums))
        return model.raised_norm(x, scale, width, kind == "rms32", self.how.norm_held)

    def centred(self, x: Tensor, scale: Tensor, width: int) -> Tensor:
        """A norm in single operations that subtracts the mean, in 32 bits."""
        model, element = self.model, x.element
        x = model.cast(x, 4)
        mean = model.mean(x, x.number // width)
        variance = model.mean(model.power(model.add(x, mean)), mean.number)
        x = model.times(model.add(x, mean), model.inverse_root(model.plus(variance)))
        x = model.times(model.cast(scale, 4), x)
        return model.cast(x, element)

    def attention(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The attention block: its output, and eager attention's weights."""
        spec, work, model, how = self.spec, self.work, self.model, self.how
        widths = spec.query_dim, spec.kv_dim, spec.kv_dim
        whole = None  # the code holds it until it returns
        if how.fused_qkv:
            whole = self.linear("qkv", x, sum(widths), spec.qkv_bias)
            numbers = [work.tokens * each for each in widths]
            # Phi-3 takes three slices of it, whose gradients are as large as the whole and are summed up; others split it.
            parts = self.slices if how.fused_gate else self.tape.views
            q, k, v = parts(whole, numbers)
        else:
            q, k, v = (self.project(site, x, each) for site, each in zip("qkv", widths, strict=True))
            if projects_first(how):
                q = self.head_norm(q, spec.query_dim)
                k = self.head_norm(k, spec.kv_dim)
        self.rotates = self.turns and (q.node is not None or k.node is not None)
        held: list[Tensor] = []
        if self.turns:
            q, k = Rotation(model, spec, work).both(q, k, held)
        if work.use_cache and not work.checkpointing:
            k, v = model.copied(k), model.copied(v)
            self.cache += k, v
        out, weights = self.attended(q, k, v)
        if how.joined and work.attn != "eager" and not self.masked:
            out = model.copied(out)
        out = self.linear("o", out, spec.hidden, spec.out_bias)
        if how.inner_dropout:
            out = model.dropout(out, spec.dropout)
        del whole
        return out, weights

    def slices(self, x: Tensor, numbers: Sequence[int]) -> list[Tensor]:
        """Views of so many numbers each."""
        return [self.tape.record(Tensor(x.storage, each, x.element), (x,)) for each in numbers]

    def attended(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor | None]:
        """What attention computes from queries, keys and values, and eager attention's weights."""
        spec, work, model, tape = self.spec, self.work, self.model, self.tape
        length, how = work.seq_len, self.how
        repeated = repeats_keys(spec, work, self.masked) and spec.kv_dim != spec.query_dim
        one = repeated and spec.kv_heads == 1
        if one:  # a view, whose gradient is summed up to that of one head
            k, v = (tape.record(Tensor(each.storage, q.number, each.element), (each,)) for each in (k, v))
        elif repeated:
            k, v = (tape.record(tape.new(q.number, each.element), (each,)) for each in (k, v))
        if work.attn != "eager":
            mask = tape.new(0, 1) if self.masked else None
            return attend(model, q, k, v, spec.heads, (work.batch, length, length), mask), None
        # Products of several sequences read copies in the order of the heads. What was joined, repeated or cached is in it, but not a view.
        several, ordered = work.batch > 1, not one and (repeated or bool(self.cache))
        kind = Eager(
            dropout=spec.attention_dropout,
            mask=element_size(work.held_dtype),
            copied=(
                several and not how.joined,
                several and not (ordered or (how.joined and not one)),
                several and not ordered,
            ),
            softcap=spec.attention_softcap,
            half=how.half_softmax,
            raised=how.float_scores,
            sinks=work.tokens * spec.heads * how.sinks,
        )
        return eager(model, q, k, v, work.batch * spec.heads * length**2, kind)

    def project(self, site: str, x: Tensor, width: int) -> Tensor:
        """Queries, keys or values, with the norm of their heads."""
        y = self.linear(site, x, width, self.spec.qkv_bias)
        normed = self.how.head_norms and site != "v" and not projects_first(self.how)
        return self.head_norm(y, width) if normed else y

    def head_norm(self, x: Tensor, width: int) -> Tensor:
        """The norm of the heads of queries or keys, or of all their heads together."""
        return self.norm(x, self.spec.head_dim if self.how.head_norms == "head" else width)

    def feed_forward(self, x: Tensor) -> Tensor:
        """The feed-forward block."""
        if self.spec.experts:
            element = self.model.element
            return Mixture(
                self.model,
                self.spec,
                self.work.tokens,
                lambda name, number: self.weight(name, number, element),
                lambda y: self.block(y, self.spec.shared_width),
            ).forward(x)
        return self.block(x, self.spec.intermediate)

    def block(self, x: Tensor, wide: int) -> Tensor:
        """A dense block of so many numbers for each token."""
        model, spec = self.model, self.spec
        if not spec.gated_mlp:
            y = self.linear("up", x, wide, spec.mlp_bias)
            y = model.activation(spec.activation, y)
            y = self.linear("down", y, spec.hidden, spec.mlp_bias)
            return model.dropout(y, spec.dropout) if self.how.inner_dropout else y
        if self.how.fused_gate:
            whole = self.linear("gate_up", x, 2 * wide, spec.mlp_bias)
            gate, up = self.tape.views(whole, [self.work.tokens * wide] * 2)
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
            added = model.linear(inner, adapters[1])
            del inner
            added = model.scaled(added)
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
