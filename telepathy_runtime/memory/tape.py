"""A tape of a step: which tensors a model's operations create, keep and free, in the order of its code, without torch.

A program (`programs`) calls the operations as the model's code does. A tensor is its size alone. It is freed as Python
frees it, when its last name or the last operation that keeps it for the backward is gone. The backward then goes through
the recorded operations from the last to the first, as autograd does. The largest total of each phase is kept.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

BLOCK = 512
"""CUDA's caching allocator rounds every tensor up to this many bytes."""


class Storage:
    """Bytes in memory, of one kind (a component of an instant), until the object is freed."""

    __slots__ = ("kind", "size", "tape")

    def __init__(self, tape: Tape, size: int, kind: str) -> None:
        self.tape, self.size, self.kind = tape, -(-size // BLOCK) * BLOCK, kind
        tape.count(kind, self.size)

    def __del__(self) -> None:
        self.tape.alive[self.kind] -= self.size

    def becomes(self, kind: str) -> None:
        """Count the bytes as another component."""
        self.tape.alive[self.kind] -= self.size
        self.kind = kind
        self.tape.alive[kind] += self.size


class Node:
    """An operation whose backward is to come."""

    __slots__ = ("edges", "passes", "region", "saved", "scope", "seq", "sizes", "uses")

    def __init__(
        self, seq: int, edges: tuple[Node | None, ...], sizes: tuple[int, ...], scope: str, passes: bool
    ) -> None:
        self.seq, self.edges, self.sizes, self.scope, self.passes = seq, edges, sizes, scope, passes
        self.saved: list[Storage] = []
        self.region: Region | None = None
        self.uses = 0  # of a parameter: operations that read it and have not yet returned a gradient


class Tensor:
    """A tensor of `number` elements of `element` bytes; `node` is what its gradient goes to."""

    __slots__ = ("element", "node", "number", "storage")

    def __init__(self, storage: Storage, number: int, element: int, node: Node | None = None) -> None:
        self.storage, self.number, self.element, self.node = storage, number, element, node

    @property
    def size(self) -> int:
        """Bytes."""
        return self.number * self.element


class Region:
    """The operations of a checkpointed layer: they keep nothing, and are run again when the backward needs it."""

    def __init__(self, run: Callable[[], object]) -> None:
        self.run = run
        self.nodes: list[Node] = []


class _EnoughError(Exception):
    """All that the backward needs was computed again."""


class Tape:
    """Runs a program, and keeps the largest total of each phase, by component."""

    def __init__(self, kinds: Sequence[str], trains: bool) -> None:
        self.alive = dict.fromkeys(kinds, 0)
        self.best: dict[str, tuple[int, dict[str, int]]] = {}
        self.phase = ""
        self.kind = "activations"
        self.trains = trains
        self.gradients: dict[int, Storage] = {}
        self._seq = 0
        self._region: Region | None = None
        self._again: list[Node] | None = None

    def count(self, kind: str, size: int) -> None:
        """Add bytes that are now in memory."""
        self.alive[kind] += size
        total = sum(self.alive.values())
        known = self.best.get(self.phase)
        if known is None or total > known[0]:
            self.best[self.phase] = total, dict(self.alive)

    def new(self, number: int, element: int) -> Tensor:
        """A tensor without a gradient."""
        return Tensor(Storage(self, number * element, self.kind), number, element)

    def parameter(self, number: int, element: int, trained: bool) -> Tensor:
        """A weight, whose bytes are counted elsewhere."""
        node = Node(1 << 60, (), (), "", False) if trained and self.trains else None
        return Tensor(Storage(self, 0, "weights"), number, element, node)

    @contextmanager
    def part(self, phase: str, kind: str = "activations") -> Iterator[None]:
        """The operations inside belong to this phase and component."""
        before = self.phase, self.kind
        self.phase, self.kind = phase, kind
        yield
        self.phase, self.kind = before

    def record(
        self, out: Tensor, inputs: Sequence[Tensor | None], saved: Sequence[Tensor] = (), passes: bool = False
    ) -> Tensor:
        """Record an operation; its backward makes a gradient of each input, or passes its own on if `passes`."""
        wanted = [each for each in inputs if each is not None and each.node is not None]
        if not wanted:
            return out
        self._seq += 1
        node = Node(
            self._seq,
            tuple(each.node for each in wanted),
            tuple(each.size for each in wanted),
            self.phase,
            passes,
        )
        kept = [each.storage for each in saved]
        if self._again is not None:
            if not passes:
                self._again.pop().saved = kept
            if not self._again:
                raise _EnoughError
        else:
            for each in wanted:
                assert each.node is not None
                each.node.uses += 1
            if self._region is None:
                node.saved = kept
            elif not passes:
                node.region = self._region
                self._region.nodes.append(node)
        out.node = node
        return out

    def result(
        self, number: int, inputs: Sequence[Tensor | None], saved: Sequence[Tensor] = (), element: int = 0
    ) -> Tensor:
        """The output of an operation that makes a new tensor, whose backward makes new gradients."""
        first = next(each for each in inputs if each is not None)
        return self.record(self.new(number, element or first.element), inputs, saved)

    def checkpoint(self, run: Callable[[], Any]) -> Any:
        """Run a layer that keeps nothing but its input, which `run` holds."""
        if not self.trains:
            return run()
        self._region = Region(run)
        out = run()
        self._region = None
        return out

    def _recompute(self, region: Region) -> None:
        self._again = list(reversed(region.nodes))
        kind, self.kind = self.kind, "activations"
        with suppress(_EnoughError):
            region.run()
        self._again, self.kind = None, kind
        region.nodes = []

    def backward(self, loss: Tensor) -> None:
        """Go through the operations from the loss on; what is left are the gradients of the parameters."""
        self.kind = "transient"
        assert loss.node is not None
        start = loss.node
        loss.node = None
        pending: dict[int, Storage] = {start.seq: Storage(self, loss.size, "transient")}
        ready = [(-start.seq, start)]
        waiting = {start.seq}
        leaves: dict[int, Storage] = {}
        del start
        while ready:
            _, node = heapq.heappop(ready)
            self.phase = f"{node.scope}, backward"
            if node.region is not None and node.region.nodes:
                self._recompute(node.region)
            gradient = pending.pop(node.seq)
            if node.passes:
                made = [gradient] * len(node.edges)
            else:
                made = [Storage(self, size, "transient") for size in node.sizes]
            del gradient
            node.saved, node.region = [], None
            made.reverse()
            for edge in node.edges:
                assert edge is not None
                mine = made.pop()
                edge.uses -= 1
                if edge.seq == 1 << 60:
                    self._accumulate(leaves, edge, mine)
                    del mine
                    continue
                if edge.seq in pending:
                    mine = self._sum(pending.pop(edge.seq), mine)
                pending[edge.seq] = mine
                del mine
                if edge.seq not in waiting:
                    waiting.add(edge.seq)
                    heapq.heappush(ready, (-edge.seq, edge))
            node.edges = ()
        self.kind = "activations"

    def _sum(self, one: Storage, other: Storage) -> Storage:
        """A third tensor: autograd adds two gradients of one tensor without changing either."""
        return Storage(self, max(one.size, other.size), one.kind)

    def _accumulate(self, leaves: dict[int, Storage], leaf: Node, gradient: Storage) -> None:
        """The gradient of a parameter; one that several operations read waits for all of them."""
        key = id(leaf)
        gradient.becomes("gradients")
        if key in leaves:
            gradient = self._sum(leaves.pop(key), gradient)
        if leaf.uses:
            leaves[key] = gradient
        elif key not in self.gradients:
            self.gradients[key] = gradient
