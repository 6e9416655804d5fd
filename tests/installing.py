"""An environment in which pip installs this checkout without a network: what it would fetch is lent by the tests' own."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

#: What the linter and its build need, as modules.
LENT = (
    "libcst",
    "yaml",
    "yaml_ft",
    "_yaml",
    "tomli",
    "hatchling",
    "pathspec",
    "pluggy",
    "packaging",
    "trove_classifiers",
)


def offline(folder: Path) -> dict[str, str]:
    """Environment variables for a process that installs this checkout; `folder` is filled with what is lent."""
    for name in LENT:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            origin = Path(spec.origin)
            source = origin.parent if origin.stem == "__init__" else origin
            (folder / source.name).symlink_to(source)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "SYSTEMROOT") if name in os.environ}
    return {
        **kept,
        "PYTHONPATH": str(folder),
        "PIP_NO_DEPS": "1",
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads this name the other way round: 0 is "no isolation"
    }
