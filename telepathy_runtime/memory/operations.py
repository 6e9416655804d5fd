"""The operations of transformers' models on a tape: what each makes, and what it keeps for its backward."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from telepathy_runtime.memory.families import ACTIVATIONS
from telepathy_runtime.memory.tape import BLOCK, Tape, Tensor

Pieces = Sequence[tuple[int, int]]
"""Numbers of several tensors: of one, and how many there are of it."""


class Matrix:
    """A linear layer's weight and bias."""

    __slots__ = ("bias", "columns", "rows", "weight")

    def __init__(self, rows: int, columns: int, weight: Tensor, bias: Tensor | None) -> None:
        self.rows, self.columns, self.weight, self.bias = rows, columns, weight, bias


class Model:
    """The parameters and the operations of one model; `element` is the size of its dtype, `training` the mode of dropout.

    `half`: the size of the numbers that autocast computes products with; 0 without autocast. It keeps the copy of each
    weight until its context ends (`end_autocast`).
    """

    def __init__(self, tape: Tape, element: int, trained: bool, training: bool, half: int = 0) -> None:
        self.tape, self.element, self.trained, self.training = tape, element, trained, training
        self.half = half
        self._copies: dict[int, Tensor] = {}
        self.params = 0
        self._reached = True
        self.copied_sizes: list[int] = []
        """Of each part of a module that is trained as a copy, and is no parameter of the model: its numbers."""
        self.trained_sizes: list[tuple[int, int]] = []
        """Of each trained parameter in order: its numbers, and those of Adafactor's means of rows and columns."""

    @contextmanager
    def unread(self, there: bool = True) -> Iterator[None]:
        """The parameters that are made inside have no gradient, as no loss reads their outputs; `there`: whether this is so."""
        before, self._reached = self._reached, not there
        yield
        self._reached = before

    def vector(self, number: int, means: int = 0) -> Tensor:
        """A parameter; `means` are its rows and columns if it has both."""
        self.params += number
        if self.trained and self._reached:
            self.trained_sizes.append((number, means or number))
        return self.tape.parameter(number, self.element, self.trained)

    def table(self, rows: int, columns: int) -> Tensor:
        """A parameter of two dimensions."""
        return self.vector(rows * columns, rows + columns)

    def copy_of_module(self, number: int) -> Tensor:
        """The parameters of a module that is trained as a copy beside adapters (PEFT's modules_to_save)."""
        self.copied_sizes.append(number)
        return self.tape.parameter(number, self.element, trained=True)

    def constant(self, number: int) -> Tensor:
        """A parameter that takes no gradient."""
        self.params += number
        return self.tape.parameter(number, self.element, trained=False)

    def matrix(self, rows: int, columns: int, bias: bool = True, weight: Tensor | None = None) -> Matrix:
        """A linear layer; one with `weight` shares another's."""
        weight = self.table(rows, columns) if weight is None else weight
        return Matrix(rows, columns, weight, self.vector(rows) if bias else None)

    def end_autocast(self) -> None:
        """Free the copies of weights that autocast keeps."""
        self._copies.clear()

    def lower(self, x: Tensor, weight: bool = False) -> Tensor:
        """What a product reads: a copy in autocast's 16 bits, of a weight that takes gradients one copy for the whole forward."""
        if not self.half or x.element == self.half:
            return x
        frozen = self.tape.trains and x.node is None
        if not weight or frozen or self.tape.repeats:
            return self.cast(x, self.half)
        if id(x) not in self._copies:
            self._copies[id(x)] = self.cast(x, self.half)
        return self._copies[id(x)]

    def raised(self, x: Tensor) -> Tensor:
        """What autocast computes in 32 bits: a copy in these."""
        return self.cast(x, 4) if self.half else x

    def linear(self, x: Tensor, by: Matrix) -> Tensor:
        """A product with a matrix, which keeps what the gradients of both need."""
        x, weight = self.lower(x), self.lower(by.weight, weight=True)
        bias = None if by.bias is None else self.lower(by.bias, weight=True)
        kept = [other for each, other in ((weight, x), (x, weight)) if each.node is not None]
        inputs = (weight, x) if bias is None else (x, weight, bias)
        return self.tape.result(x.number // by.columns * by.rows, inputs, kept, x.element)

    def unpacked(self, x: Tensor, by: Matrix) -> Tensor:
        """A product with a quantised matrix, which is unpacked for it, and again for its backward."""
        x = self.lower(x)
        whole = self.tape.new(by.rows * by.columns, x.element)
        return self.tape.result(x.number // by.columns * by.rows, (x,), element=x.element, working=whole.size)

    def adapters(self, rank: int, rows: int, columns: int, element: int) -> tuple[Matrix, Matrix]:
        """The two matrices of a LoRA adapter, which are no parameters of the model."""
        down = self.tape.parameter(rank * columns, element, trained=True)
        up = self.tape.parameter(rows * rank, element, trained=True)
        return Matrix(rank, columns, down, None), Matrix(rows, rank, up, None)

    def adapted(
        self, x: Tensor, by: Matrix, adapters: tuple[Matrix, Matrix] | None, dropout: bool = False
    ) -> Tensor:
        """A product with a matrix that has a LoRA adapter; the sum is cast back to the product's dtype."""
        out = self.linear(x, by)
        if adapters is None:
            return out
        element = out.element
        x = self.cast(x, adapters[0].weight.element)
        dropped = self.dropout(x, dropout)
        inner = self.linear(dropped, adapters[0])
        del dropped
        out = self.add(out, self.scaled(self.linear(inner, adapters[1])))
        return self.cast(out, element)

    def embed(self, table: Tensor, tokens: int, width: int, index: Tensor | None = None) -> Tensor:
        """Rows of a table, by numbers of eight bytes, which it keeps."""
        return self.tape.result(tokens * width, (table,), () if index is None else (index,))

    def layer_norm(self, x: Tensor, norm: tuple[Tensor, ...], width: int) -> Tensor:
        """Torch's kernel, which keeps its input, and a mean and a scale for each token."""
        x = self.raised(x)
        out = self.tape.new(x.number, x.element)
        both = self.tape.new(x.number // width, 4), self.tape.new(x.number // width, 4)
        return self.tape.record(out, (x, *norm), (x, *both))

    def norm(self, width: int) -> tuple[Tensor, Tensor]:
        """The parameters of a LayerNorm."""
        return self.vector(width), self.vector(width)

    def kernel(self, x: Tensor) -> Tensor:
        """An activation in one kernel, which keeps its input."""
        return self.tape.result(x.number, (x,), (x,))

    def dropout(self, x: Tensor, on: bool) -> Tensor:
        """Dropout, which keeps a mask of one byte an element."""
        if not on or not self.training:
            return x
        out, mask = self.tape.new(x.number, x.element), self.tape.new(x.number, 1)
        return self.tape.record(out, (x,), (mask,))

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """A sum, which keeps nothing and whose gradient is that of both parts."""
        out = self.tape.new(max(x.number, y.number), max(x.element, y.element))
        return self.tape.record(out, (x, y), passes=True)

    def first(self, x: Tensor, head: Sequence[Tensor], number: int) -> Tensor:
        """A small head, a matrix after the other, that reads a part of a tensor, whose gradient is as large as the whole."""
        out = self.tape.record(Tensor(x.storage, number, x.element), (x,))
        for each in head:
            weight = self.lower(each, weight=True)
            out = self.tape.record(Tensor(x.storage, number, x.element), (out, weight), (weight,))
        return out

    def scaled(self, x: Tensor) -> Tensor:
        """A product with a number, which checkpointing does not count among what an operation keeps."""
        return self.tape.result(x.number, (x,))

    def copied(self, x: Tensor) -> Tensor:
        """A copy in another order.

        Its gradient may be a copy, too; by then, attention has freed more than that, so no peak shows it.
        """
        return self.tape.record(self.tape.new(x.number, x.element), (x,), passes=True)

    def times(self, x: Tensor, y: Tensor) -> Tensor:
        """A product of two tensors, of which one may be smaller or narrower; it keeps what the other's gradient needs."""
        kept = [other for each, other in ((x, y), (y, x)) if each.node is not None]
        return self.tape.result(
            max(x.number, y.number), (x, y), kept, max(x.element, y.element), broadcast=True
        )

    def cast(self, x: Tensor, element: int) -> Tensor:
        """A copy with elements of another size."""
        return x if x.element == element else self.tape.record(self.tape.new(x.number, element), (x,))

    def power(self, x: Tensor) -> Tensor:
        """A power, which keeps its input; its backward makes another power and a product beside the gradient."""
        x = self.raised(x)
        return self.tape.result(x.number, (x,), (x,), working=2 * x.size)

    def mean(self, x: Tensor, number: int) -> Tensor:
        """The mean of each row."""
        return self.tape.record(self.tape.new(number, x.element), (x,))

    def inverse_root(self, x: Tensor) -> Tensor:
        """One over the square root, which keeps its output."""
        out = self.tape.new(x.number, x.element)
        return self.tape.record(out, (x,), (out,), working=2 * x.size)

    def plus(self, x: Tensor) -> Tensor:
        """A sum with a number."""
        return self.tape.record(self.tape.new(x.number, x.element), (x,), passes=True)

    def activated(self, x: Tensor) -> Tensor:
        """An activation in one kernel that keeps its output: relu, tanh."""
        out = self.tape.new(x.number, x.element)
        return self.tape.record(out, (x,), (out,))

    def activation(self, name: str, x: Tensor) -> Tensor:
        """The activation that a config names."""
        if name == "quick_gelu":
            return self.times(x, self.activated(self.scaled(x)))
        several, keeps_output = ACTIVATIONS.get(name, (1, False))
        if several > 1:
            return self.gelu_new(x)
        return self.activated(x) if keeps_output else self.kernel(x)

    def gelu_new(self, x: Tensor) -> Tensor:
        """The activation in single operations."""
        half = self.scaled(x)
        cube = self.power(x)
        cube = self.scaled(cube)
        inner = self.add(x, cube)
        del cube
        inner = self.scaled(inner)
        inner = self.activated(inner)
        inner = self.plus(inner)
        return self.times(half, inner)

    def convolved(self, x: Tensor, by: Matrix, number: int) -> Tensor:
        """A convolution, which keeps its input; a row of the matrix are all weights of a channel."""
        x, weight = self.lower(x), self.lower(by.weight, weight=True)
        bias = None if by.bias is None else self.lower(by.bias, weight=True)
        return self.tape.result(number, (x, weight, bias), (x, weight), x.element)

    def row_of_each(self, table: Tensor, index: Tensor, width: int) -> Tensor:
        """Rows of a table, taken with an index: its gradient is made from zeros."""
        out = self.tape.new(index.number * width, table.element)
        return self.tape.record(out, (table,), (index,), working=table.size)

    def clamped(self, x: Tensor) -> Tensor:
        """A tensor between two numbers, which keeps its input; its backward makes two masks."""
        return self.tape.result(x.number, (x,), (x,), working=2 * x.number)

    def raised_norm(
        self, x: Tensor, weight: Tensor, width: int, in_float: bool = False, held: bool = False
    ) -> Tensor:
        """The same of a copy in 32 bits, as in Llama; weighted in the dtype of its input, or before, in 32 bits.

        `held`: the code still holds the unweighted numbers when it converts the weighted ones.
        """
        element = x.element
        x = self.cast(x, 4)
        mean = self.mean(self.power(x), x.number // width)
        x = self.times(x, self.inverse_root(self.plus(mean)))
        if in_float:
            unweighted = x if held else None
            x = self.times(x, weight if held else self.cast(weight, 4))
            x = self.cast(x, element)
            del unweighted
            return x
        return self.times(weight, self.cast(x, element))

    def rms_norm(self, x: Tensor, weight: Tensor, width: int) -> Tensor:
        """A norm without a mean, in single operations: scaled in 32 bits, and weighted in the dtype of its weight."""
        wide = self.power(self.cast(x, 4))
        scale = self.mean(wide, x.number // width)
        del wide
        y = self.times(x, self.inverse_root(self.plus(scale)))
        y = self.cast(y, weight.element)
        return self.times(weight, y)

    def viewed(self, x: Tensor) -> Tensor:
        """Another view, whose gradient is in another order and is copied."""
        out = Tensor(x.storage, x.number, x.element)
        return self.tape.record(out, (x,))

    def flash(self, q: Tensor, k: Tensor, v: Tensor, rows: int, bias: Tensor | None = None) -> Tensor:
        """Fused attention, which keeps its inputs, its output and a number for each of `rows` (a query of a head)."""
        q, k, v = (self.lower(each) for each in (q, k, v))
        out, sums = self.tape.new(q.number, q.element), self.tape.new(rows, 4)
        random = self.tape.new(1, 8), self.tape.new(1, 8)
        kept = [q, k, v, out, sums, *random]
        unread = sum(
            each.size for each in (q, k, v) if each.node is None
        )  # the kernel makes all three gradients
        return self.tape.record(out, (q, k, v), kept if bias is None else [*kept, bias], working=unread)

    def flash_pieces(self, parts: Sequence[Tensor], numbers: Pieces, rows: Pieces) -> Tensor:
        """Fused attention of each piece of a sequence alone: pieces of so many numbers, and so many queries of heads."""
        q, k, v = (self.lower(each) for each in parts)
        out, sums = self.pieces(numbers, q.element), self.pieces(rows, 4)
        random = self.pieces([(1, 2 * sum(many for _, many in rows))], 8)
        unread = sum(each.size for each in (q, k, v) if each.node is None)
        out = self.tape.record(out, (q, k, v), [q, k, v, out, sums, random], working=unread)
        if out.node is not None:
            out.node.gradual = 3
        return out

    def eager_pieces(self, parts: Sequence[Tensor], numbers: Pieces, pairs: Pieces) -> Tensor:
        """The same in single operations, of which those of one piece are at work at a time."""
        q, k, v = (self.lower(each) for each in parts)
        most, element = max(pairs)[0], q.element
        kept = [self.pieces(pairs, 4), self.pieces(pairs, element)] if self.tape.trains and q.node else []
        at_work = self.tape.new(most, element + 4 + 4 * (not kept))
        del at_work
        # The gradients of a piece's weights, in 32 bits, where its weights in 16 are freed.
        beside = (8 - element) * most
        out = self.tape.record(self.pieces(numbers, element), (q, k, v), [q, k, v, *kept], working=beside)
        if out.node is not None:
            out.node.gradual = 3
        return out

    def pieces(self, sizes: Pieces, element: int) -> Tensor:
        """Several tensors without a gradient, each rounded up as by the allocator."""
        bytes_of = sum(many * -(-each * element // BLOCK) * BLOCK for each, many in sizes)
        made = self.tape.new(bytes_of, 1)
        return Tensor(made.storage, sum(each * many for each, many in sizes), element)

    def matmul(self, x: Tensor, y: Tensor, number: int) -> Tensor:
        """A product of two activations, which keeps what the gradients of both need."""
        x, y = self.lower(x), self.lower(y)
        kept = [other for each, other in ((y, x), (x, y)) if each.node is not None]
        return self.tape.result(number, (x, y), kept)

    def softmax(self, x: Tensor) -> Tensor:
        """A softmax, which keeps its output."""
        x = self.raised(x)
        out = self.tape.new(x.number, x.element)
        return self.tape.record(out, (x,), (out,))

    def eager(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        batch: int,
        pairs: int,
        dropout: bool,
        added: Sequence[Tensor | None],
        cached: bool = False,
        ordered: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Attention in single operations, in the weights' dtype: its output and its weights, which the layer holds.

        `added` to the scores: a mask, a bias. `ordered`: the inputs are in the order of the heads; `cached`: keys and values are.
        """
        cached, several = cached or ordered, batch > 1
        q = q if ordered else self.viewed(q)
        if not cached:
            k, v = self.viewed(k), self.viewed(v)
        again = several and not cached
        left = self.copied(q) if several and not ordered else q
        scores = self.matmul(left, self.copied(k) if again else k, pairs)
        del left
        scores = self.scaled(scores)
        for each in added:
            if each is not None:
                scores = self.add(scores, each)
        weights = self.softmax(scores)
        del scores
        weights = self.dropout(weights, dropout)
        out = self.matmul(weights, self.copied(v) if again else v, q.number)
        return self.copied(out), weights

    def cross_entropy(self, logits: Tensor) -> Tensor:
        """The loss in the logits' dtype, or under autocast in 32 bits, which keeps their log-softmax."""
        logs = self.softmax(logits)
        return self.tape.result(1, (logs,))
