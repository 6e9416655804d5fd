"""Where the cache lies, and what is removed when it is cleaned: only what was put there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress

from telepathy_lint.discovery.config import Config
from telepathy_lint.flow.import_resolution import ROOT_MARKERS

NAME = ".telepathy_lint_cache"
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# A cache of telepathy-lint; it may be deleted at any time.\n"
#: Files that say what the folder is: to git, and to programs that make backups.
_BESIDE = {".gitignore": "# A cache of telepathy-lint.\n*\n", "CACHEDIR.TAG": _TAG}
_OURS = r"[0-9a-f]{8}\.cache(\.[0-9a-f]{8}\.tmp)?"


def root_of(config: Config, folder: str) -> str:
    """The folder that a run belongs to: the configuration's, else the project's around `folder`, else `folder` itself."""
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
    """The cache's folder (an absolute path), where nothing is configured under its own name beside the configuration."""
    if config.cache_dir is not None:
        return os.path.join(config.root, config.cache_dir)
    return os.path.join(root_of(config, os.getcwd()), NAME)


def prepare(folder: str) -> bool:
    """Make the folder where it is missing; False where there can be none.

    A link is not followed: a repository that brings one must not have us write elsewhere.
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
    """Remove the cache's files, and the folder where nothing else is in it; how many bytes that were.

    Raises:
        OSError: something could not be removed.
    """
    freed = 0
    if os.path.islink(folder):
        return freed  # never ours: what it leads to is left alone
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
    with suppress(OSError):  # somebody else's files are in it, or it was not there
        os.rmdir(folder)
    return freed
