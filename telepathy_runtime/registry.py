"""The known models: exact dimensions, old names, and the families whose ids are known completely.

Reads `models.toml` once, when first asked; imports neither torch nor transformers, so the linter can use it (for ids,
`families` alone), and what only its rarer questions need is imported when they are asked.
A model that is not listed is read from its own `config.json` with `from_config`.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib import import_module
from typing import Any

from telepathy_runtime.architectures import ConfigError, spec_from_config
from telepathy_runtime.families import (
    Family,
    IdStatus,
    canonical_id,
    check_id,
    families,
    family_of,
    nearest_ids,
)
from telepathy_runtime.model_spec import ModelSpec, UnknownOptionError

# By name, because a type checker for 3.10 looks for tomli and one for 3.11 does not.
tomllib: Any = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

__all__ = [
    "ConfigError",
    "Family",
    "IdStatus",
    "ModelSpec",
    "UnknownModelError",
    "UnknownOptionError",
    "all_models",
    "canonical_id",
    "check_id",
    "families",
    "from_config",
    "get",
    "published_bytes",
    "read_toml",
]


_SHIPPED = os.path.join(os.path.dirname(__file__), "models.toml")


class UnknownModelError(ValueError):
    """A model id without known dimensions; the message names the nearest ids that have them."""


def get(model_id: str) -> ModelSpec:
    """The dimensions of a listed model; `spec.id` is the present id where an old one was given.

    Raises UnknownModelError with the nearest listed ids.
    """
    table = _specs()
    found = table.get(canonical_id(model_id) or model_id)
    if found is not None:
        return found
    nearest = nearest_ids(model_id, list(table))
    hint = f"; nearest: {', '.join(nearest)}" if nearest else ""
    exists = " (the model exists, its dimensions are not listed)" if canonical_id(model_id) else ""
    raise UnknownModelError(
        f"no dimensions known for model {model_id!r}{exists}{hint}; "
        "for any other model give the folder or file of its config.json"
    )


def all_models() -> tuple[ModelSpec, ...]:
    """Every listed model, in the order of `models.toml`."""
    return tuple(_specs().values())


def from_config(path: str | os.PathLike[str], model_id: str | None = None) -> ModelSpec:
    """The dimensions of a model on disk: `path` is its folder or its `config.json`.

    Raises FileNotFoundError, ConfigError (a dimension is missing) or UnknownOptionError (architecture, dtype).
    """
    import json
    from pathlib import Path

    file = Path(path)
    if file.is_dir():
        file = file / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ConfigError(f"{file}: not valid JSON: {error}") from error
    if not isinstance(config, dict):
        raise ConfigError(f"{file}: a config.json holds an object")
    return spec_from_config(config, model_id or str(config.get("_name_or_path") or file.parent.name))


def published_bytes(model_id: str) -> int:
    """Bytes of the published weights as the hub states them, for tests and reports; not computed."""
    return _totals()[get(model_id).id]


def read_toml(path: str | os.PathLike[str]) -> tuple[tuple[ModelSpec, ...], tuple[Family, ...]]:
    """Models and families of a TOML file, such as a project's own: `[[model]]` as in `models.toml`, `[[family]]` as in
    `families.py`.

    Raises FileNotFoundError, or ConfigError naming the entry and the key that is missing or unknown.
    """
    try:
        data = _read_toml(path)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    try:
        models = tuple(spec for entry in data.get("model", ()) for spec in _models(entry))
        return models, tuple(family_of(entry) for entry in data.get("family", ()))
    except (KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: a model or family entry is incomplete or has an unknown key: {error}"
        ) from error


def _read_toml(path: str | os.PathLike[str]) -> Any:
    with open(path, "rb") as file:
        return tomllib.load(file)


@cache
def _shipped() -> dict[str, Any]:
    data: dict[str, Any] = _read_toml(_SHIPPED)
    return data


def _models(entry: dict[str, Any]) -> list[ModelSpec]:
    fields = {k: v for k, v in entry.items() if k not in ("ids", "total_size", "max_positions_of")}
    positions = entry.get("max_positions_of", {})
    return [
        ModelSpec(
            id=model_id, **(fields | {"max_positions": positions.get(model_id, fields["max_positions"])})
        )
        for model_id in entry["ids"]
    ]


@cache
def _specs() -> dict[str, ModelSpec]:
    return {spec.id: spec for entry in _shipped()["model"] for spec in _models(entry)}


@cache
def _totals() -> dict[str, int]:
    return {model_id: entry["total_size"] for entry in _shipped()["model"] for model_id in entry["ids"]}
