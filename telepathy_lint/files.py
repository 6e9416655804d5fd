"""Files on disk: which ones to lint, and writing one back in a single step."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from telepathy_lint.config import Config, Configs
from telepathy_lint.gitignore import Ignores

if TYPE_CHECKING:
    import re

SUFFIXES = (".py", ".ipynb")


class Patterns:
    """`exclude` and `per-file-ignores` patterns: a name, or a glob for names and for paths below the config's folder."""

    def __init__(self, patterns: Iterable[str], root: str) -> None:
        self.root = root
        self.names: set[str] = set()
        self.globs: list[str] = []
        for pattern in patterns:
            plain = pattern.rstrip("/")
            if plain.startswith("./"):
                plain = f"{root}/{plain[2:]}"
            if any(character in plain for character in "*?[/"):
                self.globs.append(plain)
            else:
                self.names.add(plain)

    def match(self, folder: str, name: str) -> bool:
        """Whether `name` in `folder` (an absolute path) is meant, by its name or its path."""
        if name in self.names:
            return True
        if not self.globs:
            return False
        path = os.path.join(folder, name)
        inside = path[len(self.root) + 1 :] if path.startswith(self.root + os.sep) else path
        return any(pattern.match(text) for pattern in self._compiled for text in (name, inside, path))

    def match_above(self, path: str) -> bool:
        """Whether a file or any folder it lies in is meant, as a walk from the config's folder would have found."""
        while len(path) > len(self.root):
            folder, name = os.path.split(path)
            if self.match(folder, name):
                return True
            if folder == path:
                break
            path = folder
        return False

    @cached_property
    def _compiled(self) -> list[re.Pattern[str]]:
        import fnmatch
        import re

        return [re.compile(fnmatch.translate(pattern)) for pattern in self.globs]


@dataclass(frozen=True, slots=True)
class Found:
    """A file to lint, as the user will see it; `problem` instead of a file says why there is none."""

    path: str
    folder: str
    problem: str | None = None
    #: A pipe or the like: it can be read once, and gives something else the next time.
    passing: bool = False


class Discovery:
    """Turns the paths of a command into files: sorted, each once, without what is excluded or ignored."""

    def __init__(
        self, configs: Configs, force_exclude: bool = False, suffixes: tuple[str, ...] = SUFFIXES
    ) -> None:
        self.configs = configs
        self.force_exclude = force_exclude
        self.suffixes = suffixes
        self.ignores = Ignores()
        self._patterns: dict[int, Patterns] = {}

    def find(self, paths: Iterable[str]) -> list[Found]:
        found: dict[str, Found] = {}
        links: dict[str, Found] = {}
        for path in paths:
            for one, is_link in self._below(path):
                key = os.path.abspath(one.path)
                if is_link:
                    links.setdefault(key, one)
                else:
                    found.setdefault(key, one)
        # A link to a file that is linted anyway would have it reported, and fixed, twice.
        reached = {os.path.realpath(key) for key in found} if links else set()
        for key, one in sorted(links.items()):
            target = os.path.realpath(key)
            if target not in reached:
                reached.add(target)
                found.setdefault(key, one)
        return sorted(found.values(), key=lambda one: one.path)

    def _below(self, path: str) -> Iterator[tuple[Found, bool]]:
        absolute = os.path.abspath(path)
        folder = os.path.dirname(absolute)
        try:
            mode = os.stat(absolute).st_mode
        except OSError as error:
            yield Found(path, folder, f"cannot be read: {error.strerror}"), False
            return
        if stat.S_ISDIR(mode):
            if not (self.force_exclude and self._left_out(absolute)):
                yield from self._walk(path, absolute)
        elif not (self.force_exclude and self._left_out(absolute)):
            # A file that is named is linted whatever its suffix, and even where a walk would leave it out.
            passing = not stat.S_ISREG(mode)
            yield Found(os.path.normpath(path), folder, passing=passing), os.path.islink(absolute)

    def _left_out(self, absolute: str) -> bool:
        folder, name = os.path.split(absolute)
        config = self.configs.of(folder)
        if self._excludes(config).match_above(absolute):
            return True
        is_folder = os.path.isdir(absolute)
        return config.respect_gitignore and (
            self.ignores.ignored(folder, name, is_folder) or self.ignores.ignored_above(folder)
        )

    def _excludes(self, config: Config) -> Patterns:
        known = self._patterns.get(id(config))
        if known is None:
            known = Patterns((*config.exclude, *config.extend_exclude), config.root)
            self._patterns[id(config)] = known
        return known

    def _walk(self, shown: str, absolute: str) -> Iterator[tuple[Found, bool]]:
        """All files below a folder; links to folders are not followed, so that no loop can form."""
        pending = [("" if shown == os.curdir else os.path.normpath(shown), absolute)]
        while pending:
            shown, folder = pending.pop()
            config = self.configs.of(folder)
            excludes = self._excludes(config)
            try:
                with os.scandir(folder) as entries:
                    listed = list(entries)
            except OSError as error:
                yield Found(shown or os.curdir, folder, f"cannot be read: {error.strerror}"), False
                continue
            for entry in listed:
                name = entry.name
                is_folder = entry.is_dir(follow_symlinks=False)
                if not is_folder and not name.endswith(self.suffixes):
                    continue
                if excludes.match(folder, name):
                    continue
                if config.respect_gitignore and self.ignores.ignored(folder, name, is_folder):
                    continue
                path = os.path.join(shown, name)
                if is_folder:
                    pending.append((path, entry.path))
                elif _is_regular(entry):
                    yield Found(path, folder), entry.is_symlink()


