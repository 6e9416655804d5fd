"""The state of each open buffer, and the linting thread, which keeps linting from blocking the editor."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from telepathy_lint.findings.violation import Edit, Violation
from telepathy_lint.front_ends.lsp.documents import Buffer, Documents
from telepathy_lint.front_ends.lsp.findings import Analysis, Linter, analyse
from telepathy_lint.front_ends.lsp.settings import EditorSettings, Store

#: Seconds without changes before a buffer is linted, for clients that do not pull diagnostics.
PAUSE = 0.05
#: Seconds to wait for a client's settings before the first buffer is linted without them.
PATIENCE = 3.0
#: Bytes of the linting thread's stack: the parser and the evaluator recurse, and some platforms give threads very little.
_STACK = 64 << 20
_Answer = TypeVar("_Answer")


class State:
    """One open buffer: its last findings, and which of them were published."""

    def __init__(self) -> None:
        self.analysis: Analysis | None = None
        #: Whether to lint the current text, if linting is set to happen on save.
        self.due = True
        self.timer: asyncio.TimerHandle | None = None
        self.task: asyncio.Task[None] | None = None
        #: The documents with published diagnostics.
        self.published: set[str] = set()


class Session:
    """The analyses of all open buffers. Methods are called in the event loop; only `_work` runs in the thread."""

    def __init__(self, documents: Documents, settings: Store) -> None:
        self.documents = documents
        self.settings = settings
        self.states: dict[str, State] = {}
        self.settled = asyncio.Event()
        self._linters: dict[str | None, Linter] = {}
        before = threading.stack_size(_STACK)
        try:
            self._thread = ThreadPoolExecutor(1, "telepathy-lint")
            self._thread.submit(int).result()  # start the thread now, with this stack size
        finally:
            threading.stack_size(before)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def settings_of(self, buffer: Buffer) -> EditorSettings:
        return self.settings.of(buffer.root)

    def linter(self, buffer: Buffer) -> Linter:
        """The linter for the buffer's workspace folder, with the current settings."""
        if buffer.root not in self._linters:
            self._linters[buffer.root] = Linter(self.settings_of(buffer))
        return self._linters[buffer.root]

    def renew(self) -> None:
        """Discard everything that was read, after files or settings have changed."""
        self._linters.clear()

    def state(self, key: str) -> State:
        return self.states.setdefault(key, State())

    def forget(self, key: str) -> State:
        """Discard the state of a closed buffer."""
        state = self.states.pop(key, State())
        self.stop(state)
        return state

    @staticmethod
    def stop(state: State) -> None:
        """Cancel scheduled work."""
        if state.timer is not None:
            state.timer.cancel()

    async def wait_for_settings(self) -> None:
        """Wait for the client's settings, with a limit for clients that never answer."""
        if not self.settled.is_set():
            try:
                await asyncio.wait_for(self.settled.wait(), PATIENCE)
            except (TimeoutError, asyncio.TimeoutError):
                self.settled.set()

    async def run(self, work: Callable[[], _Answer]) -> _Answer:
        """Run a function in the linting thread; a request that is cancelled in the queue is not started."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def analysis(self, uri: str, now: bool = False) -> Analysis | None:
        """The findings of the newest text; None if the document was closed.

        With `now`, the text is linted even if linting is set to happen on save.
        """
        await self.wait_for_settings()
        while (buffer := self.documents.buffer(uri)) is not None:
            state, linter = self.state(buffer.key), self.linter(buffer)
            wait = linter.settings.on_save and not state.due and not now
            if (known := state.analysis) is not None and _holds(known, buffer, linter, wait):
                return known
            done = await self.run(partial(self._work, buffer, linter, state, wait))
            if done is not None:
                return done
            await asyncio.sleep(PAUSE)  # wait for a pause in typing
        return None

    def _work(self, buffer: Buffer, linter: Linter, state: State, wait: bool) -> Analysis | None:
        """Analyse a buffer in the thread; None if the text changed in the meantime."""
        if (known := state.analysis) is not None and _holds(known, buffer, linter, wait):
            return known  # another request has finished it
        if not self.documents.are_at(buffer):
            return None
        done = analyse(buffer, linter, state.analysis, wait)
        if not self.documents.are_at(buffer):
            return None
        state.analysis = done
        return done

    async def edits_of(self, analysis: Analysis, violation: Violation) -> tuple[Edit, ...]:
        """The edits of a finding's fix; no other fix is computed."""
        if violation.fix is None:
            return ()
        return await self.run(partial(analysis.linter.edits_of, analysis.buffer, violation))

    # ---- for clients that do not pull

    def schedule(self, key: str, then: Callable[[str], object], pause: float = PAUSE) -> None:
        """Call `then` after a short pause in typing."""
        state = self.state(key)
        self.stop(state)
        state.timer = asyncio.get_running_loop().call_later(pause, then, key)


def _holds(known: Analysis, buffer: Buffer, linter: Linter, wait: bool) -> bool:
    """Whether findings are valid for this text, these settings and this state of the disk."""
    return known.linter is linter and (known.linted or wait) and known.buffer.same_text(buffer)
