"""Spreads work over forked processes, and returns a result for every item even if a process dies."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence

from telepathy_lint.hints import Any, BinaryIO, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Bytes of Python code below which a second process costs more than it saves.
WORTH_FORKING = 300_000


def processes(wanted: int | None, items: int, size: int) -> int:
    """The number of processes for `items` files with `size` bytes in total; 1 if the system cannot fork."""
    if not hasattr(os, "fork") or items < 2:
        return 1
    if wanted is not None:
        return min(wanted, items)
    if size < WORTH_FORKING:
        return 1
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(min(available, items, size // (WORTH_FORKING // 2)), 1)


class Collector:
    """Replaces Python's garbage collection, which is off: without it, the trees of many files would fill the memory.

    Objects that survive, such as the project's modules, are frozen so that later collections skip them.
    """

    #: Bytes of source after which a collection is worthwhile.
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
    """Runs `work` on every item in several processes, including the parent. `lost` makes the result if a process died.

    A process takes the next share when it has finished one, because the size of a file does not predict its time.
    """

    def __init__(
        self,
        work: Callable[[Item], Result],
        lost: Callable[[Item, str], Result],
        done: Callable[[int], None] = lambda count: None,
    ) -> None:
        self.work = work
        self.lost = lost
        self.done = done
        self.items: Sequence[Item] = ()
        self.sizes: Sequence[int] = ()
        self.results: dict[int, Result] = {}

    def run(self, items: Sequence[Item], sizes: Sequence[int], count: int) -> list[Result]:
        self.items, self.sizes = items, sizes
        shares = _shares(sizes, count)
        turns = _Turns(len(shares))
        children = [self._start(shares, turns) for _ in range(count - 1)]
        collector = Collector()
        for turn in turns:
            for index in shares[turn]:
                self.results[index] = self.work(items[index])
                collector.add(sizes[index])
                for child in children:
                    child.drain(self.results, wait=False)
                self.done(len(self.results))
        for child in children:
            self._finish(child)
        # A child that died before it reported its share leaves all of it undone.
        while left := [index for index in range(len(items)) if index not in self.results]:
            self._do_apart(left)
        return [self.results[index] for index in range(len(items))]

    def _start(self, shares: list[list[int]], turns: _Turns) -> _Child:
        gc.freeze()  # so that collections in the child do not copy shared memory
        reading, writing = os.pipe()
        pid = os.fork()
        if pid:
            os.close(writing)
            return _Child(pid, reading)
        status = 1
        try:
            os.close(reading)
            collector = Collector()
            with os.fdopen(writing, "wb") as pipe:
                for turn in turns:
                    _send(pipe, shares[turn])
                    for index in shares[turn]:
                        _send(pipe, (index, self.work(self.items[index])))
                        collector.add(self.sizes[index])
            status = 0
        finally:
            os._exit(status)  # skip the parent's cleanup, buffers and exit handlers

    def _finish(self, child: _Child) -> None:
        """Wait for a child. If it died, its current item is lost, and another child does the rest of its share."""
        while child.drain(self.results, wait=True):
            self.done(len(self.results))
        _, status = os.waitpid(child.pid, 0)
        left = [index for index in child.taken if index not in self.results]
        if left:
            signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            how = f"signal {signal}" if signal else f"exit status {os.waitstatus_to_exitcode(status)}"
            self.results[left[0]] = self.lost(self.items[left[0]], how)
            if left[1:]:
                self._do_apart(left[1:])

    def _do_apart(self, share: list[int]) -> None:
        child = self._start([share], _Turns(1))
        child.taken = share
        self._finish(child)


class _Turns:
    """Hands out the numbers from 0 to `count` - 1, each to one process, through a pipe that is filled before the fork."""

    def __init__(self, count: int) -> None:
        self._reading, writing = os.pipe()
        os.write(writing, b"".join(number.to_bytes(2, "big") for number in range(count)))
        os.close(writing)

    def __iter__(self) -> Iterator[int]:
        while taken := os.read(self._reading, 2):
            yield int.from_bytes(taken, "big")

    def __del__(self) -> None:
        os.close(self._reading)


class _Child:
    def __init__(self, pid: int, reading: int) -> None:
        self.pid = pid
        self.reading = reading
        self.taken: list[int] = []  # its current share
        self.buffer = bytearray()
        self.open = True

    def drain(self, results: dict[int, Any], wait: bool) -> bool:
        """Read the child's results. Return False at the end (or, without `wait`, if there is nothing yet)."""
        import pickle
        import select

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
                message = pickle.loads(self.buffer[8 : 8 + size])
                del self.buffer[: 8 + size]
                if isinstance(message, list):
                    self.taken = message
                else:
                    results[message[0]] = message[1]
            if wait:
                return True
        return False


def _send(pipe: BinaryIO, message: object) -> None:
    import pickle

    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    pipe.write(len(data).to_bytes(8, "big") + data)
    pipe.flush()


#: Shares per process, so that no process waits long for the last one; and the maximum in total, to fit into a pipe.
_SHARES, _MOST_SHARES = 32, 4096


def _shares(sizes: Sequence[int], count: int) -> list[list[int]]:
    """Split the indices into shares of about equal size: large files alone and first, then neighbours together.

    Neighbouring files import the same modules, which a process reads only once.
    """
    limit = sum(sizes) // min(count * _SHARES, _MOST_SHARES) + 1
    large = sorted(
        (index for index, size in enumerate(sizes) if size >= limit), key=lambda index: -sizes[index]
    )
    shares = [[index] for index in large]
    share: list[int] = []
    held = 0
    for index, size in enumerate(sizes):
        if size < limit:
            if held + size > limit:
                shares.append(share)
                share, held = [], 0
            share.append(index)
            held += size
    return [*shares, share] if share else shares
