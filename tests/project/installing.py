"""Copies of this checkout, and an environment in which pip can install it without a network."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
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
    """Environment variables for a process that installs this checkout; `folder` gets links to the needed modules."""
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


def copy_project(folder: Path) -> None:
    """Copy the files from which packages are built into `folder`."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    included = project.partition("\n[tool.hatch.build.targets.sdist]\n")[2].partition("\n]\n")[0]
    names = re.findall(r'"([^"]+)"', included)
    assert names, "pyproject.toml says what the sdist includes"
    for name in (*names, "README.md", "LICENSE", "pyproject.toml", ".gitignore"):
        source, copy = ROOT / name, folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(
                source, copy, ignore=shutil.ignore_patterns("__pycache__", ".*_cache", "node_modules")
            )
        elif source.exists():  # an unpacked sdist has no .gitignore of ours
            shutil.copyfile(source, copy)
