"""Caches results between runs, for files whose dependencies have not changed.

A cached result depends on the file's content, its settings and rules, the options of the run, the versions of the
software, the imports that were followed: where they led (or that they led nowhere), and the content of the files
there, and the answers of the project around it to what the findings asked. Errors in the cache are never fatal; the run continues without it.
"""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property

from telepathy_lint.cache import place, store
from telepathy_lint.cache.contents import UNREADABLE, Contents, Known, digest_of
from telepathy_lint.cache.store import Entry, Fact
from telepathy_lint.flow.import_resolution import ModuleFiles
from telepathy_lint.hints import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from telepathy_lint.findings.result import FileResult
    from telepathy_lint.flow.project import Modules

#: Errors that damaged or forged entries can cause.
_UNUSABLE = (TypeError, ValueError, LookupError, AttributeError)


#: The first element of a fact about all files of a project, and of one about the answer to a question about them; no
#: module has these names.
_ALL_FILES, _ANSWER = "*", "?"


class Grounds(NamedTuple):
    """The dependencies of a result other than its own file: plain data that comes back from a worker process."""

    facts: tuple[Fact, ...] = ()
    stamps: tuple[tuple[str, Known], ...] = ()


NO_GROUNDS = Grounds()


class Hit(NamedTuple):
    """A cached entry: the file's result, or None if the file cannot contain anything relevant."""

    result: FileResult | None


class Cache:
    """The results of one kind of run, in one file: for a project and its settings, and for a task."""

    def __init__(self, folder: str, kind: str, task: str, versions: Callable[[], str]) -> None:
        self._folder = folder
        # Each installed linter, such as pre-commit's and the project's own, has its own file.
        name = f"{kind} {task} {sys.version} {__file__}"
        self._path = os.path.join(folder, f"{zlib.crc32(name.encode('utf-8', 'surrogateescape')):08x}.cache")
        self._task = task
        self._versions = versions
        self._module_files = ModuleFiles()
        self._holds: dict[Fact, bool] = {}
        #: The entries of this run, found valid or new; None if a result must not be stored.
        self._entries: dict[str, Entry | None] = {}
        self._changed = False
        #: Number of results found in the cache.
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
        """The file contents of this run; all reads go through it."""
        return Contents(self._stored.stamps)

    def has_key(self, start: str) -> bool:
        """Whether there is a cached result whose key starts with this text."""
        return any(key.startswith(start) for key in self._stored.keys if isinstance(key, str))

    def entry(self, path: str) -> Entry | None:
        """The stored entry of a file (by absolute path); the caller compares its key with the current one."""
        try:
            return self._stored.entry(path)
        except _UNUSABLE:
            return None

    def find(self, path: str, entry: Entry, shown: str) -> Hit | None:
        """Return the result in an entry, for a file that users call `shown`; None if its dependencies have changed."""
        try:
            if entry.digest != self.contents.digest(path):
                return None
            facts = tuple([self._renewed(fact) for fact in entry.facts if self._still_holds(fact)])
            if len(facts) < len(entry.facts):
                return None
            hit = Hit(None if entry.idle else self._decoded(entry.result, shown))
        except _UNUSABLE:
            return None
        if entry.day != store.today() or facts != entry.facts:
            entry, self._changed = entry._replace(day=store.today(), facts=facts), True
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
            if fact[0] == _ALL_FILES:
                self._holds[fact] = self.contents.digest_around(fact[1]) == fact[2]
            elif fact[0] == _ANSWER:
                self._holds[fact] = self._is_answered_alike(fact)
            elif len(fact) == 2:
                path, digest = fact
                self._holds[fact] = self.contents.digest(path) == digest
            else:
                module, folder, led_to = fact
                self._holds[fact] = (self._module_files.find(module, folder) or "") == led_to
        return self._holds[fact]

    def _is_answered_alike(self, fact: Fact) -> bool:
        """Whether the project would answer a question as before; it is not asked if none of its files have changed."""
        _, folder, digest, answer, *question = fact
        if self.contents.digest_around(folder) == digest:
            return True
        return _digest(self.modules.answer(folder, tuple(question))) == answer

    def _renewed(self, fact: Fact) -> Fact:
        """A fact that holds, for the next run: an answer is known for the files as they are now."""
        if fact[0] != _ANSWER:
            return fact
        _, folder, _, *rest = fact
        return (_ANSWER, folder, self.contents.digest_around(folder), *rest)

    @cached_property
    def modules(self) -> Modules:
        """The modules and projects of this run, as the cache knows them."""
        from telepathy_lint.flow.project import Modules  # only if something has changed

        return Modules(self.contents.read)

    def keep(
        self, path: str, digest: str, key: str, result: FileResult | None, grounds: Grounds = NO_GROUNDS
    ) -> None:
        """Store the result of a file with this content (None: it cannot contain anything relevant)."""
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
        """Write the results of this run, and keep those of other runs about other files."""
        if not self._changed and not self._entries:
            return  # unused in this run
        seen = {path: known for path, known in self.contents.seen.items() if known[1] is not None}
        known = self.contents.known
        if not self._changed and all(known.get(path) == each for path, each in seen.items()):
            return
        if not place.prepare(self._folder):
            return
        stored = self._read()  # read again, because another run may have written it
        entries = {path: entry for path in stored.rows if (entry := self._other(stored, path)) is not None}
        entries.update((path, entry) for path, entry in self._entries.items() if entry is not None)
        with suppress(OSError):  # a full disk or a read-only folder: the next run lints again
            store.write(self._path, self._purpose, entries, {**stored.stamps, **seen})

    def _other(self, stored: store.Stored, path: str) -> Entry | None:
        """The entry of a file that was not part of this run."""
        if path in self._entries:
            return None
        try:
            return stored.entry(path)
        except _UNUSABLE:
            return None


def grounds(path: str, modules: Modules, contents: Contents) -> Grounds:
    """The dependencies of the result of a file: the imports that were followed for it, and what was asked of its project."""
    from telepathy_lint.flow.questions import EVERYTHING

    facts: dict[Fact, None] = {}
    stamps: dict[str, Known] = {}
    read = list(modules.files_read(path))
    for asker, module, found in modules.asked(path):
        facts[module, os.path.dirname(asker), found or ""] = None
        if found is not None:
            read.append(found)
    for each in read:
        facts[each, contents.digest(each)] = None
        stamps[each] = contents.seen[each]
    folder = os.path.dirname(os.path.abspath(path))
    for question in modules.questions(path):
        around = contents.digest_around(folder)
        if question == EVERYTHING:
            facts[_ALL_FILES, folder, around] = None
        else:
            fact = (_ANSWER, folder, around, _digest(modules.answer(folder, question)), *question)
            facts[fact] = None
    return Grounds(tuple(facts), tuple(stamps.items()))


def _digest(answer: str) -> str:
    return digest_of(answer.encode("utf-8", "surrogatepass"))
