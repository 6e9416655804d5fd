"""One line on the terminal with the memory of the last step, rewritten after each step."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TextIO

from telepathy_runtime.memory.devices import Measured
from telepathy_runtime.memory.units import gib


class Live:
    """Rewrites one line of a terminal; writes nothing where the stream is not a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._on = self._stream.isatty()
        self._written = False

    def show(self, step: int, measured: Sequence[Measured], planned: int | None) -> None:
        """Replace the line."""
        if not self._on:
            return
        # A line as wide as the terminal would wrap, and could not be rewritten.
        room = max(shutil.get_terminal_size().columns - 1, 20)
        text = line(step, measured, planned)
        shown = text if len(text) <= room else f"{text[: room - 3]}..."
        self._stream.write(f"\r\x1b[K{shown}")
        self._stream.flush()
        self._written = True

    def close(self) -> None:
        """End the line, so that what is printed next begins on its own."""
        if self._written:
            self._stream.write("\n")
            self._stream.flush()
            self._written = False


def line(step: int, measured: Sequence[Measured], planned: int | None) -> str:
    """The step and, for each device, what is allocated, the peak, the plan and the capacity; resident memory on a CPU."""
    return "  ".join([f"step {step}", *(_device(each, planned) for each in measured)])


def _device(measured: Measured, planned: int | None) -> str:
    total = f" of {gib(measured.total_bytes)}" if measured.total_bytes else ""
    if measured.allocated is None:
        held = gib(measured.rss) if measured.rss is not None else "not measured"
        return f"{measured.device} {held} resident{total}"
    parts = [f"{measured.device} {gib(measured.allocated)}{total}"]
    if measured.max_allocated is not None:
        plan = f" (plan {gib(planned)})" if planned else ""
        parts.append(f"peak {gib(measured.max_allocated)}{plan}")
    return ", ".join(parts)