def _is_regular(entry: os.DirEntry[str]) -> bool:
    """A file, or a link to one; an editor's lock file is a link to nowhere and no error."""
    try:
        return entry.is_file()
    except OSError:
        return False


def read_bytes(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


class WriteRefusedError(Exception):
    """The file was left as it is; says why."""


def write_back(path: str, data: bytes, expected: bytes) -> None:
    """Replace a file's content in one step, keeping its mode, owner, extended attributes, and links to it.

    Raises:
        WriteRefusedError: the file is no longer what was read (`expected`), or may not be written.
    """
    target = os.path.realpath(path)
    try:
        if read_bytes(target) != expected:
            raise WriteRefusedError(
                "was changed by something else since it was read, so it is not fixed; run again"
            )
        if not os.access(target, os.W_OK):
            raise WriteRefusedError("is not writable, so it is not fixed")
        if not _replace(target, data):
            _overwrite(target, data)
    except OSError as error:
        raise WriteRefusedError(f"cannot be written, so it is not fixed: {error.strerror}") from error


def _replace(target: str, data: bytes) -> bool:
    """By a new file in its place; False where that would lose something that writing into the old one keeps."""
    before = os.stat(target)
    if before.st_nlink > 1 or not stat.S_ISREG(before.st_mode):
        return False
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.telepathy-lint")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        return False
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        if not _take_over(target, temporary, before):
            os.unlink(temporary)
            return False
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    return True


def _take_over(target: str, temporary: str, before: os.stat_result) -> bool:
    """Owner, mode and extended attributes onto the new file; False where the owner cannot be kept."""
    new = os.stat(temporary)
    if hasattr(os, "chown") and (new.st_uid, new.st_gid) != (before.st_uid, before.st_gid):
        try:
            os.chown(temporary, before.st_uid, before.st_gid)
        except OSError:
            return False
    os.chmod(temporary, stat.S_IMODE(before.st_mode))
    if hasattr(os, "listxattr"):
        with suppress(OSError):
            for attribute in os.listxattr(target):
                with suppress(OSError):  # some, such as security labels, are the system's to set
                    os.setxattr(temporary, attribute, os.getxattr(target, attribute))
    return True


def _overwrite(target: str, data: bytes) -> None:
    with open(target, "r+b") as file:
        file.write(data)
        file.truncate()
