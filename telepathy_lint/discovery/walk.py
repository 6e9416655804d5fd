"""Finds the files to lint."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from functools import cached_property

from telepathy_lint.discovery.config import Config, Configs
from telepathy_lint.hints import TYPE_CHECKING, NamedTuple
from telepathy_lint.knowledge.other_projects import (
    BEGINNINGS,
    OF_ARCHIVES,
    OF_COPIES,
    OF_OTHERS,
    OF_OTHERS_BEGIN,
    THIRD_PARTY,
)

if TYPE_CHECKING:
    import re

    from telepathy_lint.discovery.gitignore import Ignores
    from telepathy_lint.discovery.vendored import Copies

SUFFIXES = (".py", ".ipynb")


class Patterns:
    """Patterns of `exclude` and `per-file-ignores`: names, or globs for names and for paths below the config's folder.

    A pattern that ends with a slash matches only folders.
    """

    def __init__(self, patterns: Iterable[str], root: str) -> None:
        self.root = root
        self.names: set[str] = set()
        self.globs: list[str] = []
        #: The patterns for folders only, without their slash; None if there are none.
        self.folders: Patterns | None = None
        folders: list[str] = []
        for pattern in patterns:
            plain = pattern.rstrip("/")
            if plain != pattern:
                folders.append(plain)
                continue
            while "//" in plain:
                plain = plain.replace("//", "/")
            if plain.startswith("./"):
                # The folder's own name is not a glob: escape it.
                plain = f"{''.join(f'[{each}]' if each in '*?[' else each for each in root)}/{plain[2:]}"
            if any(character in plain for character in "*?[/"):
                self.globs.append(plain)
            else:
                self.names.add(plain)
        if folders:
            self.folders = Patterns(folders, root)

    def match(self, folder: str, name: str, is_folder: bool) -> bool:
        """Whether `name` in `folder` (an absolute path) matches, by its name or its path."""
        if name in self.names:
            return True
        if is_folder and self.folders is not None and self.folders.match(folder, name, True):
            return True
        if not self.globs:
            return False
        path = os.path.join(folder, name)
        inside = path[len(self.root) + 1 :] if path.startswith(self.root + os.sep) else path
        return any(pattern.match(text) for pattern in self._compiled for text in (name, inside, path))

    def match_file(self, folder: str, name: str) -> bool:
        """Whether a file matches, or one of its parent folders matches a pattern for folders only."""
        return self.match(folder, name, False) or (
            self.folders is not None and self.folders.match_above(folder, True)
        )

    def match_above(self, path: str, is_folder: bool) -> bool:
        """Whether a file or any of its parent folders below the config's folder matches, as in a walk from there."""
        while len(path) > len(self.root):
            folder, name = os.path.split(path)
            if self.match(folder, name, is_folder):
                return True
            if folder == path:
                break
            path, is_folder = folder, True
        return False

    @cached_property
    def _compiled(self) -> list[re.Pattern[str]]:
        import fnmatch
        import re

        return [re.compile(fnmatch.translate(pattern)) for pattern in self.globs]


class Found(NamedTuple):
    """A file to lint, with its path as shown to the user. If it cannot be read, `problem` says why."""

    path: str
    folder: str
    problem: str | None = None
    #: A pipe or similar: it can be read only once.
    passing: bool = False


class Discovery:
    """Turns the paths of a command into a sorted list of files, without duplicates and excluded or ignored files."""

    def __init__(
        self, configs: Configs, force_exclude: bool = False, suffixes: tuple[str, ...] = SUFFIXES
    ) -> None:
        self.configs = configs
        self.force_exclude = force_exclude
        self.suffixes = suffixes
        self._patterns: dict[int, Patterns] = {}
        #: The copies of libraries that were skipped: folder as shown to the user -> library.
        self.copies: dict[str, str] = {}
        #: Folders of other projects, as shown to the user: only `strict` reports what is found there.
        self.others: list[str] = []

    @cached_property
    def _copies(self) -> Copies:
        from telepathy_lint.discovery.vendored import Copies  # most projects have none

        return Copies()

    @cached_property
    def ignores(self) -> Ignores:
        from telepathy_lint.discovery.gitignore import Ignores  # not needed for files given by name

        return Ignores()

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
        # Skip links to files that are linted anyway: they would be reported and fixed twice.
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
            # A file given by name is linted whatever its suffix, even if a walk would skip it.
            passing = not stat.S_ISREG(mode)
            yield Found(os.path.normpath(path), folder, passing=passing), os.path.islink(absolute)

    def _left_out(self, absolute: str) -> bool:
        folder, name = os.path.split(absolute)
        config = self.configs.of(folder)
        is_folder = os.path.isdir(absolute)
        if self._excludes(config).match_above(absolute, is_folder):
            return True
        if not config.include_vendored and self._copies.above(absolute, config.root):
            return True
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
        """All files below a folder; links to folders are not followed, to avoid loops."""
        root = absolute
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
            below: list[tuple[str, str]] = []
            here: list[tuple[Found, bool]] = []
            above, last = os.path.split(folder)
            is_archive = last.lower().endswith(OF_ARCHIVES)
            may_be_other = is_archive or os.path.basename(above).lower().startswith(OF_OTHERS_BEGIN)
            may_be_copy = last in OF_COPIES or os.path.basename(above) in THIRD_PARTY
            for entry in listed:
                name = entry.name
                is_folder = entry.is_dir(follow_symlinks=False)
                if not is_folder and not name.endswith(self.suffixes):
                    continue
                if excludes.match(folder, name, is_folder):
                    continue
                if config.respect_gitignore and self.ignores.ignored(folder, name, is_folder):
                    continue
                path = os.path.join(shown, name)
                if is_folder:
                    below.append((path, entry.path))
                    may_be_copy = may_be_copy or name in OF_COPIES
                elif _is_regular(entry):
                    here.append((Found(path, folder), entry.is_symlink()))
            if may_be_copy and not config.include_vendored and (library := self._copies.at(folder, root)):
                self.copies[shown] = library
                continue
            beside = root if is_archive else None
            if may_be_other and folder != root and _is_of_others(above, listed, beside):
                self.others.append(shown)
            pending += below
            yield from here


def _is_of_others(holder: str, listed: Iterable[os.DirEntry[str]], beside: str | None) -> bool:
    """Whether a folder with these files is another project: in a folder such as `external`, or unpacked beside the README of `beside`."""
    import re

    if not any(each.name in BEGINNINGS for each in listed):
        return False
    if beside is not None and any(os.path.isfile(os.path.join(beside, each)) for each in BEGINNINGS):
        return True
    return re.fullmatch(OF_OTHERS, os.path.basename(holder)) is not None


def _is_regular(entry: os.DirEntry[str]) -> bool:
    """Whether the entry is a file or a link to one. An editor's lock file is a dangling link and not an error."""
    try:
        return entry.is_file()
    except OSError:
        return False


def read_bytes(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()
