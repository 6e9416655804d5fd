"""A progress bar on a terminal, for long runs."""

from __future__ import annotations

import sys
import time
from types import TracebackType

#: Seconds before the bar appears.
_PATIENCE = 1.0


class Progress:
    """Called with the number of finished files; clears its line at the end."""

    def __init__(self, quiet: bool) -> None:
        self.shows = not quiet and sys.stderr.isatty()
        self.began = time.monotonic()
        self.shown = False

    def __call__(self, done: int, all_: int) -> None:
        if self.shows and time.monotonic() - self.began > _PATIENCE:
            width = 30
            bar = "#" * (width * done // all_)
            sys.stderr.write(f"\r[{bar:<{width}}] {done}/{all_} files")
            sys.stderr.flush()
            self.shown = True

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
