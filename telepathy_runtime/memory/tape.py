"""A tape of a step: which tensors a model's operations create, keep and free, in the order of its code, without torch.

A program (`programs`) calls the operations as the model's code does. A tensor is its size alone. It is freed as Python
frees it, when its last name or the last operation that keeps it for the backward is gone. The backward then goes through
the recorded operations from the last to the first, as autograd does. The largest total of each phase is kept.
"""

from __future__ import annotations

import heapq
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

BLOCK = 512
"""CUDA's caching allocator rounds every tensor up to this many bytes."""
_LEAF = 1 << 60


class Storage:
    """Bytes in memory, of one kind (a component of an instant), until the object is freed."""

    __slots__ = ("__weakref__", "kind", "size", "tape")

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

    __slots__ = (
        "__weakref__",
        "edges",
        "gradient",
        "gradual",
        "made",
        "passes",
        "region",
        "saved",
        "scope",
        "seq",
        "sizes",
        "slots",
        "steps",
        "uses",
        "working",
    )

    def __init__(
        self,
        seq: int,
        edges: tuple[Node | None, ...] = (),
        sizes: tuple[int, ...] = (),
        made: tuple[int, ...] = (),
        scope: str = "",
        passes: bool = False,
        working: int = 0,
    ) -> None:
        self.seq, self.edges, self.scope, self.passes, self.working = seq, edges, scope, passes, working
        self.sizes, self.made = sizes, made  # of the gradients: in the end, and before a sum or a cast
        self.slots: list[Storage] | None = (
            None  # of several outputs: their gradients, which are not summed up
        )
        self.gradual = 0  # many operations alike: what they kept behind the first so many is freed one by one
        self.saved: list[Storage] = []
        self.region: Region | None = None
        self.uses = 0  # of a leaf: operations that read it and have not yet returned a gradient
        self.gradient: Storage | None = None  # of a leaf
        self.steps = (
            -1
        )  # of a leaf: bytes that its step needs in the backward, which frees the gradient; -1: none

    @property
    def leaf(self) -> bool:
        """Whether it is a parameter, or another tensor that no operation made: it keeps its gradient."""
        return self.seq == _LEAF


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
    """The operations of a checkpointed layer: they keep nothing, and are run again when the backward needs it.

    What an operation keeps whose result was dropped is computed again, too, but then not kept.
    """

    def __init__(self, run: Callable[[], object]) -> None:
        self.run = run
        self.nodes: list[weakref.ref[Node]] = []


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
        self.step: Callable[[int, int], int] | None = None
        """With a step in the backward: what it needs for a parameter of so many numbers and bytes of each."""
        self._parameters: list[Node] = []
        self.leaves: list[Tensor] = []
        self._seq = 0
        self._region: Region | None = None
        self._again: list[weakref.ref[Node]] | None = None

    @property
    def repeats(self) -> bool:
        """Whether a checkpointed layer runs again."""
        return self._again is not None

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
        node = Node(_LEAF) if trained and self.trains else None
        if node is not None:
            node.steps = self.step(number, element) if self.step is not None else -1
            self._parameters.append(node)
        return Tensor(Storage(self, 0, "weights"), number, element, node)

    def leaf(self, number: int, element: int) -> Tensor:
        """A new tensor that takes a gradient; the graph keeps both, so the caller has to hold `leaves` as long as the loss."""
        made = self.new(number, element)
        if self.trains:
            made.node = Node(_LEAF)
            if self._again is None:
                self.leaves.append(made)
        return made

    @property
    def parameter_gradients(self) -> int:
        """Bytes of the gradients of all parameters."""
        return sum(node.gradient.size for node in self._parameters if node.gradient is not None)

    def zero_grad(self) -> None:
        """Free the gradients of all parameters."""
        for node in self._parameters:
            node.gradient = None

    @contextmanager
    def part(self, phase: str, kind: str = "activations") -> Iterator[None]:
        """The operations inside belong to this phase and component."""
        before = self.phase, self.kind
        self.phase, self.kind = phase, kind
        yield
        self.phase, self.kind = before

    def record(
        self,
        out: Tensor,
        inputs: Sequence[Tensor | None],
        saved: Sequence[Tensor] = (),
        passes: bool = False,
        made: int = 0,
        working: int = 0,
    ) -> Tensor:
        """Record an operation; its backward makes a gradient of each input, or passes its own on if `passes`.

        `made`: bytes of each gradient before it is summed up or cast to its input's, if they are others. `working`: bytes
        that the backward needs beside its gradients.
        """
        wanted = [each for each in inputs if each is not None and each.node is not None]
        if not wanted:
            return out
        self._seq += 1
        sizes = tuple(each.size for each in wanted)
        first = (made or out.size,) * len(wanted) if made or passes else sizes
        edges = tuple(each.node for each in wanted)
        node = Node(self._seq, edges, sizes, first, self.phase, passes, working)
        kept = [each.storage for each in saved]
        if self._again is not None:
            node.saved = kept  # until this second result is dropped
            if kept:
                self._keep(self._again, kept)
        else:
            for each in wanted:
                assert each.node is not None
                each.node.uses += 1
            if self._region is None:
                node.saved = kept
            elif kept:
                node.region = self._region
                self._region.nodes.append(weakref.ref(node))
        out.node = node
        return out

    def joined(self, out: Tensor, parts: Sequence[Tensor]) -> Tensor:
        """Record that parts were joined to a new tensor: their gradients are views of its own."""
        out = self.record(out, parts, passes=True)
        if out.node is not None:
            out.node.sizes = out.node.made
        return out

    def views(self, x: Tensor, numbers: Sequence[int]) -> list[Tensor]:
        """Parts of a tensor, whose gradients wait for each other and are then joined to one."""
        whole = self.record(Tensor(x.storage, x.number, x.element), (x,))
        if whole.node is not None and whole.node is not x.node:
            whole.node.slots = []
        return [Tensor(x.storage, number, x.element, whole.node) for number in numbers]

    def result(
        self,
        number: int,
        inputs: Sequence[Tensor | None],
        saved: Sequence[Tensor] = (),
        element: int = 0,
        broadcast: bool = False,
        working: int = 0,
    ) -> Tensor:
        """The output of an operation that makes a new tensor, whose backward makes new gradients; `saved` are inputs.

        An operation keeps its inputs before it makes its output, so the last one of a checkpointed layer is not made again.
        """
        first = next(each for each in inputs if each is not None)
        again = self._again
        if again is not None and len(again) == 1 and saved and any(each and each.node for each in inputs):
            self._keep(again, [each.storage for each in saved])
        out = self.new(number, element or first.element)
        return self.record(out, inputs, saved, made=out.size * broadcast, working=working)

    def _keep(self, again: list[weakref.ref[Node]], saved: list[Storage]) -> None:
        """Keep what the next operation of a layer that runs again needs; the last one ends the run."""
        node = again.pop()()
        if node is not None:
            node.saved = saved
        if not again:
            raise _EnoughError

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

    def backward(self, loss: Tensor, holds: bool = False) -> None:
        """Go through the operations from the loss on; what is left are the gradients of the parameters.

        `holds`: the caller has the gradient to begin with, so that it stays until the end.
        """
        self.kind = "transient"
        assert loss.node is not None
        start = loss.node
        loss.node = None
        pending: dict[int, Storage] = {start.seq: Storage(self, loss.size, "transient")}
        held = pending[start.seq] if holds else None
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
            made = self._gradients_of(node, gradient)
            del gradient
            node.saved, node.region, node.slots = [], None, None
            made.reverse()
            for edge in node.edges:
                assert edge is not None
                mine = made.pop()
                edge.uses -= 1
                if edge.leaf:
                    self._accumulate(leaves, edge, mine)
                    del mine
                    continue
                if edge.slots is not None:
                    edge.slots.append(mine)
                elif edge.seq in pending:
                    mine = self._sum(pending.pop(edge.seq), mine)
                pending[edge.seq] = mine
                del mine
                if edge.seq not in waiting:
                    waiting.add(edge.seq)
                    heapq.heappush(ready, (-edge.seq, edge))
            node.edges = ()
        del held
        self.kind = "activations"

    def _gradients_of(self, node: Node, gradient: Storage) -> list[Storage]:
        """The gradients that an operation's backward gives its inputs."""
        if node.gradual:
            first = Storage(self, node.working, "transient")
            del first
            node.saved = node.saved[: node.gradual]
        if node.passes:
            made = [gradient] * len(node.edges)
        else:
            beside = Storage(self, node.working, "transient")
            made = [Storage(self, size, "transient") for size in node.made]
            del beside
        if node.region is not None:
            node.saved = []  # what was computed again is gone before sums and casts
        for number, size in enumerate(node.sizes):
            if size != node.made[number]:
                made[number] = Storage(self, size, "transient")
        return made

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
        elif leaf.steps >= 0:
            Storage(self, leaf.steps, "transient")
        elif leaf.gradient is None:
            leaf.gradient = gradient
