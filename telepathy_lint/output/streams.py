"""Standard output and standard error of a command, which may be closed or on a full disk.

A command always runs to its end, so that its changes on disk and its exit code do not depend on the reader:
- if the reader is gone (`| head -1`), the rest of the output is dropped and the exit code does not change;
- if the output cannot be written (a full disk), one line is printed to standard error and the exit code is 2;
- if standard error cannot be written, its output is dropped.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable

from telepathy_lint.hints import Any

FAILED = 2


class _Raw(io.FileIO):
    """A file descriptor that remembers its first error and accepts all writes after it."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        while self.error is None:
            try:
                written = super().write(data)
            except OSError as error:
                self.error = error
            else:
                if written is not None:
                    return written
                _wait_for(self)  # another process made the descriptor non-blocking
        return memoryview(data).nbytes


def _wait_for(raw: _Raw) -> None:
    import select

    select.select((), (raw,), ())


def run(program: str, command: Callable[[], int]) -> int:
    """Run a command with guarded standard streams. Return its exit code, or 2 if standard output could not be written.

    A stream that is not a file, such as one installed by a test or a notebook, is used unchanged.
    """
    _open_missing()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _guarded(sys.stdout), _guarded(sys.stderr)
    try:
        code = command()
        sys.stdout.flush()
        error = error_of(sys.stdout)
        if error is not None and not isinstance(error, BrokenPipeError):
            print(f"{program}: error: standard output cannot be written: {error.strerror}", file=sys.stderr)
            return FAILED
        return code
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            sys.stdout, sys.stderr = before


def error_of(stream: Any) -> OSError | None:
    """The error from writing to a guarded stream; None if there was none."""
    raw = _raw_of(stream)
    return raw.error if isinstance(raw, _Raw) else None


def is_lost(stream: Any) -> bool:
    """Whether the reader of a guarded stream is gone; works even before anything is written."""
    raw = _raw_of(stream)
    if not isinstance(raw, _Raw) or raw.error is not None:
        return isinstance(raw, _Raw)
    try:
        import select

        poll = select.poll()
        poll.register(raw, 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (ImportError, AttributeError, OSError):  # Windows has no poll
        return False


def _raw_of(stream: Any) -> Any:
    buffer = getattr(stream, "buffer", None)
    return getattr(buffer, "raw", buffer)


def _guarded(stream: Any) -> Any:
    """A guarded stream on the same descriptor, which also escapes characters that it cannot encode."""
    raw = _raw_of(stream)
    if not isinstance(raw, io.FileIO):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
        return stream
    stream.flush()
    guarded: Any = _Raw(raw.fileno(), "wb", closefd=False)
    if raw is not stream.buffer:  # under `python -u` there is no buffer
        guarded = io.BufferedWriter(guarded)
    return io.TextIOWrapper(
        guarded,
        encoding=stream.encoding,
        errors="backslashreplace",
        newline=None if os.name == "nt" else "\n",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _open_missing() -> None:
    """Open the null device for standard streams that the caller closed (`>&-`), which are None in Python."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The operating system assigns the lowest free descriptor, which is the missing one.
            null = open(os.devnull, mode, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
            setattr(sys, name, null)
