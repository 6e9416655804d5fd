"""The known models: exact dimensions, old names, and the families whose ids are all known.

`models.json` is read once, on first use. The module does not import torch or transformers, so the linter can use it (for
ids, only `families`); imports that are rarely needed are inside functions.
A model that is not listed is read from its own `config.json` with `lookup.from_config`.
"""

from __future__ import annotations

import os
from dataclasses import MISSING, replace
from dataclasses import fields as dataclass_fields
from functools import cache
from typing import Any

from telepathy_runtime.models.architectures import counted_spec, spec_from_config
from telepathy_runtime.models.consistency import check_model
from telepathy_runtime.models.families import (
    Family,
    IdStatus,
    canonical_id,
    check_id,
    families,
    family_of,
    nearest_ids,
)
from telepathy_runtime.models.spec import ConfigError, ModelSpec, UnknownOptionError, element_size

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
    "entries",
    "families",
    "find",
    "get",
    "ids",
    "listed_config",
    "listed_ids",
    "nearest_ids",
    "published_params",
    "read_toml",
]


FILE = os.path.join(os.path.dirname(__file__), "models.json")
"""The built-in registry."""


class UnknownModelError(ValueError):
    """The dimensions of a model id are unknown; the message names the closest known ids."""


def find(model_id: str) -> ModelSpec | None:
    """The dimensions of a model as `get` gives them; None if it is not listed."""
    present = _present(model_id)
    return _spec(present) if present in _index() else None


def get(model_id: str) -> ModelSpec:
    """The dimensions of a listed model; `spec.id` is the present id, even if an old one was given.

    Raises UnknownModelError with the closest listed ids, which take long to find: `find` does not look for them.
    """
    spec = find(model_id)
    if spec is not None:
        return spec
    nearest = nearest_ids(model_id, [*_index(), *_shipped()["aliases"]])
    hint = f"; nearest: {', '.join(nearest)}" if nearest else ""
    exists = " (the model exists, its dimensions are not listed)" if canonical_id(model_id) else ""
    raise UnknownModelError(
        f"no dimensions known for model {model_id!r}{exists}{hint}; "
        "for any other model give the folder or file of its config.json"
    )


def all_models() -> tuple[ModelSpec, ...]:
    """Every listed model, in the order of `models.json`."""
    return tuple(_spec(model_id) for model_id in _index())


def listed_ids() -> tuple[str, ...]:
    """The present ids of every listed model, in the order of `models.json`."""
    return tuple(_index())


def ids() -> frozenset[str]:
    """Every id that `find` knows: the listed ones, and old names of them."""
    old = (name for family in families() for name, _ in family.renamed)
    return frozenset(each for each in (*_index(), *_shipped()["aliases"], *old) if find(each) is not None)


def entries() -> tuple[tuple[str, ...], ...]:
    """The ids of each entry of `models.json`: models that share every dimension."""
    return tuple(tuple(entry["ids"]) for group in _shipped()["groups"] for entry in group["models"])


def listed_config(model_id: str) -> dict[str, Any]:
    """The part of a listed model's config.json that determines its sizes.

    Raises UnknownModelError.
    """
    group, entry = _index()[get(model_id).id]
    config: dict[str, Any] = group["config"] | entry["config"]
    return config


def published_params(model_id: str) -> int | str:
    """The number of parameters from the hub or the model card, exact or rounded ("6.74B"); not computed."""
    published: int | str = _index()[get(model_id).id][1]["published"]
    return published


def read_toml(path: str | os.PathLike[str]) -> tuple[tuple[ModelSpec, ...], tuple[Family, ...]]:
    """Read models and families from a project's own TOML file.

    A `[[model]]` has the fields of `ModelSpec`, but `ids` instead of `id`; a `[[family]]` is as in `families.py`.
    Raises FileNotFoundError, or ConfigError that names the entry and the missing, unknown or invalid key.
    """
    import sys
    from importlib import import_module

    # Not an import statement: type checkers for 3.10 would look for tomli, those for 3.11 would not.
    tomllib: Any = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        with open(path, "rb") as file:
            data = tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    unknown = sorted(set(data) - {"model", "family"})
    if unknown:
        raise ConfigError(f"{path}: unknown {', '.join(unknown)}; known: [[model]] and [[family]]")
    try:
        models = tuple(spec for entry in _tables(data, "model") for spec in _models(entry))
        return models, tuple(_family(entry) for entry in _tables(data, "family"))
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error


