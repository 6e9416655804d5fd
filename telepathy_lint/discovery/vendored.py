"""Finds copies of libraries inside a project by their folders. They are skipped unless the configuration includes them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from telepathy_lint.knowledge.other_projects import THIRD_PARTY

#: For each library, a folder that its package contains besides `__init__.py`.
LIBRARIES = {"transformers": "models", "peft": "tuners", "trl": "trainer"}
#: Files in which a distribution declares its name.
_DECLARING = ("setup.py", "pyproject.toml", "setup.cfg")


class Copies:
    """Tells whether a folder is a copy of a library; each folder is examined once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str | None] = {}

    def at(self, folder: str, root: str) -> str | None:
        """The library that a folder (absolute) below `root` is a copy of, as a package or as a whole distribution.

        Any distribution in a folder for the code of others, such as `third_party`, is a copy.

        None if it is not a copy, or if `root` is inside the library itself, because then the user wants to lint it.
        """
        key = folder, root
        if key not in self._known:
            self._known[key] = self._at(folder, root)
        return self._known[key]

    def above(self, path: str, root: str) -> bool:
        """Whether a folder between `root` and a path is a copy."""
        folder = os.path.dirname(path)
        while len(folder) > len(root):
            if self.at(folder, root) is not None:
                return True
            folder = os.path.dirname(folder)
        return False

    def _at(self, folder: str, root: str) -> str | None:
        if _holds(folder, root):
            return None
        name = os.path.basename(folder)
        if os.path.basename(os.path.dirname(folder)) in THIRD_PARTY and _is_distribution(folder):
            return name
        if name in LIBRARIES and _is_package(folder, name):
            return None if _holds(_distribution(folder, name), root) else name
        for library in LIBRARIES:
            for package in (os.path.join(folder, "src", library), os.path.join(folder, library)):
                # If this is the library's own repository, the files around the package are part of the copy.
                if _is_package(package, library) and (
                    name.startswith(f"{library}-") or _distribution(package, library) == folder
                ):
                    return library
        return None


def _is_distribution(folder: str) -> bool:
    return any(os.path.isfile(os.path.join(folder, name)) for name in _DECLARING)


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder + os.sep)


def _is_package(folder: str, library: str) -> bool:
    return os.path.isfile(os.path.join(folder, "__init__.py")) and os.path.isdir(
        os.path.join(folder, LIBRARIES[library])
    )


def _distribution(package: str, library: str) -> str:
    """The folder whose files declare the library's distribution, or the package's folder if there is none."""
    folder = os.path.dirname(package)
    if os.path.basename(folder) == "src":
        folder = os.path.dirname(folder)
    for name in _DECLARING:
        try:
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            continue
        if re.search(rf"""(?m)^\s*name\s*=\s*["']?{library}["']?\s*,?\s*(?:#.*)?$""", text):
            return folder
    return package


def told(copies: dict[str, str], others: Sequence[str] = ()) -> str:
    """The message about skipped copies, and about other projects of which the findings are left out, by their folders as shown.

    For a copy, the name of the library or distribution follows. The message is empty if there is nothing to tell.
    """
    lines = []
    if copies:
        named = ", ".join(f"{folder or os.curdir} ({library})" for folder, library in sorted(copies.items()))
        lines.append(
            f"skipped copies of libraries: {named}; to lint them, set include-vendored = true in the configuration"
        )
    if others:
        lines.append(
            f"left out what is found in other projects: {', '.join(sorted(others))}; --strict reports it"
        )
    return "\n".join(f"telepathy-lint: {line}" for line in lines)


__all__ = ["LIBRARIES", "Copies", "told"]
