"""Work spread over forked processes, with a result for every item even where a process dies."""

from __future__ import annotations

import gc
import os
import select
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Bytes of Python below which a second process costs more than it saves.
WORTH_FORKING = 300_000


def processes(wanted: int | None, items: int, size: int) -> int:
    """How many processes to use for `items` files of `size` bytes together; one where forking is not to be had."""
    if not hasattr(os, "fork") or items < 2:
        return 1
    if wanted is not None:
        return min(wanted, items)
    if size < WORTH_FORKING:
        return 1
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(min(available, items, size // (WORTH_FORKING // 2)), 1)


class Collector:
    """Stands in for Python's garbage collection, which is off: trees of many files together would fill the memory.

    What survives is kept for good, such as what was read of the project's modules, so it is not looked through again.
    """

    #: Bytes of source whose remains are worth a collection.
    STEP = 16_000_000

    def __init__(self) -> None:
        self.seen = 0

    def add(self, size: int) -> None:
        self.seen += size
        if self.seen >= self.STEP:
            self.seen = 0
            gc.collect()
            gc.freeze()


class Pool(Generic[Item, Result]):
    """Runs `work` on every item; the parent takes a share itself, and `lost` stands in for a result that died."""

    def __init__(
        self,
        work: Callable[[Item], Result],
        lost: Callable[[Item, str], Result],
        done: Callable[[int], None] = lambda count: None,
    ) -> None:
        self.work = work
        self.lost = lost
        self.done = done
        self.results: dict[int, Result] = {}
        self.sizes: Sequence[int] = ()

    def run(self, items: Sequence[Item], sizes: Sequence[int], count: int) -> list[Result]:
        self.sizes = sizes
        shares = _shares(sizes, count)
        children = [self._start(items, share) for share in shares[1:]]
        collector = Collector()
        for index in shares[0]:
            self.results[index] = self.work(items[index])
            collector.add(sizes[index])
            for child in children:
                child.drain(self.results, wait=False)
            self.done(len(self.results))
        for child in children:
            self._finish(child, items)
        return [self.results[index] for index in range(len(items))]

    def _start(self, items: Sequence[Item], share: list[int]) -> _Child:
        gc.freeze()  # what exists now stays shared with the child instead of being copied by its collections
        reading, writing = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writing)
            return _Child(pid, reading, share)
        status = 1
        try:
            import pickle

            os.close(reading)
            collector = Collector()
            with os.fdopen(writing, "wb") as pipe:
                for index in share:
                    data = pickle.dumps((index, self.work(items[index])), pickle.HIGHEST_PROTOCOL)
                    pipe.write(len(data).to_bytes(8, "big") + data)
                    pipe.flush()
                    collector.add(self.sizes[index])
            status = 0
        finally:
            os._exit(status)  # no cleanup, no buffers and no exit handlers of the parent's

    def _finish(self, child: _Child, items: Sequence[Item]) -> None:
        """Wait for a child; where it died, the item it was at is lost and another child does the rest."""
        while True:
            while child.drain(self.results, wait=True):
                self.done(len(self.results))
            _, status = os.waitpid(child.pid, 0)
            left = [index for index in child.share if index not in self.results]
            if not left:
                return
            signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            how = f"signal {signal}" if signal else f"exit status {os.waitstatus_to_exitcode(status)}"
            self.results[left[0]] = self.lost(items[left[0]], how)
            if not left[1:]:
                return
            child = self._start(items, left[1:])


class _Child:
    def __init__(self, pid: int, reading: int, share: list[int]) -> None:
        self.pid = pid
        self.reading = reading
        self.share = share
        self.buffer = bytearray()
        self.open = True

    def drain(self, results: dict[int, Result], wait: bool) -> bool:
        """Take what the child has sent; False when there is no more to come (or, without `wait`, nothing yet)."""
        import pickle

        while self.open and (wait or select.select([self.reading], [], [], 0)[0]):
            data = os.read(self.reading, 1 << 20)
            if not data:
                os.close(self.reading)
                self.open = False
                return False
            self.buffer += data
            while len(self.buffer) >= 8 and len(self.buffer) >= 8 + (
                size := int.from_bytes(self.buffer[:8], "big")
            ):
                index, result = pickle.loads(self.buffer[8 : 8 + size])
                del self.buffer[: 8 + size]
                results[index] = result
            if wait:
                return True
        return False


def _shares(sizes: Sequence[int], count: int) -> list[list[int]]:
    """Indices dealt out so that every process has about as many bytes; each share in the order given."""
    shares: list[list[int]] = [[] for _ in range(count)]
    loads = [0] * count
    for index in sorted(range(len(sizes)), key=lambda index: (-sizes[index], index)):
        least = loads.index(min(loads))
        shares[least].append(index)
        loads[least] += sizes[index]
    return [sorted(share) for share in shares]
