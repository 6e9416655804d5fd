"""The step of DeBERTa v2 and v3 on a tape: attention reads contents, and the distances between them in two ways.

As the published models are configured: distances in buckets, normed, and read by the matrices of queries and keys; no table of positions.
"""

from __future__ import annotations

from functools import partial

from telepathy_runtime.memory.operations import Matrix, Model
from telepathy_runtime.memory.programs import Program, checkpointed, given
from telepathy_runtime.memory.tape import Tape, Tensor
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import ModelSpec, NotModelledError


class _Layer:
    """The parameters of one layer."""

    def __init__(self, model: Model, h: int, i: int) -> None:
        self.q, self.k, self.v, self.o = (model.matrix(h, h) for _ in range(4))
        self.attended = model.norm(h)
        self.up, self.down = model.matrix(i, h), model.matrix(h, i)
        self.normed = model.norm(h)


class _Convolution:
    """The parameters of what DeBERTa v2 adds to the first layer: each output reads three tokens."""

    def __init__(self, model: Model, h: int) -> None:
        # Adafactor takes a convolution's weight for one small matrix of each channel.
        weight = model.vector(3 * h * h, h * h + 3 * h)
        self.matrix, self.norm = Matrix(h, 3 * h, weight, model.vector(h)), model.norm(h)


def deberta(tape: Tape, model: Model, spec: ModelSpec, work: Workload) -> Program:
    """DeBERTa v2 and v3, with a masked language model's head, one that reads the first token, or none."""
    if not spec.relative_buckets or work.regime not in ("inference", "full"):
        unlike = "with other positions than published, or another activation than gelu,"
        what = f"in the regime {work.regime}" if spec.relative_buckets else unlike
        raise NotModelledError(f"activations of {spec.architecture} {what} have no closed form")
    h = spec.hidden
    words, norm = model.table(spec.vocab, h), model.norm(h)
    layers = [_Layer(model, h, spec.intermediate) for _ in range(spec.layers)]
    distances, normed = model.table(2 * spec.relative_buckets, h), model.norm(h)
    language, square, convolved = h * h + 3 * h + spec.vocab, h * h + h, 3 * h * h + 3 * h
    left = spec.params - model.params
    convolution = _Convolution(model, h) if left >= convolved and spec.convolved else None
    left = spec.params - model.params
    dense = last = head_norm = None
    other: list[Tensor] = []
    if left == language and spec.head_rows < 0:
        dense, head_norm = model.matrix(h, h), model.norm(h)
        last = model.matrix(spec.vocab, h, weight=words)
    elif left:  # a pooler's matrix, and a classifier's
        first = square * (left >= square)
        other = [model.vector(each, 3 * h if each == square else 0) for each in (first, left - first) if each]
    run = _Run(tape, model, spec, work)
    read = given(model, work, spec.max_positions)

    def forward() -> tuple[list[Tensor], list[Tensor]]:
        with tape.part("embedding"):
            kinds = tape.new(work.tokens, 8)
            embedded = x = run.embeddings(words, norm)
            held = run.start(distances, normed)
        states = [x]  # of all layers, until the encoder is done
        for number, layer in enumerate(layers):
            with tape.part(f"layer {number + 1}"):
                x = checkpointed(tape, work, partial(run.layer, layer=layer, held=held), x)
                if number == 0 and convolution is not None:
                    x = run.convolution(embedded, x, convolution)
            states.append(x)
        del embedded, kinds
        states.clear()
        del held
        if dense is None or head_norm is None or last is None:
            with tape.part("head"):
                return [model.first(x, other, work.batch * h)], [read]
        with tape.part("head"):
            y = model.linear(x, dense)
            y = model.kernel(y)
            y = model.layer_norm(y, head_norm, h)
        with tape.part("head", "logits"):
            y = model.linear(y, last)
        return [y], [read, x]

    return forward


