"""The cache folders of Hugging Face: their locations, whether they are writable, and their free space.

The environment variables are read with the same precedence as in huggingface_hub and transformers, without importing
them. Nothing is created.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

VARIABLES = (
    "HF_HOME",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "TRANSFORMERS_CACHE",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_ENDPOINT",
)


@dataclass(frozen=True)
class Cache:
    """The hub cache folder, the variable that set it, and the state of its disk. Bytes are integers."""

    path: Path
    chosen_by: str
    exists: bool
    writable: bool
    free_bytes: int | None


def hub_cache(
    environ: Mapping[str, str] | None = None, cache_dir: str | os.PathLike[str] | None = None
) -> Cache:
    """The folder into which `from_pretrained(..., cache_dir=cache_dir)` puts downloads."""
    environ = os.environ if environ is None else environ
    path, chosen_by = _hub_path(environ, cache_dir)
    standing = _nearest_existing(path)
    try:
        free: int | None = shutil.disk_usage(standing).free
    except OSError:
        free = None
    return Cache(path, chosen_by, path.is_dir(), _accepts_files(standing), free)


def _hub_path(environ: Mapping[str, str], cache_dir: str | os.PathLike[str] | None) -> tuple[Path, str]:
    if cache_dir is not None:
        return Path(cache_dir).expanduser(), "cache_dir"
    # In transformers 4, TRANSFORMERS_CACHE overrides the hub's own variables.
    for name in ("TRANSFORMERS_CACHE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if environ.get(name) and (name != "TRANSFORMERS_CACHE" or _reads_transformers_cache()):
            return Path(environ[name]).expanduser(), name
    if environ.get("HF_HOME"):
        return Path(environ["HF_HOME"]).expanduser() / "hub", "HF_HOME"
    if environ.get("XDG_CACHE_HOME"):
        return Path(environ["XDG_CACHE_HOME"]).expanduser() / "huggingface" / "hub", "XDG_CACHE_HOME"
    return Path.home() / ".cache" / "huggingface" / "hub", "default"


def _reads_transformers_cache() -> bool:
    from telepathy_runtime.machine.environment import installed_versions, release

    version = installed_versions().get("transformers")
    return version is not None and release(version) < (5,)


def _nearest_existing(path: Path) -> Path:
    for folder in (path, *path.parents):
        if folder.exists():
            return folder
    return Path.cwd()


def _accepts_files(folder: Path) -> bool:
    """Check permissions and mount flags. On some kernels, os.access is true for root on a read-only file system."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    read_only = getattr(os, "ST_RDONLY", 1)
    try:
        return not os.statvfs(folder).f_flag & read_only
    except (AttributeError, OSError):
        return True


def offline(environ: Mapping[str, str] | None = None) -> str | None:
    """The variable that turns off network access; None if there is none."""
    environ = os.environ if environ is None else environ
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if environ.get(name, "").strip().upper() in {"1", "ON", "YES", "TRUE"}:
            return name
    return None


def snapshot(
    model_id: str,
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Path | None:
    """The folder of a hub repository in the cache; None if it is not cached."""
    root = _hub_path(os.environ if environ is None else environ, cache_dir)[0]
    repository = root / ("models--" + model_id.replace("/", "--"))
    wanted = revision or "main"
    reference = repository / "refs" / wanted
    try:
        commit = reference.read_text(encoding="utf-8").strip() if os.path.isfile(reference) else wanted
    except (OSError, ValueError):
        return None
    folder = repository / "snapshots" / commit
    return folder if os.path.isdir(folder) else None
