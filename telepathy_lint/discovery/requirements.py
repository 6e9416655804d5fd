"""Finds the lowest transformers version that a project allows, from its requirement files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from telepathy_lint.discovery.config import ConfigError, parse_toml

_REQUIREMENT = r"(?i)transformers[ \t]*(?:\[[^\]]*\])?(?P<rest>[^;#\n\"']*)"
_LOWER = r"(?P<operator>===?|>=?|~=|\^|~|=)[ \t]*v?(?P<version>\d{1,9}(?:\.\d{1,9})*)"
_TAG = r"transformers(?:\.git)?@v?(?P<version>\d{1,9}(?:\.\d{1,9})+)"
_LOCKED = r'name = "transformers"\r?\nversion = "(?P<version>\d{1,9}(?:\.\d{1,9})*)'
#: A clause that leaves out transformers 5: a pin, `~=4.40`, `^4.40`, `<5`, `<=4.57`, a tag.
_BELOW_5 = r"(?:===?|~=|\^|~|<=|@v?|(?<![<>=!~])=)[ \t]*v?[1-4]\b|<[ \t]*v?(?:[1-4]\b|5(?:\.0)*(?![.\d]))"
_LINE = r"(?im)^[ \t]*(?:-[ \t]+)?[\"']?(?:[\w.-]+::)?(?=transformers\b(?![-_.\w]))"
_QUOTED = r"(?i)[\"'](?=transformers\b(?![-_.\w]))"


class Target(NamedTuple):
    """A version and the file that it comes from."""

    version: str
    path: str
    #: Whether the project may run on transformers 5 as well.
    admits_5: bool = True

    @property
    def specifier(self) -> str:
        """The versions, as `target-transformers` gives them."""
        return self.version if self.admits_5 or self.numbers >= (5,) else f">={self.version},<5"

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(map(int, self.version.split(".")))


#: The first release under the name of transformers: a lower bound is a slip, as in `transformers>=0.48`, and says nothing.
_FIRST = (2,)


class Targets:
    """The target version of each folder, from the nearest parent folder in the repository whose files name transformers."""

    def __init__(self) -> None:
        self._found: dict[str, Target | None] = {}

    def of(self, folder: str) -> Target | None:
        if folder not in self._found:
            self._found[folder] = self._look(folder)
        return self._found[folder]

    def _look(self, folder: str) -> Target | None:
        found = target_of(folder)
        parent = os.path.dirname(folder)
        if found is not None or parent == folder or os.path.lexists(os.path.join(folder, ".git")):
            return found
        return self.of(parent)


def requirement_files(folder: str) -> list[str]:
    """The files of a folder in which somebody writes down what the project needs; lock files are written by tools."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [path for path in _candidates(folder, names) if not path.endswith(".lock")]


def target_of(folder: str) -> Target | None:
    """The lowest bound in the folder's requirement files, else the version in its lock file."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return None
    declared: list[Target] = []
    locked: list[Target] = []
    for path in _candidates(folder, names):
        text = _text(path)
        if "transformers" not in text.lower():
            continue
        if path.endswith(".lock"):
            locked += [Target(found["version"], path, False) for found in re.finditer(_LOCKED, text)]
        else:
            declared += [Target(version, path, admits) for version, admits in _versions(path, text)]
    chosen = [each for each in declared or locked if each.numbers >= _FIRST]
    if not chosen:
        return None
    lowest = min(chosen, key=lambda target: (target.numbers, target.path))
    return lowest._replace(admits_5=all(target.admits_5 for target in chosen))


def _candidates(folder: str, names: list[str]) -> Iterator[str]:
    fixed = ("pyproject.toml", "setup.cfg", "setup.py", "uv.lock", "poetry.lock")
    for name in names:
        path = os.path.join(folder, name)
        conda = name.startswith("environment") and name.endswith((".yml", ".yaml"))
        pip = "requirements" in name and name.endswith((".txt", ".in"))
        if name in fixed or conda or pip:
            yield path
        elif name == "requirements" and os.path.isdir(path):
            yield from (
                os.path.join(path, one) for one in sorted(os.listdir(path)) if one.endswith((".txt", ".in"))
            )


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _versions(path: str, text: str) -> Iterator[tuple[str, bool]]:
    """The lowest versions that a file names, each with whether it allows transformers 5."""
    if path.endswith("pyproject.toml"):
        specifications = _from_pyproject(path, text)
    else:
        start = _QUOTED if path.endswith("setup.py") else _LINE
        specifications = (
            found.group()
            for begin in re.finditer(start, text)
            if (found := re.compile(_REQUIREMENT).match(text, begin.end()))
        )
    for specification in specifications:
        version = lower_bound(specification)
        if version is not None:
            yield version, not re.search(_BELOW_5, specification)


def lower_bound(requirement: str) -> str | None:
    """The lowest version that a requirement such as `transformers[torch]>=4.40,<5` allows; None if it sets no lower bound."""
    tagged = re.search(_TAG, requirement)
    if tagged:
        return tagged["version"]
    found = re.match(_REQUIREMENT, requirement.strip())
    if found is None:
        return None
    bounds = [
        match["version"]
        for part in found["rest"].split(",")
        if (match := re.match(_LOWER, part.strip().lstrip("(").strip()))
    ]
    return max(bounds, key=lambda version: tuple(map(int, version.split(".")))) if bounds else None


def _from_pyproject(path: str, text: str) -> Iterator[str]:
    try:
        document = parse_toml(path, text.encode())
    except ConfigError:
        return  # not reported here: it is not our configuration file
    project = _table(document, "project")
    groups: list[Any] = [project.get("dependencies")]
    for table in (project.get("optional-dependencies"), document.get("dependency-groups")):
        groups += list(table.values()) if isinstance(table, dict) else []
    for group in groups:
        if isinstance(group, list):
            yield from (item for item in group if isinstance(item, str) and _is_transformers(item))
    poetry = _table(_table(document, "tool"), "poetry")
    tables = [poetry.get("dependencies"), poetry.get("dev-dependencies")]
    tables += [_table({"x": group}, "x").get("dependencies") for group in _table(poetry, "group").values()]
    for table in tables:
        value = table.get("transformers") if isinstance(table, dict) else None
        version = value.get("version", value.get("tag")) if isinstance(value, dict) else value
        if isinstance(version, str):
            yield f"transformers {version if not version[:1].isdigit() else '==' + version}"


def _is_transformers(requirement: str) -> bool:
    return bool(re.match(r"transformers(?![-_.\w])", requirement.strip(), re.IGNORECASE))


def _table(table: dict[str, Any], key: str) -> dict[str, Any]:
    value = table.get(key)
    return value if isinstance(value, dict) else {}