class _Run:
    """The operations of one forward; the encoder holds its mask, the distances and their embeddings for all layers."""

    def __init__(self, tape: Tape, model: Model, spec: ModelSpec, work: Workload) -> None:
        self.tape, self.model, self.spec, self.work = tape, model, spec, work
        self.pairs = work.batch * spec.heads * work.seq_len**2
        self.span = 2 * spec.relative_buckets

    def embeddings(self, words: Tensor, norm: tuple[Tensor, Tensor]) -> Tensor:
        """Words alone: the code makes zeros for positions, and sets tokens outside of the mask to zero."""
        model, h, tokens = self.model, self.spec.hidden, self.work.tokens
        word = model.embed(words, tokens, h)
        zeros = self.tape.new(word.number, word.element)
        x = model.layer_norm(word, norm, h)
        x = self.masked(x)
        x = model.dropout(x, self.spec.dropout)
        del word, zeros
        return x

    def masked(self, x: Tensor) -> Tensor:
        """A product with one number a token."""
        return self.tape.result(x.number, (x,), (self.tape.new(self.work.tokens, x.element),))

    def start(self, table: Tensor, norm: tuple[Tensor, Tensor]) -> list[Tensor]:
        """What all layers read: a mask and a distance for each pair of tokens, in eight bytes, and the distances' embeddings."""
        new, square = self.tape.new, self.work.seq_len**2
        mask = new(self.work.batch * square, 8)
        apart, sign = new(square, 8), new(square, 8)
        near, size = new(square, 1), new(square, 8)
        size = new(square, 8)
        del near
        for _ in range(6):
            far = new(square, 4)
        closer, whole, signed = new(square, 1), new(square, 4), new(square, 4)
        bucket = new(square, 4)
        del closer, whole, signed, far, size, sign
        index = new(square, 8)
        del apart, bucket
        return [mask, index, self.model.layer_norm(table, norm, self.spec.hidden)]

    def layer(self, x: Tensor, layer: _Layer, held: list[Tensor]) -> Tensor:
        """One layer's output."""
        context = self.attention(x, layer, held[-1])
        attended = self.block(context, layer.o, x, layer.attended)
        del context
        wide = self.model.kernel(self.model.linear(attended, layer.up))
        return self.block(wide, layer.down, attended, layer.normed)

    def block(self, x: Tensor, by: Matrix, beside: Tensor, norm: tuple[Tensor, Tensor]) -> Tensor:
        """A product, added to what is beside it and normed."""
        y = self.model.linear(x, by)
        y = self.model.dropout(y, self.spec.dropout)
        return self.model.layer_norm(self.model.add(y, beside), norm, self.spec.hidden)

    def heads(self, x: Tensor, by: Matrix) -> Tensor:
        """A product in the order of the heads."""
        y = self.model.linear(x, by)
        y = self.model.viewed(y)
        return self.model.copied(y)

    def attention(self, x: Tensor, layer: _Layer, distances: Tensor) -> Tensor:
        """The context of each token."""
        model, spec, tape = self.model, self.spec, self.tape
        q, k, v = (self.heads(x, each) for each in (layer.q, layer.k, layer.v))
        scores = model.matmul(q, self.over(k), self.pairs)
        # The code holds these until it returns.
        distances = model.dropout(distances, spec.dropout)
        bias = self.bias(q, k, distances, layer)
        scores = model.add(scores, bias)
        allowed, other = (tape.new(self.work.batch * self.work.seq_len**2, 1) for _ in range(2))
        scores = tape.result(scores.number, (scores,), (other,))
        del other
        weights = model.softmax(scores)
        weights = model.dropout(weights, spec.attention_dropout)
        out = model.matmul(weights, v, q.number)
        out = model.viewed(out)
        out = model.copied(out)
        del allowed, distances, bias
        return out

    def over(self, x: Tensor) -> Tensor:
        """A quotient by a number, which the operation keeps."""
        return self.tape.result(x.number, (x,), (self.tape.new(1, 4),))

    def bias(self, q: Tensor, k: Tensor, distances: Tensor, layer: _Layer) -> Tensor:
        """What the distances add to the scores: of contents to positions, and of positions to contents."""
        positions = [self.repeated(self.heads(distances, each)) for each in (layer.q, layer.k)]
        to_positions, index = self.looked_up(q, positions[1])
        score = self.model.plus(self.over(to_positions))
        to_contents, other_index = self.looked_up(k, positions[0])
        part = self.over(to_contents)
        self.tape.record(score, (score, part), passes=True)  # in its place
        del to_positions, index, to_contents, other_index
        return score

    def repeated(self, x: Tensor) -> Tensor:
        """A copy for each sequence."""
        return self.tape.result(x.number * self.work.batch, (x,))

    def looked_up(self, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Of the scores of all distances, that of each pair, and the index."""
        tape, square = self.tape, self.work.seq_len**2
        every = self.model.matmul(
            x, positions, self.work.batch * self.spec.heads * self.work.seq_len * self.span
        )
        moved = tape.new(square, 8)
        index = tape.new(square, 8)
        del moved
        found = tape.result(self.pairs, (every,), (every, index), working=every.size)
        return found, index

    def convolution(self, x: Tensor, first: Tensor, by: _Convolution) -> Tensor:
        """The first layer's output, to which a convolution of the embeddings is added."""
        model = self.model
        turned = model.copied(x)
        y = model.convolved(turned, by.matrix, x.number)
        del turned
        y = model.copied(y)
        y = self.tape.record(y, (y,), (self.tape.new(self.work.tokens, 1),))
        y = model.kernel(model.dropout(y, self.spec.dropout))
        whole = model.add(first, y)
        return self.masked(model.layer_norm(whole, by.norm, self.spec.hidden))