def _tables(data: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = data.get(name, [])
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise ConfigError(f"each {name} must be a table under [[{name}]], with two brackets")
    return found


def _family(entry: dict[str, Any]) -> Family:
    try:
        return family_of(entry)
    except KeyError as error:
        raise ConfigError(f"a [[family]] is incomplete: it lacks {error.args[0]}") from error
    except (TypeError, AttributeError) as error:
        raise ConfigError(f"a [[family]] has a value of the wrong kind: {error}") from error


@cache
def _shipped() -> dict[str, Any]:
    import json

    with open(FILE, encoding="utf-8") as file:
        data: dict[str, Any] = json.load(file)
    return data


@cache
def _index() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Present id -> its group and its entry in `models.json`."""
    return {
        model_id: (group, entry)
        for group in _shipped()["groups"]
        for entry in group["models"]
        for model_id in entry["ids"]
    }


def _present(model_id: str) -> str:
    renamed: str | None = _shipped()["aliases"].get(model_id)
    return renamed or canonical_id(model_id) or model_id


@cache
def _spec(model_id: str) -> ModelSpec:
    group, entry = _index()[model_id]
    config = group["config"] | entry["config"]
    if "counted" not in entry:
        spec = spec_from_config(config, model_id)
    else:
        more = entry.get("stored_bytes", 0), entry.get("tower", 0)
        spec = counted_spec(config, model_id, entry["counted"], *more)
    return replace(spec, family=group["family"])


#: Fields of a ModelSpec that must be at least 1.
_POSITIVE = ("layers", "hidden", "intermediate", "heads", "kv_heads", "head_dim", "vocab", "max_positions")


def _models(entry: dict[str, Any]) -> list[ModelSpec]:
    """The specs of a [[model]]. Raises ConfigError for a key or a value that makes none."""
    ids = entry.get("ids")
    if not isinstance(ids, list) or not ids or not all(isinstance(each, str) and each for each in ids):
        raise ConfigError(f'a [[model]] needs ids, a list of strings such as ["me/my-model"], not {ids!r}')
    label = f"model {', '.join(ids)}"
    known = {field.name: field for field in dataclass_fields(ModelSpec) if field.name not in ("id", "vision")}
    fields = {key: value for key, value in entry.items() if key != "ids"}
    unknown = [key for key in fields if key not in known]
    if unknown:
        near = nearest_ids(unknown[0], list(known))
        raise ConfigError(
            f"{label} has an unknown key {unknown[0]}; nearest: {', '.join(near or sorted(known))}"
        )
    missing = [key for key, field in known.items() if field.default is MISSING and key not in fields]
    if missing:
        raise ConfigError(f"{label} is incomplete or has an unknown key: it lacks {', '.join(missing)}")
    for name, value in fields.items():
        _check_value(label, name, value, known[name].type)
    for name in _POSITIVE:
        if fields[name] < 1:
            raise ConfigError(f"{label}: {name} must be a positive integer, not {fields[name]!r}")
    element_size(fields.get("dtype", "bfloat16"))
    specs = [ModelSpec(id=model_id, **fields) for model_id in ids]
    text = {"model_type": specs[0].architecture}
    check_model(text, {key: getattr(specs[0], key) for key in known}, label)
    return specs


_WORDS = {"int": "an integer", "float": "a number", "bool": "true or false", "str": "a string"}


def _check_value(label: str, name: str, value: Any, kind: Any) -> None:
    """Raise ConfigError for a value of another kind than a field of ModelSpec has."""
    kinds: dict[str, Any] = {"int": int, "float": (int, float), "bool": bool, "str": str}
    right = isinstance(value, kinds[kind]) and (kind == "bool" or not isinstance(value, bool))
    if name in _POSITIVE and not right:
        raise ConfigError(f"{label}: {name} must be a positive integer, not {value!r}")
    if not right or (name == "rotated" and not 0 <= value <= 1):
        raise ConfigError(f"{label}: {name} must be {_WORDS[kind]}, not {value!r}")
