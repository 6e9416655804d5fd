"""The models of a project's own registry, the file that `model-registry` names."""

from __future__ import annotations

import os

from telepathy_lint.discovery.sections import ConfigError
from telepathy_lint.hints import Any

#: The path of a file -> the time of its last change, and the models that were read then.
_READ: dict[str, tuple[int, tuple[Any, ...]]] = {}


def own_models(root: str, name: str, origin: str) -> tuple[Any, ...]:
    """The models in a registry file, read again when it has changed; `origin` is the configuration that names it.

    Raises:
        ConfigError: the file is missing or invalid.
    """
    from telepathy_runtime.models.registry import read_toml

    path = os.path.join(root, name)
    try:
        stamp = os.stat(path).st_mtime_ns
        known = _READ.get(path)
        if known is None or known[0] != stamp:
            known = _READ[path] = (stamp, read_toml(path)[0])
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{origin}: 'model-registry' {name!r}: {reason}") from error
    return known[1]
