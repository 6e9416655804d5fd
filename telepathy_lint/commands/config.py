"""`telepathy-lint config`: every value and where it came from."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import Any

from telepathy_lint.cli import Usage
from telepathy_lint.config import Config, Configs, keys
from telepathy_lint.settings import Loader

_LIST_WIDTH = 36


def config(options: Namespace) -> int:
    path = os.path.abspath(options.path)
    if not os.path.exists(path):
        raise Usage(f"{options.path}: no such file or folder")
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    found = Configs(file=options.config, isolated=options.isolated).of(folder)
    rows = _rows(found, folder)
    if options.output_format == "json":
        import json

        print(json.dumps({key: {"value": value, "origin": origin} for key, value, origin in rows}, indent=2))
        return 0
    shown = [(key, _shown(_telling(key, value)), origin) for key, value, origin in rows]
    widths = [max(len(row[column]) for row in shown) for column in (0, 1)]
    for key, value, origin in shown:
        print(f"{key:<{widths[0]}} = {value:<{min(widths[1], 48)}}  # {origin}")
    return 0


def _rows(found: Config, folder: str) -> list[tuple[str, Any, str]]:
    from telepathy_lint.requirements import Targets

    rows: list[tuple[str, Any, str]] = []
    for key in keys():
        value: Any = getattr(found, key.replace("-", "_"))
        origin = found.origins.get(key, "default")
        if key == "target-transformers" and value is None:
            target = Targets().of(folder)
            value, origin = (
                (target.version, target.path) if target else (None, "default: no requirement file says")
            )
        if isinstance(value, Loader):
            value = {name.replace("_", "-"): one for name, one in value._asdict().items()}
        elif key == "per-file-ignores":
            value = {pattern: list(codes) for pattern, codes in value}
        elif isinstance(value, tuple):
            value = list(value)
        rows.append((key, value, origin))
    return rows


def _telling(key: str, value: Any) -> Any:
    """Of the loader, the module and the names that are not the usual ones."""
    if key != "loader":
        return value
    usual = Loader()._asdict()
    return {
        name: one for name, one in value.items() if name == "module" or one != usual[name.replace("-", "_")]
    }


def _shown(value: Any) -> str:
    """As TOML would have it; what has no value is said in words."""
    if value is None:
        return "(none)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {_shown(one)}' for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_some(list(map(_shown, value)))) + "]"
    return str(value)


def _some(items: list[str]) -> list[str]:
    """As many as fit beside the key and the origin, and how many more there are; JSON has them all."""
    fitting = next(
        (end for end in range(len(items)) if len(", ".join(items[: end + 1])) > _LIST_WIDTH), len(items)
    )
    return items if fitting == len(items) else [*items[:fitting], f"... {len(items) - fitting} more"]
