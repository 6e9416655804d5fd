"""The location of the cache, and its removal. Only files that the cache created are removed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress

from telepathy_lint.discovery.config import Config
from telepathy_lint.flow.import_resolution import ROOT_MARKERS

NAME = ".telepathy_lint_cache"
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# A cache of telepathy-lint; it may be deleted at any time.\n"
#: Files that describe the folder to git and to backup programs.
_BESIDE = {".gitignore": "# A cache of telepathy-lint.\n*\n", "CACHEDIR.TAG": _TAG}
_OURS = r"[0-9a-f]{8}\.cache(\.[0-9a-f]{8}\.tmp)?"


def root_of(config: Config, folder: str) -> str:
    """The root folder of a run: the configuration's folder, else the project that contains `folder`, else `folder` itself."""
    if config.files:
        return config.root
    current = folder
    while not any(os.path.lexists(os.path.join(current, marker)) for marker in ROOT_MARKERS):
        parent = os.path.dirname(current)
        if parent == current:
            return folder
        current = parent
    return current


def folder_of(config: Config) -> str:
    """The cache folder (an absolute path); by default, it is next to the configuration."""
    if config.cache_dir is not None:
        return os.path.join(config.root, config.cache_dir)
    return os.path.join(root_of(config, os.getcwd()), NAME)


def prepare(folder: str) -> bool:
    """Create the folder if it does not exist. Return False if it cannot be created.

    Links are not followed: a repository that contains one must not make the linter write elsewhere.
    """
    if os.path.islink(folder):
        return False
    try:
        os.mkdir(folder)
    except FileExistsError:
        return os.path.isdir(folder)
    except OSError:
        return False
    with suppress(OSError):
        for name, text in _BESIDE.items():
            with open(os.path.join(folder, name), "x", encoding="utf-8") as file:
                file.write(text)
    return True


def files(folder: str) -> Iterator[os.DirEntry[str]]:
    """The cache's own files in a folder."""
    with suppress(OSError), os.scandir(folder) as entries:
        yield from [each for each in entries if re.fullmatch(_OURS, each.name)]


def clean(folder: str) -> int:
    """Remove the cache's files, and the folder if it is then empty. Return the number of bytes freed.

    Raises:
        OSError: a file could not be removed.
    """
    freed = 0
    if os.path.islink(folder):
        return freed  # not ours: a link is never followed
    for entry in files(folder):
        freed += entry.stat(follow_symlinks=False).st_size
        os.unlink(entry.path)
    for name, text in _BESIDE.items():
        path = os.path.join(folder, name)
        with suppress(FileNotFoundError, UnicodeDecodeError):
            with open(path, encoding="utf-8") as file:
                ours = file.read() == text
            if ours and set(os.listdir(folder)) <= _BESIDE.keys():
                os.unlink(path)
    with suppress(OSError):  # the folder contains other files, or does not exist
        os.rmdir(folder)
    return freed
