"""Results of earlier runs, for files of which nothing has changed that they rest on.

A result is known by the file's content, the settings and rules that held for it, what the run wanted, the versions of
everything that worked on it, and the facts it rests on: where imports led (or that they led nowhere), and what the files
held that were read there. Whatever goes wrong with the cache itself, a run does without it.
"""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from telepathy_lint.cache import place, store
from telepathy_lint.cache.contents import UNREADABLE, Contents, Known
from telepathy_lint.cache.store import Entry, Fact
from telepathy_lint.flow.import_resolution import ModuleFiles

if TYPE_CHECKING:
    from telepathy_lint.findings.result import FileResult

#: What a damaged or forged file can make of its own entries.
_UNUSABLE = (TypeError, ValueError, LookupError, AttributeError)


class Grounds(NamedTuple):
    """What one result rests on beside its own file: plain data that comes back from a worker process."""

    facts: tuple[Fact, ...] = ()
    stamps: tuple[tuple[str, Known], ...] = ()


NO_GROUNDS = Grounds()


class Hit(NamedTuple):
    """What is known of a file: its result, None where it cannot hold anything of interest."""

    result: FileResult | None


class Cache:
    """The results of one kind of run, in one file: for a project and its settings, and for a task."""

    def __init__(self, folder: str, kind: str, task: str, versions: Callable[[], str]) -> None:
        self._folder = folder
        # Each linter that is used here, such as pre-commit's and the project's own, has its file.
        name = f"{kind} {task} {sys.version} {__file__}"
        self._path = os.path.join(folder, f"{zlib.crc32(name.encode('utf-8', 'surrogateescape')):08x}.cache")
        self._task = task
        self._versions = versions
        self._module_files = ModuleFiles()
        self._holds: dict[Fact, bool] = {}
        #: What this run found out or found confirmed; None for what is not to be kept.
        self._entries: dict[str, Entry | None] = {}
        self._changed = False
        #: Results that this run found here.
        self.hits = 0

    @cached_property
    def _purpose(self) -> str:
        return f"{self._task}\n{self._versions()}"

    @cached_property
    def _stored(self) -> store.Stored:
        return self._read()

    def _read(self) -> store.Stored:
        try:
            return store.read(self._path, self._purpose)
        except (OSError, store.StoreError):
            return store.Stored([], [], {}, {}, b"")

    @cached_property
    def contents(self) -> Contents:
        """What the run reads goes through here."""
        return Contents(self._stored.stamps)

    def has_key(self, start: str) -> bool:
        """Whether a result is kept under a key that starts like this."""
        return any(key.startswith(start) for key in self._stored.keys if isinstance(key, str))

    def find(self, path: str, shown: str, key: Callable[[bool], str]) -> Hit | None:
        """What is known of a file (its absolute path, and what the user calls it); None where it must be looked at.

        `key` says what holds for the file: all of it, or only what makes it one that cannot matter.
        """
        try:
            entry = self._stored.entry(path)
            if entry is None or entry.key != key(entry.idle) or entry.digest != self.contents.digest(path):
                return None
            if not all(self._still_holds(fact) for fact in entry.facts):
                return None
            hit = Hit(None if entry.idle else self._decoded(entry.result, shown))
        except _UNUSABLE:
            return None
        if entry.day != store.today():
            entry, self._changed = entry._replace(day=store.today()), True
        self._entries[path] = entry
        self.hits += not entry.idle
        return hit

    @staticmethod
    def _decoded(data: bytes, shown: str) -> FileResult:
        from telepathy_lint.cache.rows import RowError, decoded

        try:
            return decoded(data, shown)
        except RowError as error:
            raise ValueError(str(error)) from error

    def _still_holds(self, fact: Fact) -> bool:
        if fact not in self._holds:
            if len(fact) == 2:
                path, digest = fact
                self._holds[fact] = self.contents.digest(path) == digest
            else:
                module, folder, led_to = fact
                self._holds[fact] = (self._module_files.find(module, folder) or "") == led_to
        return self._holds[fact]

    def keep(
        self, path: str, digest: str, key: str, result: FileResult | None, grounds: Grounds = NO_GROUNDS
    ) -> None:
        """Remember the result of a file with this content (None: it cannot hold anything of interest)."""
        from telepathy_lint.cache.rows import encoded

        self._changed = True
        if digest == UNREADABLE or (
            result is not None and (result.passing or result.output is not None or result.comments)
        ):
            self._entries[path] = None
            return
        for other, seen in grounds.stamps:
            self.contents.seen.setdefault(other, seen)
        data = encoded(result) if result is not None else b""
        self._entries[path] = Entry(digest, key, result is None, grounds.facts, data, store.today())

    def save(self) -> None:
        """Write what this run found out, beside what other runs know of other files."""
        if not self._changed and not self._entries:
            return  # nobody asked
        seen = {path: known for path, known in self.contents.seen.items() if known[1] is not None}
        known = self.contents.known
        if not self._changed and all(known.get(path) == each for path, each in seen.items()):
            return
        if not place.prepare(self._folder):
            return
        stored = self._read()  # once more: another run may have written meanwhile
        entries = {path: entry for path in stored.rows if (entry := self._other(stored, path)) is not None}
        entries.update((path, entry) for path, entry in self._entries.items() if entry is not None)
        with suppress(OSError):  # a full disk, a read-only tree: the next run finds out anew
            store.write(self._path, self._purpose, entries, {**stored.stamps, **seen})

    def _other(self, stored: store.Stored, path: str) -> Entry | None:
        """The entry of a file that this run has nothing to say about."""
        if path in self._entries:
            return None
        try:
            return stored.entry(path)
        except _UNUSABLE:
            return None


def grounds(asked: Iterable[tuple[str, str, str | None]], contents: Contents) -> Grounds:
    """What a result rests on, from the imports followed for it (`Modules.asked`)."""
    facts: dict[Fact, None] = {}
    stamps: dict[str, Known] = {}
    for asker, module, found in asked:
        facts[module, os.path.dirname(asker), found or ""] = None
        if found is not None:
            facts[found, contents.digest(found)] = None
            stamps[found] = contents.seen[found]
    return Grounds(tuple(facts), tuple(stamps.items()))
