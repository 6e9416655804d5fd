"""The editor's settings: the section `telepathy-lint`, for each workspace folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from telepathy_lint import rules as registry
from telepathy_lint.discovery.config import Config, ConfigError
from telepathy_lint.hints import NamedTuple

SECTION = "telepathy-lint"
#: Names of the editor's settings and the configuration keys they correspond to.
KEYS = {
    "select": "select",
    "ignore": "ignore",
    "extendSelect": "extend-select",
    "strict": "strict",
    "fixStyle": "fix-style",
    "targetTransformers": "target-transformers",
}
#: The settings with lists of rules.
_SELECTORS = ("select", "ignore", "extendSelect")


class EditorSettings(NamedTuple):
    """The settings for a folder; unset ones are read from the configuration files."""

    enable: bool = True
    #: Whether "fix all" applies unsafe fixes too.
    unsafe_fixes: bool = False
    #: The path of a configuration file that is used instead of the nearest one.
    configuration: str | None = None
    #: Configuration keys that the editor sets, as written in files.
    options: tuple[tuple[str, Any], ...] = ()
    #: Whether to lint when a file is saved rather than while it is typed.
    on_save: bool = False


def plain(value: Any) -> Any:
    """Convert JSON to dicts and lists; pygls creates named tuples for objects of unknown type."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def section(value: Any) -> dict[str, Any]:
    """Extract our settings from a client's message: the section itself, an object with it, or Ruff's `settings`."""
    value = plain(value)
    for name in (SECTION, "telepathy_lint", "settings"):
        if isinstance(value, dict) and isinstance(value.get(name), dict):
            value = value[name]
    return value if isinstance(value, dict) else {}


def read(given: dict[str, Any], folder: str | None) -> tuple[EditorSettings, list[str]]:
    """The settings, and a warning for each invalid value, which is replaced with the default.

    Unknown settings are ignored, because an extension keeps its own in the same section.
    """
    warnings: list[str] = []

    def value(name: str, expected: str, check: Callable[[Any], bool], default: Any) -> Any:
        found = given.get(name)
        if found is None or check(found):
            return default if found is None else found
        warnings.append(f"{SECTION}.{name} must be {expected}, not {found!r}; it is ignored")
        return default

    def flag(name: str, default: bool) -> bool:
        return bool(value(name, "true or false", lambda found: isinstance(found, bool), default))

    run = value("run", "one of onType, onSave", lambda found: found in ("onType", "onSave"), "onType")
    path = value("configuration", "the path of a file", lambda found: isinstance(found, str), None)
    if path:
        path = os.path.join(folder or os.getcwd(), os.path.expanduser(path))
        if not os.path.isfile(path):
            warnings.append(f"{SECTION}.configuration: {path}: no such file; it is ignored")
            path = None
    options: dict[str, Any] = {}
    for name, key in KEYS.items():
        found = given.get(name)
        # An extension sends the default of a list as an empty list; use `enable` to turn everything off.
        if found is None or found == []:
            continue
        problem = _problem(name, key, found)
        if problem is None:
            options[key] = found
        else:
            warnings.append(f"{SECTION}.{name} {problem}; it is ignored")
    settings = EditorSettings(
        flag("enable", True),
        flag("unsafeFixes", False),
        path or None,
        tuple(options.items()),
        run == "onSave",
    )
    return settings, warnings


def _problem(name: str, key: str, value: Any) -> str | None:
    """Why a value is invalid; None if it is valid."""
    try:
        Config().with_options({key: value})
    except ConfigError as error:
        return str(error).removeprefix(f"--{key} ")
    if name in _SELECTORS:
        try:
            registry.select(value)
        except ValueError as error:
            return f"has an unknown rule: {error}"
    return None


class Store:
    """The settings of each folder: the client's answer for it, on top of its initial settings."""

    def __init__(self, initial: Any = None) -> None:
        self._initial = section(initial)
        self._everywhere: dict[str, Any] = {}
        self._folders: dict[str, dict[str, Any]] = {}
        self._read: dict[str | None, EditorSettings] = {}
        self._told: set[str] = set()

    def put(self, everywhere: Any, folders: dict[str, Any] | None = None) -> None:
        """Store new answers of the client."""
        self._everywhere = section(everywhere)
        self._folders = {root: section(value) for root, value in (folders or {}).items()}
        self._read.clear()

    def of(self, root: str | None) -> EditorSettings:
        """The settings of a workspace folder, or of files outside all folders if None."""
        if root not in self._read:
            self._read[root] = self._settings(root)[0]
        return self._read[root]

    def new_warnings(self, roots: list[str]) -> list[str]:
        """Warnings about the settings that were not shown before."""
        found = [text for root in (None, *roots) for text in self._settings(root)[1]]
        new = [text for text in dict.fromkeys(found) if text not in self._told]
        self._told = set(found)
        return new

    def _settings(self, root: str | None) -> tuple[EditorSettings, list[str]]:
        own = self._folders.get(root, {}) if root is not None else {}
        given = dict(self._initial)
        for more in (self._everywhere, own):
            given.update((key, value) for key, value in more.items() if value is not None)
        # A relative path outside all folders is relative to the first one.
        return read(given, root or next(iter(self._folders), None))
