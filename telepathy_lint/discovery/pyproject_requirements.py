"""Reads which releases of transformers a `pyproject.toml` lists."""

from __future__ import annotations

import re
from collections.abc import Iterator

from telepathy_lint.discovery.config import ConfigError, parse_toml
from telepathy_lint.hints import Any

_ITSELF = r"(?i)\s*transformers(?![-_.\w])"


def listed_in_pyproject(path: str, text: str) -> Iterator[str]:
    """The requirements of transformers in a `pyproject.toml`: those of the project, its extras and groups, and poetry's."""
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
            yield from (item for item in group if isinstance(item, str) and re.match(_ITSELF, item))
    poetry = _table(_table(document, "tool"), "poetry")
    tables = [poetry.get("dependencies"), poetry.get("dev-dependencies")]
    tables += [_table({"x": group}, "x").get("dependencies") for group in _table(poetry, "group").values()]
    for table in tables:
        value = table.get("transformers") if isinstance(table, dict) else None
        version = value.get("version", value.get("tag")) if isinstance(value, dict) else value
        if isinstance(version, str):
            yield f"transformers {version if not version[:1].isdigit() else '==' + version}"


def _table(table: dict[str, Any], key: str) -> dict[str, Any]:
    value = table.get(key)
    return value if isinstance(value, dict) else {}
