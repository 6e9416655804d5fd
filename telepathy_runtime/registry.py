"""The public names of `telepathy_runtime.models`: the known models, and models read from their own files."""

from telepathy_runtime.models.lookup import from_config
from telepathy_runtime.models.registry import (
    ConfigError,
    Family,
    IdStatus,
    ModelSpec,
    UnknownModelError,
    UnknownOptionError,
    all_models,
    canonical_id,
    check_id,
    families,
    get,
    listed_ids,
    nearest_ids,
    read_toml,
)

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
    "listed_ids",
    "nearest_ids",
    "read_toml",
]
