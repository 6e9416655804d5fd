"""Reads the flags of a model class from the config, without building the model.

The flags are needed before the load, because an attention name that the class does not support is an error.
No code of the checkpoint is executed: if it has its own code, the class is unknown.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from telepathy_runtime.checkpoint import files as checkpoint
from telepathy_runtime.choose.attention import ClassTraits
from telepathy_runtime.machine.environment import need

# The keywords of from_pretrained that decide which config is read.
_LOCATION = ("revision", "token", "cache_dir", "subfolder", "local_files_only", "force_download", "proxies")


def peek_config(model_id: str | os.PathLike[str], keywords: Mapping[str, Any]) -> Any:
    """Return the config that from_pretrained will use; None if that would need code of the checkpoint.

    A cached or local config.json is read from disk; the hub is used only if the checkpoint has to be
    downloaded anyway. Errors are left to from_pretrained, which has better messages.
    """
    given = keywords.get("config")
    if given is not None and not isinstance(given, (str, os.PathLike)):
        return given
    transformers = need("transformers")
    try:
        content = config_dict(given if given is not None else model_id, keywords)
        if content is None or "auto_map" in content:
            return None
        mapping = transformers.CONFIG_MAPPING
        return mapping[content["model_type"]].from_dict(content)
    except Exception:
        return None


def config_dict(model_id: str | os.PathLike[str], keywords: Mapping[str, Any]) -> dict[str, Any] | None:
    folder = checkpoint.located(model_id, keywords)
    if folder is not None:
        return checkpoint.config(folder)
    asked = {name: keywords[name] for name in _LOCATION if name in keywords}
    found: dict[str, Any] = need("transformers").PretrainedConfig.get_config_dict(model_id, **asked)[0]
    return found


def concrete_class(model_class: Any, config: Any) -> Any:
    """Return the class that an Auto class picks for `config`, or the class itself; None if unknown."""
    mapping = getattr(model_class, "_model_mapping", None)
    if mapping is None:
        return model_class
    if config is None or type(config) not in mapping:
        return None
    try:
        candidates = mapping[type(config)]
    except Exception:  # this release maps the config to a class that it does not have
        return None
    if not isinstance(candidates, (list, tuple)):
        return candidates
    by_name = {candidate.__name__: candidate for candidate in candidates}
    for name in getattr(config, "architectures", None) or ():
        if name in by_name:
            return by_name[name]
    return candidates[0]


def traits_of(model_class: Any, config: Any) -> ClassTraits | None:
    """Return the flags of the loaded class and of its parts; None if it is not a transformers class."""
    found = concrete_class(model_class, config)
    if config is None or found is None or not hasattr(found, "_supports_sdpa"):
        return None
    return _traits(found, config, _parts(config))


def _parts(config: Any) -> tuple[ClassTraits, ...]:
    """The models inside a composite model; transformers sets the requested attention on each of them."""
    transformers = need("transformers")
    parts = []
    for name in sub_configs(config):
        inner = getattr(config, name, None)
        found = concrete_class(transformers.AutoModel, inner) if inner is not None else None
        if found is not None:
            parts.append(_traits(found, inner, ()))
    return tuple(parts)


def _traits(model: Any, config: Any, parts: tuple[ClassTraits, ...]) -> ClassTraits:
    flash = getattr(model, "_supports_flash_attn", None)
    if flash is None:  # the name before transformers 4.5x
        flash = getattr(model, "_supports_flash_attn_2", False)
    can_generate = getattr(model, "can_generate", None)
    return ClassTraits(
        name=model.__name__,
        sdpa=bool(getattr(model, "_supports_sdpa", False)),
        flash=bool(flash),
        flex=bool(getattr(model, "_supports_flex_attn", False)),
        generates=bool(can_generate()) if can_generate is not None else False,
        only_flash=tuple(getattr(model, "_compatible_flash_implementations", None) or ()),
        head_size=_head_size(config),
        parts=parts,
    )


def sub_configs(config: Any) -> tuple[str, ...]:
    """The names of the configs inside a composite config. Some classes of transformers 4 compute them per instance."""
    found = getattr(config, "sub_configs", None)
    return tuple(found) if isinstance(found, Mapping) else ()


def saved_dtype(config: Any) -> str | None:
    """The dtype that the checkpoint was saved in, from its config."""
    fields = getattr(config, "__dict__", {})  # the attribute torch_dtype logs a deprecation warning
    found = fields.get("dtype") or fields.get("torch_dtype")
    return str(found).removeprefix("torch.") if found is not None else None


def _head_size(config: Any) -> int | None:
    size = getattr(config, "head_dim", None)
    if isinstance(size, int):
        return size
    hidden, heads = getattr(config, "hidden_size", None), getattr(config, "num_attention_heads", None)
    return hidden // heads if isinstance(hidden, int) and isinstance(heads, int) and heads else None
