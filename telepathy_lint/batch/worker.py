"""A process that examines records, so that a record that hangs or crashes it costs only that record.

`Worker` is the parent's side. `python -m telepathy_lint.batch.worker` is the other side: it reads a plan and then
records from standard input, and writes one result for each record to standard output, all of them pickled.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from telepathy_lint.batch.records import Examined, Plan, examine, failed

#: Seconds that one record may take.
TIMEOUT = 30.0
#: Bytes of memory that a worker may use. A file of 1 MB needs about 100 MB.
MEMORY = 2 << 30
#: The folder that contains the package.
_HERE = Path(__file__).parents[2]


class Worker:
    """Examines records in another process. Close it, or use it in a `with` statement."""

    def __init__(self, plan: Plan, timeout: float = TIMEOUT, memory: int = MEMORY) -> None:
        self.plan = plan
        self.timeout = timeout
        self.memory = memory
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.SimpleQueue[Examined | None] = queue.SimpleQueue()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def examine(self, path: object, content: object) -> Examined:
        """Examine one record. Never raises for its contents: a crash or a timeout is the result's `error`."""
        process = self._process or self._start()
        try:
            _send(process.stdin, (path, content))
            answer = self._answers.get(timeout=self.timeout)
        except queue.Empty:
            self.close()
            return failed(f"it took longer than {self.timeout:g} s")
        except OSError:  # the process has ended, so nothing reads from the pipe
            answer = None
        if answer is None:
            status = process.wait()
            self._process = None
            return failed(f"it ended the process that examined it ({_how(status)})")
        return answer

    def close(self) -> None:
        """End the process; a later record starts a new one."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "telepathy_lint.batch.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Python imports from the current folder first, which may have a module with the name of another.
            cwd=_HERE,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(path for path in map(os.path.abspath, filter(None, sys.path))),
            },
        )
        # A queue of its own: a late answer of an earlier process must not be taken for one of this process.
        self._answers = queue.SimpleQueue()
        threading.Thread(target=_receive, args=(process.stdout, self._answers), daemon=True).start()
        self._process = process
        with contextlib.suppress(OSError):  # the first record reports it
            _send(process.stdin, (self.plan, self.memory))
        return process


def _send(pipe: IO[bytes] | None, message: Any) -> None:
    assert pipe is not None
    pickle.dump(message, pipe, pickle.HIGHEST_PROTOCOL)
    pipe.flush()


def _receive(pipe: IO[bytes], answers: queue.SimpleQueue[Examined | None]) -> None:
    """Put every answer into the queue, and None at the end."""
    with pipe:
        try:
            while True:
                answers.put(pickle.load(pipe))
        except (EOFError, OSError, pickle.UnpicklingError):
            answers.put(None)


def _how(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def _limit_memory(limit: int) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or limit <= hard:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def main() -> None:
    from telepathy_lint.run.processes import Collector

    receiving = sys.stdin.buffer
    sending = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a stray print must not get between the answers
    plan, memory = pickle.load(receiving)
    _limit_memory(memory)
    gc.disable()  # trees are freed when they are closed
    collector = Collector()
    while True:
        try:
            path, content = pickle.load(receiving)
        except EOFError:
            return
        _send(sending, examine(path, content, plan))
        collector.add(len(content) if isinstance(content, str | bytes) else 0)


if __name__ == "__main__":
    main()
