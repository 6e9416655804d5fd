"""Looks up a model's dimensions: in a path, the project's own file, the registry, the hub cache, and on request the hub.

A path takes precedence, as in `from_pretrained`. Weights are never read, only headers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from telepathy_runtime.checkpoint import files as checkpoint
from telepathy_runtime.machine import caches
from telepathy_runtime.models import registry
from telepathy_runtime.models.architectures import VISION, counted_spec, spec_from_config
from telepathy_runtime.models.consistency import DECODERS, check_kinds
from telepathy_runtime.models.spec import ConfigError, ModelSpec, UnknownOptionError

if TYPE_CHECKING:
    from telepathy_runtime.models.counting import Count


class Sources(NamedTuple):
    """Sources of models in addition to the built-in registry."""

    registry: str | None = None  # the project's own TOML file
    online: bool = False  # fetch config.json from the hub as the last resort


def find(model: str, sources: Sources = Sources()) -> ModelSpec:  # noqa: B008 (a tuple of constants)
    """The spec of an id or of a path: a folder, a config.json, a .safetensors or a .gguf file.

    Raises UnknownModelError if the model is unknown, and the errors of `read_path`.
    """
    if os.path.exists(model):
        return read_path(Path(model))
    own = {spec.id: spec for spec in registry.read_toml(sources.registry)[0]} if sources.registry else {}
    if model in own:
        return own[model]
    try:
        return registry.get(model)
    except registry.UnknownModelError as unknown:
        folder = cached(model)
        if folder is not None:
            return read_path(folder, model)
        if sources.online:
            from telepathy_runtime.models.hub import fetch_config

            return from_parsed(fetch_config(model), model)
        near = registry.nearest_ids(model, list(own))
        also = f"; in {sources.registry}: {', '.join(near)}" if near else ""
        looked = (
            f"{unknown}{also}; it is not in the hub cache either; --online asks the hub for its config.json"
        )
        raise registry.UnknownModelError(looked) from None


def cached(model: str) -> Path | None:
    """The snapshot of a model in the hub cache that contains its config.json."""
    folder = caches.snapshot(model)
    return folder if folder is not None and (folder / "config.json").is_file() else None


def from_config(path: str | os.PathLike[str], model_id: str | None = None) -> ModelSpec:
    """The dimensions of a model on disk: `path` is its folder, its `config.json`, or a .safetensors or .gguf file.

    Models without a closed form are counted by building them with transformers, if it is installed.
    Raises FileNotFoundError, ConfigError (a dimension is missing), UnknownOptionError (architecture, dtype) or
    checkpoint.UnreadableError (a damaged header).
    """
    return read_path(Path(path), model_id or "")


def read_path(path: Path, model_id: str = "") -> ModelSpec:
    """The dimensions of a model on disk, from its config.json, or from the headers of its weights if there is none.

    Raises FileNotFoundError, ConfigError, UnknownOptionError, or checkpoint.UnreadableError for a damaged header.
    """
    if path.suffix == ".gguf":
        return _gguf(path, model_id or path.stem)
    if path.suffix == ".safetensors":
        return _headers(checkpoint.header(path), model_id or path.stem)
    folder = path if path.is_dir() else path.parent
    file = path / "config.json" if path.is_dir() else path
    if path.is_dir() and not file.is_file():
        weights = checkpoint.read(path)
        if weights is not None and weights.tensors:
            return _headers(weights.tensors, model_id or path.resolve().name)
        found = sorted(path.glob("*.gguf"))
        if len(found) == 1:
            return _gguf(found[0], model_id or path.resolve().name)
        if found:
            raise ConfigError(f"{path} contains {len(found)} GGUF files: name one, such as {found[0].name}")
    config = _json(file)
    return from_parsed(config, model_id or str(config.get("_name_or_path") or folder.resolve().name), folder)


def from_parsed(config: dict[str, Any], model_id: str, folder: Path | None = None) -> ModelSpec:
    """The dimensions in a config.json: in closed form, or counted by building the model with transformers.

    Quantised weights are read from the headers in `folder` if they exist, else computed from their method's layout.
    Raises ConfigError, UnknownOptionError.
    """
    check_kinds(config)
    if not config.get("model_type"):
        raise ConfigError(
            f'{model_id}: config.json has no model_type, which says what model it is; add it (such as "llama"), or give the folder '
            "of a model"
        )
    if not config.get("quantization_config"):
        try:
            return spec_from_config(config, model_id)
        except UnknownOptionError as error:
            reason = error
    else:
        reason = UnknownOptionError("quantised weights have no closed form")
    from telepathy_runtime.models.counting import count

    try:
        counted = count(config)
    except ModuleNotFoundError as error:
        raise UnknownOptionError(
            f"{reason}; with torch and transformers any architecture is counted: pip install 'telepathy-lint[runtime]'"
        ) from error
    stored = counted.stored_bytes
    if stored and folder is not None:
        weights = checkpoint.read(folder)
        stored = weights.stored_bytes if weights is not None and weights.tensors else stored
    return _with_dimensions(config, model_id, counted._replace(stored_bytes=stored))


def _with_dimensions(config: dict[str, Any], model_id: str, counted: Count) -> ModelSpec:
    """The spec of a counted model; a quantised model with a closed form gets all dimensions."""
    params, stored, _ = counted
    plain = {key: value for key, value in config.items() if key != "quantization_config"}
    if stored:
        try:
            spec = spec_from_config(plain, model_id)
        except UnknownOptionError:
            pass
        else:
            if spec.params == params:
                return replace(spec, stored_bytes=stored)
    if config.get("model_type") in (*VISION, *DECODERS):  # whose files may leave out what has the default
        from telepathy_runtime.models.counting import completed

        config = completed(config)
    return counted_spec(config, model_id, *counted)


#: dtypes of safetensors with one element per weight, and their names in torch.
_DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}


def _headers(tensors: Mapping[str, checkpoint.Tensor], model_id: str) -> ModelSpec:
    sizes: dict[str, int] = {}
    for tensor in tensors.values():
        sizes[tensor.dtype] = sizes.get(tensor.dtype, 0) + tensor.stored_bytes
    most = max(sizes, key=lambda dtype: sizes[dtype], default="")
    mixed = set(sizes) - {most}
    dtype = _DTYPES.get(most)
    params = sum(tensor.parameters for tensor in tensors.values())
    if not params:
        raise ConfigError(f"{model_id}: no tensor in the headers")
    stored = sum(sizes.values()) if mixed or dtype is None else 0
    return counted_spec({"dtype": dtype or "bfloat16"}, model_id, params, stored)


def _gguf(file: Path, model_id: str) -> ModelSpec:
    from telepathy_runtime.checkpoint import gguf

    found = gguf.header(file)
    if not found.parameters:
        raise ConfigError(f"{model_id}: no tensor in the header")
    return counted_spec(gguf.config_of(found), model_id, found.parameters, found.stored_bytes)


def _json(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file}: not valid JSON: {error}") from error
    if not isinstance(config, dict):
        raise ConfigError(f"{file}: a config.json must contain a JSON object")
    return config


def search(text: str, specs: Sequence[ModelSpec]) -> list[ModelSpec]:
    """The models whose id or family contains every word of `text`, ignoring case."""
    words = text.casefold().split()
    return [
        s for s in specs if all(word in f"{s.id} {s.family} {s.architecture}".casefold() for word in words)
    ]
