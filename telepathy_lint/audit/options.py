"""Matches options of Python files with the values that scripts and configuration files give them."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from telepathy_lint.audit.data import Chosen, Given, Load, Passed


class Options:
    """The ids in command lines and configuration files, by the Python file that receives them."""

    def __init__(self, groups: Iterable[tuple[Passed, ...]]) -> None:
        self._passed = [each for group in groups for each in group]
        self._given: dict[tuple[str, str], set[Chosen]] = defaultdict(set)
        self._keys: dict[tuple[str, str], set[Chosen]] = defaultdict(set)

    def match(self, loads: Iterable[Load], given: Iterable[Given] = ()) -> None:
        """Find the Python files that are meant, among those that load or pass values to loading functions."""
        readings = [(load.place.path, load.keys) for load in loads] + [
            (each.path, each.keys) for each in given
        ]
        known = sorted({path for path, _ in readings})
        readers: dict[str, set[str]] = defaultdict(set)
        for path, keys in readings:
            for option in keys:
                readers[option].add(posixpath.dirname(path))
        for each in self._passed:
            folder, option = posixpath.dirname(each.place.path), each.option
            if each.script:
                for path in _meant(each.script, folder, known):
                    self._given[path, option].add(
                        Chosen(each.model_id, each.place, f"--{option}", each.entry)
                    )
            else:
                # A configuration file applies to the nearest folder above it that reads the key.
                above = [
                    reader
                    for reader in readers[option]
                    if f"{folder}/".startswith(f"{reader}/" if reader else "")
                ]
                if above:
                    self._keys[max(above, key=len), option].add(
                        Chosen(each.model_id, each.place, f"key {option}")
                    )

    def given(self, load: Load) -> Load:
        """Return the load with the ids that scripts and configuration files pass to its options."""
        folder = posixpath.dirname(load.place.path)
        more: set[Chosen] = set()
        for option in load.options:
            more |= self._given.get((load.place.path, option), set())
        for option in load.keys:
            more |= self._keys.get((folder, option), set())
        return replace(load, ids=tuple(sorted({*load.ids, *more}))) if more else load


def _meant(script: str, folder: str, known: list[str]) -> list[str]:
    """The files that a script's `python path/to/file.py` may mean: from the root or its folder, or by the end of it."""
    for path in (posixpath.normpath(script), posixpath.normpath(posixpath.join(folder, script))):
        if path in known:
            return [path]
    end = "/" + posixpath.normpath(script).lstrip("./")
    return [path for path in known if f"/{path}".endswith(end)]
