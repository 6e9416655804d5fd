"""Reads and writes a cache file: a checksum, an index, and the results one after the other. It is written atomically.

The file contains JSON and a checksum, nothing that could run code. A truncated, foreign or outdated file is ignored.
"""

from __future__ import annotations

import os
import stat
import time
import zlib
from contextlib import suppress

from telepathy_lint.cache import place
from telepathy_lint.cache.contents import Known
from telepathy_lint.hints import Any, NamedTuple

_MAGIC = b"telepathy-lint cache 1\n"
_HEAD = len(_MAGIC) + 8
#: Larger files are not read. When writing, the most recently used entries are kept up to this size.
MAX_BYTES = 64 << 20
MAX_TOTAL = 256 << 20
#: Maximum number of cache files in one folder (each version, format and set of options has its own), and days
#: until an unused one is removed.
_MAX_FILES = 32
_MAX_DAYS = 30

#: A dependency of a result: ("pkg", "/folder", "/folder/pkg.py") for an import from a folder ("" if nothing
#: was found), ("/folder/pkg.py", "digest") for a file's content, ("*", "/folder", "digest") for all
#: Python files, documents and scripts of the project around a folder, and ("?", "/folder", "digest", "answer", ...) for
#: the answer (its digest) to a question about them, which is only asked again if these have changed.
Fact = tuple[str, ...]


class StoreError(Exception):
    """The file is not a valid cache file, or not for this kind of run."""


class Entry(NamedTuple):
    """The entry of one file: its digest when it was linted, the key, the dependencies, and the result."""

    digest: str
    key: str
    #: The file cannot contain anything relevant, so there is no result.
    idle: bool
    facts: tuple[Fact, ...]
    result: bytes
    #: The day of last use.
    day: int


class Stored(NamedTuple):
    """The content of a cache file; entries are decoded when they are needed."""

    keys: list[str]
    facts: list[Fact]
    stamps: dict[str, Known]
    rows: dict[str, list[Any]]
    results: bytes

    def entry(self, path: str) -> Entry | None:
        row = self.rows.get(path)
        if row is None:
            return None
        digest, key, idle, facts, start, end, day = row
        return Entry(
            digest,
            self.keys[key],
            bool(idle),
            tuple([self.facts[number] for number in facts]),
            self.results[start:end],
            int(day),
        )


def today() -> int:
    return int(time.time() // 86400)


def read(path: str, purpose: str) -> Stored:
    """Read a cache file for this kind of run.

    Raises:
        OSError, StoreError: the file cannot be used.
    """
    import json  # most runs over one or two files do not need it

    with open(path, "rb", buffering=0, opener=_plainly) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
            raise StoreError("too large, or no file")
        data = file.read()
    size, checksum = (int.from_bytes(data[at : at + 4], "big") for at in (_HEAD - 8, _HEAD - 4))
    body = memoryview(data)[_HEAD:]
    if not data.startswith(_MAGIC) or zlib.crc32(body) != checksum:
        raise StoreError("damaged, or no cache")
    try:
        index = json.loads(bytes(body[:size]))
        if index["purpose"] != purpose:
            raise StoreError("of another version")
        stamps: dict[str, Known] = {
            path: (digest, (changed, status, length, inode))
            for path, (digest, changed, status, length, inode) in index["stamps"].items()
        }
        facts = [tuple(fact) for fact in index["facts"]]
        return Stored(list(index["keys"]), facts, stamps, dict(index["rows"]), bytes(body[size:]))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise StoreError(str(error)) from error


def _plainly(path: str, flags: int) -> int:
    """Open a regular file, without following links or waiting for pipes."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def write(path: str, purpose: str, entries: dict[str, Entry], stamps: dict[str, Known]) -> None:
    """Replace a cache file, and remove files that have not been used for long.

    Raises:
        OSError: the file cannot be written; the old one is unchanged.
    """
    oldest = today() - _MAX_DAYS
    kept = {path: each for path, each in entries.items() if each.day >= oldest}
    data = _packed(purpose, kept, stamps)
    while len(data) > MAX_BYTES and kept:
        newest = sorted(kept, key=lambda path: -kept[path].day)[: len(kept) // 2]
        kept = {path: kept[path] for path in newest}
        data = _packed(purpose, kept, stamps)
    temporary = f"{path}.{os.urandom(4).hex()}.tmp"
    try:
        with open(temporary, "xb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _prune(os.path.dirname(path), path)


def _packed(purpose: str, entries: dict[str, Entry], stamps: dict[str, Known]) -> bytes:
    import json

    keys: dict[str, int] = {}
    facts: dict[Fact, int] = {}
    rows: dict[str, list[Any]] = {}
    results = bytearray()
    for path, each in entries.items():
        start = len(results)
        results += each.result
        rows[path] = [
            each.digest,
            keys.setdefault(each.key, len(keys)),
            int(each.idle),
            [facts.setdefault(fact, len(facts)) for fact in each.facts],
            start,
            len(results),
            each.day,
        ]
    named = {*rows, *(fact[0] for fact in facts if len(fact) == 2)}
    index = {
        "purpose": purpose,
        "keys": list(keys),
        "facts": list(facts),
        "stamps": {
            path: (known[0], *known[1])
            for path in named
            if (known := stamps.get(path)) is not None and known[1] is not None
        },
        "rows": rows,
    }
    head = json.dumps(index, separators=(",", ":")).encode("ascii")
    body = head + results
    numbers = (len(head), zlib.crc32(body))
    return _MAGIC + b"".join(number.to_bytes(4, "big") for number in numbers) + body


def _prune(folder: str, newest: str) -> None:
    """Remove cache files that have not been used for long, and the oldest ones if there are too many or they are too large."""
    with suppress(OSError):
        found = [(entry.stat(), entry.path) for entry in place.files(folder) if entry.path != newest]
        found.sort(key=lambda each: -each[0].st_mtime)
        oldest, total = time.time() - _MAX_DAYS * 86400, os.path.getsize(newest)
        for number, (status, path) in enumerate(found, 2):
            total += status.st_size
            if status.st_mtime < oldest or number > _MAX_FILES or total > MAX_TOTAL:
                os.unlink(path)
