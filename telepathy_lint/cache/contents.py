"""Tells whether files have changed: by their time stamps if these are reliable, otherwise by reading them."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Mapping
from contextlib import suppress

#: Modification time, change time, size, inode; files with different contents have different stamps.
Stamp = tuple[int, int, int, int]
#: The digest of a content, and the stamp of its file, or None if the stamp is not reliable.
Known = tuple[str, Stamp | None]

#: The digest of a file that cannot be read.
UNREADABLE = ""
#: A file may change again within the same tick of its file system's clock (up to two seconds). A stamp is
#: unreliable if the change is not older than this.
_TICK = 2_000_000_000


class Contents:
    """Digests of files in this run; `known` are the digests from an earlier run."""

    def __init__(self, known: Mapping[str, Known] | None = None) -> None:
        self.known = known or {}
        self.seen: dict[str, Known] = {}
        self._around: dict[str, str] = {}

    def digest(self, path: str) -> str:
        """Return the digest of a file's content (by absolute path), without reading it if its stamp is known."""
        seen = self.seen.get(path)
        if seen is None:
            known = self.known.get(path)
            if known is not None and known[1] is not None and known[1] == _stamp(path):
                seen = self.seen[path] = known
            else:
                with suppress(OSError):
                    self.read(path)
                seen = self.seen[path]
        return seen[0]

    def digest_around(self, folder: str) -> str:
        """A digest of all files in the project of a folder that findings may depend on."""
        if folder not in self._around:
            from telepathy_lint.flow.import_resolution import Listing, project_files, project_root

            root = project_root(folder)
            python, texts, is_repository = project_files(root) if root is not None else Listing(None, None)
            lines = [
                f"{root} {is_repository}",
                *(f"{path} {self.digest(path)}" for path in (*(python or ()), *(texts or ()))),
            ]
            self._around[folder] = digest_of("\n".join(lines).encode("utf-8", "surrogateescape"))
        return self._around[folder]

    def read(self, path: str) -> bytes:
        """Read a file and remember its digest."""
        self.seen[path] = (UNREADABLE, None)
        with open(path, "rb", buffering=0) as file:
            status = os.fstat(file.fileno())  # before reading: a change during reading gives another stamp
            data = file.read()
        if stat.S_ISREG(status.st_mode):  # a pipe can be read only once
            stamp = _stamp_of(status)
            self.seen[path] = (digest_of(data), stamp if _is_old(stamp) else None)
        return data


def digest_of(data: bytes) -> str:
    try:
        from _blake2 import (
            blake2b,
        )  # not hashlib.blake2b, which would load OpenSSL: 4 MB and 3 ms
    except ImportError:
        from hashlib import blake2b

    return blake2b(data, digest_size=16).hexdigest()


def _stamp(path: str) -> Stamp | None:
    try:
        return _stamp_of(os.stat(path))
    except OSError:
        return None


def _stamp_of(status: os.stat_result) -> Stamp:
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def _is_old(stamp: Stamp) -> bool:
    return time.time_ns() - max(stamp[0], stamp[1]) > _TICK
