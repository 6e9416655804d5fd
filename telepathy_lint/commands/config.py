"""`telepathy-lint config`: print the settings that a run would use, and where each value comes from."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from telepathy_lint.cache import place
from telepathy_lint.commands.options import Usage, add_where, columns, configs_of
from telepathy_lint.discovery.config import Config, Configs, keys
from telepathy_lint.rule import Rule
from telepathy_lint.run.selection import Selection
from telepathy_lint.settings import Loader

_CHOOSING = ("select", "extend-select", "ignore", "per-file-ignores", "extend-per-file-ignores")
_FIXING = ("fixable", "extend-fixable", "unfixable", "extend-safe-fixes", "extend-unsafe-fixes")
_LIST_WIDTH = 36


def add_options(sub: ArgumentParser) -> None:
    sub.add_argument(
        "path", nargs="?", default=".", metavar="PATH", help="file or folder to show the settings for"
    )
    sub.add_argument("--output-format", choices=("text", "json"), default="text", help="default: text")
    add_where(sub)


def config(options: Namespace) -> int:
    configs = configs_of(options, {}, "output-format", "cache-dir")
    return show(configs, options.path, options.output_format)


def show(configs: Configs, path: str, form: str) -> int:
    """Print the settings that a run over the path would use, as text or JSON.

    Raises:
        Usage, ConfigError: the path does not exist, or its configuration is invalid.
    """
    absolute = os.path.abspath(path)
    if not os.path.exists(absolute):
        raise Usage(f"{path}: no such file or folder")
    is_folder = os.path.isdir(absolute)
    folder = absolute if is_folder else os.path.dirname(absolute)
    found = configs.of(folder)
    rules = Selection(configs).rules(folder, "" if is_folder else absolute)
    rows = [*_rows(found, folder, "" if is_folder else absolute), *_effective(found, rules)]
    if form == "json":
        import json

        print(json.dumps({key: {"value": value, "origin": origin} for key, value, origin in rows}, indent=2))
        return 0
    *rows, (_, codes, _), (_, fixes, _) = rows
    print(f"Settings for {absolute}, from {', '.join(found.files) or 'no configuration file'}\n")
    shown = [(key, _shown(_telling(key, value), key), origin) for key, value, origin in rows]
    widths = [max(len(row[column]) for row in shown) for column in (0, 1)]
    for key, value, origin in shown:
        print(f"{key:<{widths[0]}} = {value:<{min(widths[1], 48)}}  # {origin}")
    groups = {"Rules": codes}
    for safety, title in (
        ("safe", "fixed by --fix"),
        ("unsafe", "fixed by --fix --unsafe-fixes"),
        (None, "not fixed"),
    ):
        groups[f"  {title}"] = [code for code in codes if fixes[code] == safety]
    print()
    for title, group in groups.items():
        print("\n".join(_wrapped(f"{title} ({len(group)}): ", group)))
    return 0


def _wrapped(title: str, codes: Sequence[str]) -> list[str]:
    return wrap(f"{title}{', '.join(codes) or 'none'}", max(columns(), 40), subsequent_indent=" " * 4)


def _effective(found: Config, rules: Sequence[Rule]) -> list[tuple[str, Any, str]]:
    """The rules that a run would use, and the safety of their fixes."""
    fixing = found.settings(None).fixing
    fixes = {}
    for rule in rules:
        code, name, fix = rule.meta.code, rule.meta.name, rule.meta.fix
        allowed = fix in ("safe", "unsafe") and fixing.allows(code, name)
        fixes[code] = fixing.safety(code, name, fix) if fix is not None and allowed else None
    return [
        ("rules", list(fixes), _origins(found, _CHOOSING)),
        ("fixes", fixes, _origins(found, _FIXING)),
    ]


def _origins(found: Config, keys: Sequence[str]) -> str:
    places = [place for key in keys for place in found.origins.get(key, "").split(", ") if place]
    return ", ".join(dict.fromkeys(places)) or "default"


def _rows(found: Config, folder: str, path: str) -> list[tuple[str, Any, str]]:
    from telepathy_lint.discovery.requirements import Targets

    rows: list[tuple[str, Any, str]] = []
    for key in keys():
        value: Any = getattr(found, key.replace("-", "_"))
        origin = found.origins.get(key, "default")
        if key == "target-transformers" and value is None:
            target = Targets().of(folder, path)
            value, origin = (
                (target.version, target.path) if target else (None, "default: not in any requirement file")
            )
        elif key == "cache-dir":
            value = place.folder_of(found)
        elif key == "gpu":
            value = found.settings(None).gpu
        elif key == "fixable" and value is None:
            value = ["ALL"]
        elif key == "baseline" and value is not None:
            value = os.path.join(found.root, value)
        elif key.endswith("per-file-ignores"):
            value = {pattern: list(codes) for pattern, codes in value}
        if isinstance(value, Loader):
            value = {name.replace("_", "-"): one for name, one in value._asdict().items()}
        elif isinstance(value, tuple):
            value = list(value)
        rows.append((key, value, origin))
    return rows


def _telling(key: str, value: Any) -> Any:
    """For the loader, only the module and the names that differ from the default."""
    if key != "loader":
        return value
    usual = Loader()._asdict()
    return {
        name: one for name, one in value.items() if name == "module" or one != usual[name.replace("-", "_")]
    }


def _shown(value: Any, key: str = "") -> str:
    """The value as TOML, or words if there is no value."""
    if value is None:
        return {"select": "(rules on by default)", "jobs": "(chosen automatically)"}.get(key, "(none)")
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
    """As many items as fit next to the key and the origin, and the number of the rest. JSON has all of them."""
    fitting = next(
        (end for end in range(len(items)) if len(", ".join(items[: end + 1])) > _LIST_WIDTH), len(items)
    )
    return items if fitting == len(items) else [*items[:fitting], f"... {len(items) - fitting} more"]
