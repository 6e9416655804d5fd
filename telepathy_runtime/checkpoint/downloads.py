"""Checks before a download how much has to be downloaded, and whether the cache has space for it."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from telepathy_runtime.checkpoint import files as checkpoint
from telepathy_runtime.errors import DiskFullError, ReadOnlyCacheError
from telepathy_runtime.machine import caches
from telepathy_runtime.machine.caches import Cache

_TIMEOUT = 10.0  # seconds; after a timeout the load continues and contacts the hub itself


@dataclass(frozen=True)
class Download:
    """`size` of the `total` bytes of weights are not in `cache` yet; None if the hub did not report sizes.

    `begun` is true if the cache contains any file of the repository. If the size is unknown, this may already be all that
    is needed, for example an adapter or a GGUF file.
    """

    model_id: str
    size: int | None
    cache: Cache
    total: int | None = None
    begun: bool = False

    def describe(self) -> str:
        size = "an unknown size" if self.size is None else f"{self.size / 2**30:.2f} GiB"
        free = "" if self.cache.free_bytes is None else f", {self.cache.free_bytes / 2**30:.2f} GiB free"
        return f"download = {size} into {self.cache.path} (from {self.cache.chosen_by}{free})"


def needed(model_id: str, keywords: Mapping[str, Any]) -> Download | None:
    """The missing weights of a hub repository; None if nothing is missing, or nothing may be downloaded.

    `keywords` are those of from_pretrained.
    """
    if not is_hub_id(model_id) or caches.offline() or keywords.get("local_files_only"):
        return None
    present = _present(model_id, keywords)
    if present is None:
        return None
    cache = caches.hub_cache(cache_dir=keywords.get("cache_dir"))
    total = _remote_size(model_id, keywords)
    size = None if total is None else max(0, total - present)
    begun = checkpoint.located(model_id, keywords) is not None
    return Download(model_id, size, cache, total, begun)


def refuse_hopeless(download: Download | None) -> None:
    """Raise ReadOnlyCacheError or DiskFullError if the download cannot succeed."""
    if download is None:
        return
    cache = download.cache
    asked = f"downloading {download.model_id!r}"
    if not cache.writable and not (download.begun and not download.size):
        error: Any = ReadOnlyCacheError(
            asked,
            f"the cache {cache.path} (from {cache.chosen_by}) is not writable",
            "point HF_HOME or cache_dir= at a writable folder, or download the files beforehand",
        )
        error.errno = errno.EACCES
        raise error
    if download.size is not None and cache.free_bytes is not None and download.size > cache.free_bytes:
        error = DiskFullError(
            asked,
            f"the download takes {download.size / 2**30:.2f} GiB and the disk of {cache.path} (from {cache.chosen_by}) has "
            f"{cache.free_bytes / 2**30:.2f} GiB free",
            "free some space, or point HF_HOME or cache_dir= at a larger disk",
        )
        error.errno = errno.ENOSPC
        raise error


def is_hub_id(model_id: str) -> bool:
    """Whether this must be a repository: there is no folder with this name, and it does not look like a path."""
    return not looks_like_path(model_id) and not os.path.exists(model_id)


def looks_like_path(model_id: str) -> bool:
    """Whether `model_id` looks like a path: a hub id has at most one slash and does not begin with a dot or slash."""
    return model_id.startswith((".", "/", "~")) or model_id.count("/") > 1 or "\\" in model_id


def _present(model_id: str, keywords: Mapping[str, Any]) -> int | None:
    """Bytes of the weights that are already in the cache; None if all of them are."""
    folder = checkpoint.located(model_id, keywords)
    if folder is None:
        return 0
    try:
        found = checkpoint.read(folder, variant=keywords.get("variant"))
    except (checkpoint.UnreadableError, OSError):
        return None  # damaged: loading it raises the error
    if found is None:
        return 0
    here = [file for file in found.files if file.is_file()]
    return None if len(here) == len(found.files) else sum(file.stat().st_size for file in here)


def _remote_size(model_id: str, keywords: Mapping[str, Any]) -> int | None:
    """Bytes of the weight files that transformers would choose, from the hub's file list."""
    try:
        from huggingface_hub import HfApi

        info = HfApi().model_info(
            model_id,
            revision=keywords.get("revision"),
            files_metadata=True,
            timeout=_TIMEOUT,
            token=keywords.get("token"),
        )
        sizes = {str(entry.rfilename): int(entry.size or 0) for entry in info.siblings or ()}
    except Exception:
        return None  # gated, missing or unreachable: from_pretrained raises the error
    prefix = f"{keywords['subfolder']}/" if keywords.get("subfolder") else ""
    for start, end in (("model", ".safetensors"), ("pytorch_model", ".bin")):
        chosen = [
            size
            for name, size in sizes.items()
            if name.startswith(prefix + start) and name.endswith(end) and size
        ]
        if chosen:
            return sum(chosen)
    return None
