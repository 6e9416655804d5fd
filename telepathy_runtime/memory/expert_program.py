"""The operations of a layer's experts on a tape, in the order of transformers' code, which sorts the tokens by expert for one grouped product.

Each token is there once for each of its experts.
"""

from __future__ import annotations

from collections.abc import Callable

from telepathy_runtime.memory.families import Family, family
from telepathy_runtime.memory.operations import Matrix, Model
from telepathy_runtime.memory.tape import Tensor
from telepathy_runtime.models.spec import ModelSpec

INDEX = 8
"""Bytes of the number of an expert or of a token."""


class Mixture:
    """The experts of one layer; `weight` gives a parameter by its name and numbers, `shared` runs the expert that reads every token."""

    def __init__(
        self,
        model: Model,
        spec: ModelSpec,
        tokens: int,
        weight: Callable[[str, int], Tensor],
        shared: Callable[[Tensor], Tensor],
    ) -> None:
        self.model, self.spec, self.tokens, self.weight, self.shared = model, spec, tokens, weight, shared
        self.how: Family = family(spec)
        self.rows = tokens * spec.experts_per_token

    def forward(self, x: Tensor) -> Tensor:
        """The block's output."""
        model, spec = self.model, self.spec
        beside = self.shared(x) if spec.shared_width else None
        logits, scores, index = self.routed(x)
        out = self.experts(x, scores, index)
        if beside is not None:
            by = Matrix(1, spec.hidden, self.weight("shared router", spec.hidden), None)
            beside = model.times(model.activated(model.linear(x, by)), beside)
            out = model.add(out, beside)
        del logits, scores, index  # the block's code holds them
        return out

    def routed(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The router's output, and for each token the weights and the numbers of its experts."""
        model, tape, spec, rows = self.model, self.model.tape, self.spec, self.rows
        clamps = self.how.experts == "clamped"
        bias = self.weight("router, bias", spec.experts) if clamps else None
        by = Matrix(spec.experts, spec.hidden, self.weight("router", spec.experts * spec.hidden), bias)
        logits = model.linear(x, by)
        read = logits if clamps else model.softmax(model.cast(logits, 4))
        value, index = tape.new(rows, read.element), tape.new(rows, INDEX)
        value = tape.record(value, (read,), (index,))
        if clamps:
            return logits, model.softmax(value), index
        if self.how.float_routes:  # divided in place by their sum: what they were is kept
            total = model.mean(value, self.tokens)
            before = tape.new(rows, 4) if value.node is not None else value
            value = tape.record(Tensor(value.storage, rows, 4), (value, total), (before, total))
            return logits, value, index
        return logits, model.cast(value, logits.element), index

    def experts(self, x: Tensor, scores: Tensor, index: Tensor) -> Tensor:
        """What the experts compute, weighted and summed up for each token."""
        model, tape, spec, rows, h = self.model, self.model.tape, self.spec, self.rows, self.spec.hidden
        wide, clamps = 2 * spec.intermediate, self.how.experts == "clamped"
        order = tape.new(rows, INDEX), tape.new(rows, INDEX)  # experts and tokens, sorted
        token = tape.new(rows, INDEX)
        sorted_x = tape.result(rows * h, (x,), (token,))
        del token
        weights = tape.result(rows, (scores,), (order[1],))
        ends = tape.new(spec.experts, 4)  # of each expert's rows
        biases = self.biases("gate_up", wide, order[0]) if clamps else None
        y = self.grouped("gate_up", sorted_x, (wide, h), ends, biases)
        y = self.clamped(y) if clamps else self.gated(y)
        biases = self.biases("down", h, order[0]) if clamps else None
        y = self.grouped("down", y, (h, spec.intermediate), ends, biases)
        weighted = model.times(y, weights)
        back = tape.new(rows, INDEX)
        counted = tape.new(rows, INDEX)
        del counted
        weighted = tape.result(rows * h, (weighted,), (back,))
        out = tape.record(tape.new(self.tokens * h, weighted.element), (weighted,))
        out = model.cast(out, x.element)
        del index, biases
        return out

    def grouped(
        self, name: str, x: Tensor, shape: tuple[int, int], ends: Tensor, biases: Tensor | None
    ) -> Tensor:
        """A product of each row with the matrix of its expert, and the bias of each row, which is added in place."""
        (rows, columns), tape = shape, self.model.tape
        weight = self.weight(f"experts, {name}", self.spec.experts * rows * columns)
        kept = [other for each, other in ((weight, x), (x, weight)) if each.node is not None]
        out = tape.result(x.number // columns * rows, (weight, x), [*kept, ends])
        if biases is None:
            return out
        return tape.record(Tensor(out.storage, out.number, out.element), (out, biases), passes=True)

    def biases(self, name: str, width: int, order: Tensor) -> Tensor:
        """The bias of each row."""
        table = self.weight(f"experts, {name}, bias", self.spec.experts * width)
        return self.model.tape.result(self.rows * width, (table,), (order,))

    def gated(self, x: Tensor) -> Tensor:
        """The product of the activated half and the other."""
        gate, up = self.model.tape.views(x, (x.number // 2, x.number // 2))
        return self.model.times(self.model.activation(self.spec.activation, gate), up)

    def clamped(self, x: Tensor) -> Tensor:
        """The same of every second number each, between limits; the code holds both until it returns."""
        model, tape, half = self.model, self.model.tape, x.number // 2
        gate, up = (tape.record(Tensor(x.storage, half, x.element), (x,)) for _ in range(2))
        gate, up = model.clamped(gate), model.clamped(up)
        glu = model.times(gate, model.activated(model.scaled(gate)))
        return model.times(model.plus(up), glu)
