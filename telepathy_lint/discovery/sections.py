"""Reads TOML files, and recognises a section for us whose name is misspelled."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping

from telepathy_lint.hints import Any

SECTION = "telepathy-lint"
#: The name in a section header: the text between the brackets, after `tool.`.
_HEADERS = r"""(?m)^[ \t]*\[[ \t]*(?:["']?tool["']?[ \t]*\.[ \t]*)?["']?([\w-]+)"""


class ConfigError(Exception):
    """The configuration is invalid; the message says where, what is wrong and what to do."""


def may_be_misnamed(data: bytes) -> bool:
    """Whether a header of a pyproject.toml looks like a misspelling of the section's name."""
    if b"[" not in data or b"tele" not in data.lower():
        return False
    import re

    return any(_is_nearly_ours(name) for name in re.findall(_HEADERS, data.decode("utf-8", "replace")))


def _is_nearly_ours(name: str) -> bool:
    plain, ours = ("".join(filter(str.isalnum, word.lower())) for word in (name, SECTION))
    if plain == ours:
        return True
    import difflib

    return difflib.SequenceMatcher(None, plain, ours).ratio() >= 0.85


def refuse_misnamed(path: str, document: Mapping[str, Any], tool: Mapping[str, Any]) -> None:
    """Raise an error for a section with a misspelled name, which would otherwise be ignored silently."""
    wrong = [f"tool.{name}" for name in tool if name != SECTION and _is_nearly_ours(name)]
    wrong += [name for name in document if name != "tool" and _is_nearly_ours(name)]
    if wrong:
        raise ConfigError(f"{path}: unknown section [{wrong[0]}]; did you mean [tool.{SECTION}]?")


def parse_toml(path: str, data: bytes) -> dict[str, Any]:
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        document: dict[str, Any] = toml.loads(data.decode("utf-8"))
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError are both
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: not valid TOML: nested too deeply") from error
    return document
