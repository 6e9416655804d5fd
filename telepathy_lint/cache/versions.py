"""The versions that a result depends on: our own code and the Python that runs it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from telepathy_lint._version import __version__


def versions() -> str:
    """A text that differs if results may differ. It also changes with our own source code, without a new version."""
    parts = [__version__, sys.version]
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # If our files are not on disk, as in a zip archive, only the version number is used.
    for package in (folder, os.path.join(os.path.dirname(folder), "telepathy_runtime")):
        with suppress(OSError):
            parts += sorted(_stamps(package, package))
    return "\n".join(parts)


def _stamps(folder: str, package: str) -> list[str]:
    found: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name == "__pycache__":
                continue
            if entry.is_dir():
                found += _stamps(entry.path, package)
            elif not entry.name.endswith((".pyc", ".pyo")):
                found.append(f"{entry.path[len(package) :]} {_stamp(entry.stat())}")
    return found


def _stamp(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns} {status.st_size}"
