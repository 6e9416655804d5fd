"""Turns an exception of transformers, the hub or the file system into a LoadError that names its cause.

An exception that matches no cause is not changed: a wrong explanation is worse than a traceback.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from telepathy_runtime import errors
from telepathy_runtime.checkpoint import downloads
from telepathy_runtime.checkpoint import files as checkpoint
from telepathy_runtime.choose.plan import LoadPlan
from telepathy_runtime.choose.tokenization import TokenizerRequest
from telepathy_runtime.errors import LoadError
from telepathy_runtime.failures import hints, mismatch, options
from telepathy_runtime.failures.failure import Failure, failure_of
from telepathy_runtime.machine import caches


@contextmanager
def explained(asked: LoadPlan | TokenizerRequest) -> Iterator[None]:
    """Raise the LoadError that explains an exception raised inside, with the exception as its cause."""
    try:
        yield
    except LoadError:
        raise
    except Exception as error:
        failure = failure_of(asked, error)
        for explain in _CAUSES:
            found = explain(failure)
            if found is not None:
                raise errors.explaining(hints.of_an_adapter(failure, found), error) from error
        raise


def _disk_full(failure: Failure) -> LoadError | None:
    full = failure.numbered(errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
    if full is None and not failure.says("no space left on device", "disk quota exceeded", r"os error 28\b"):
        return None
    folder = full.filename if full is not None and full.filename else failure.keywords.get("offload_folder")
    cache = failure.cache()
    where = Path(folder) if folder else cache.path
    free = "" if cache.free_bytes is None or folder else f", {cache.free_bytes / 2**30:.2f} GiB free"
    return errors.DiskFullError(
        failure.asked,
        f"no space left on the disk of {where}{free}",
        "free some space, or point HF_HOME or cache_dir= (offload_folder= for spilled weights) at a larger disk",
    )


def _not_writable(failure: Failure) -> LoadError | None:
    refused = failure.numbered(errno.EACCES, errno.EROFS, errno.EPERM)
    if refused is None and not failure.says("read-only file system", "PermissionError at"):
        return None
    cache = failure.cache()
    if os.path.isdir(failure.model_id):
        name = refused.filename if refused is not None else failure.model_id
        return errors.ModelMissingError(failure.asked, f"{name} is not readable", "correct its permissions")
    return errors.ReadOnlyCacheError(
        failure.asked,
        f"the cache {cache.path} (from {cache.chosen_by}) is not writable",
        "point HF_HOME or cache_dir= at a writable folder, or download the files beforehand",
    )


def _gated(failure: Failure) -> LoadError | None:
    if not failure.named("GatedRepoError") and not failure.says(
        "access a gated repo", "cannot access gated repo"
    ):
        return None
    return errors.GatedModelError(
        failure.asked,
        "the repository is gated and this token has no access"
        if _has_token(failure)
        else "the repository is gated and no token was given",
        f"accept its terms at https://huggingface.co/{failure.model_id} and log in with `hf auth login`, or set HF_TOKEN",
    )


def _has_token(failure: Failure) -> bool:
    return bool(failure.keywords.get("token") or os.environ.get("HF_TOKEN"))


def _no_such_folder(failure: Failure) -> LoadError | None:
    if not downloads.looks_like_path(failure.model_id) or os.path.exists(failure.model_id):
        return None
    return errors.ModelMissingError(
        failure.asked,
        f"there is no folder {Path(failure.model_id).absolute()}",
        "correct the path, it is relative to the working directory",
    )


_UNREACHABLE = (
    "couldn't connect to",
    "in offline mode",
    "offline mode is enabled",
    "cannot find the requested files in the",
    "'NoneType' object has no attribute 'endswith'",  # transformers 4, if the weights are not in the cache
)
_ABSENT = (
    "is not a valid model identifier",
    "does not appear to have",
    "incorrect path_or_model_id",
    "no file named",
    "can't load (the )?(configuration|tokenizer|model)",
    "is not the path to a directory",
    "unrecognized model in",
    "couldn't instantiate the backend tokenizer",
)


def _offline(failure: Failure) -> LoadError | None:
    if not downloads.is_hub_id(failure.model_id):
        return None
    forbidden = caches.offline() is not None or bool(failure.keywords.get("local_files_only"))
    unreachable = failure.named("LocalEntryNotFoundError", "OfflineModeIsEnabled") or failure.says(
        *_UNREACHABLE
    )
    # If only some files are cached, transformers reports that the repository lacks the others.
    if not unreachable and not (forbidden and failure.says(*_ABSENT)):
        return None
    variable = caches.offline()
    why = f"{variable} forbids the network" if variable else "the hub cannot be reached"
    if failure.keywords.get("local_files_only"):
        why = "local_files_only=True forbids the network"
    cache = failure.cache()
    found = caches.snapshot(
        failure.model_id,
        revision=failure.keywords.get("revision"),
        cache_dir=failure.keywords.get("cache_dir"),
    )
    state = "only some of the files are" if found is not None else "none of the files are"
    # "checkpoints/last" looks like a hub id.
    folder = "" if found is not None else f", and there is no folder {Path(failure.model_id).absolute()}"
    return errors.OfflineError(
        failure.asked,
        f"{why} and {state} in the cache {cache.path} (from {cache.chosen_by}){folder}",
        f"download it on a machine with network access (`hf download {failure.model_id}`), or point HF_HOME or cache_dir= at it",
    )


def _missing_accelerate(failure: Failure) -> LoadError | None:
    if not failure.says(
        r"requires? `?accelerate", r"pip install ['`]?accelerate", "No module named 'accelerate'"
    ):
        return None
    return errors.MissingAccelerateError(
        failure.asked,
        f"a device map needs accelerate: {failure.first_line}",
        "pip install -U accelerate, or pass device_map=None and move the model with .to(device)",
    )


def _corrupt(failure: Failure) -> LoadError | None:
    pickled = failure.named("UnpicklingError") or failure.says(
        "unable to load weights from pytorch checkpoint"
    )
    damaged = failure.named("SafetensorError", "JSONDecodeError", "UnreadableError") or pickled
    if not damaged and not failure.says(
        "is not a valid json file", "error while deserializing header", "metadataincompletebuffer"
    ):
        return None
    culprit = damaged_file(failure)
    # For a damaged pickle, torch advises to turn its safety check off.
    found = culprit or ("torch cannot read a weight file" if pickled else failure.first_line)
    return errors.CorruptCheckpointError(
        failure.asked, found, "download the file again (force_download=True), or save it again"
    )


def _missing_shard(failure: Failure) -> LoadError | None:
    if downloads.is_hub_id(failure.model_id):
        return None  # some files of a cached repository are missing, because there is no network
    folder = failure.folder()
    index = folder / "model.safetensors.index.json" if folder is not None else None
    if folder is None or index is None or not index.is_file():
        return None
    if not failure.named("FileNotFoundError", "OSError"):
        return None
    try:
        found = checkpoint.read(folder)
    except (checkpoint.UnreadableError, OSError):
        return None
    missing = [file.name for file in found.files if not file.is_file()] if found is not None else []
    if not missing:
        return None
    return errors.CorruptCheckpointError(
        failure.asked,
        f"{index} names {', '.join(missing[:3])}{' and more' if len(missing) > 3 else ''}, which {'is' if len(missing) == 1 else 'are'} missing",
        "copy or download the missing files",
    )


def _not_found(failure: Failure) -> LoadError | None:
    missing = failure.named(
        "RepositoryNotFoundError", "RevisionNotFoundError", "EntryNotFoundError", "HFValidationError"
    ) or failure.says(*_ABSENT)
    if not missing:
        return None
    if os.path.isdir(failure.model_id):
        present = sorted(entry.name for entry in Path(failure.model_id).iterdir())
        holds = ", ".join(present[:8]) if present else "nothing"
        return errors.ModelMissingError(
            failure.asked,
            f"{failure.first_line} (the folder contains {holds})",
            "correct the folder, subfolder= or variant=",
        )
    # "checkpoints/last" looks like a hub id.
    folder = f", and there is no folder {Path(failure.model_id).absolute()}" if failure.model_id else ""
    return errors.ModelMissingError(
        failure.asked,
        failure.first_line + folder,
        "correct the id or revision; for a private one set HF_TOKEN or pass token=",
    )


def _wrong_class(failure: Failure) -> LoadError | None:
    if failure.says("unrecognized configuration class"):
        kind = re.search(r"configuration_(\w+)\.|class '[\w.]*\.(\w+)Config'", failure.text)
        name = next((group for group in kind.groups() if group), "") if kind else ""
        return errors.ModelClassError(
            failure.asked,
            f"it is a {name or 'different'} checkpoint, which this class cannot load",
            _fitting(failure),
        )
    if failure.says("size mismatch", "ignore_mismatched_sizes"):
        return errors.ModelClassError(
            failure.asked,
            f"weights have other shapes than in the class: {mismatch.named(failure) or failure.first_line}",
            "check model_class and config=; ignore_mismatched_sizes=True makes those weights random",
        )
    return None


def _fitting(failure: Failure) -> str:
    folder = failure.folder()
    try:
        saved = (checkpoint.config(folder) or {}).get("architectures") if folder is not None else None
    except checkpoint.UnreadableError:
        saved = None
    if saved:
        return f"pass model_class={saved[0]}, the class it was saved with"
    return "pass the model_class it was saved with (config.json, architectures)"


def _attention(failure: Failure) -> LoadError | None:
    if not failure.says("flash_?attn|flash ?attention|attn_implementation|scaled_dot_product_attention"):
        return None
    if not isinstance(failure.chain[0], (ImportError, ValueError)):
        return None
    wanted = failure.keywords.get("attn_implementation")
    return errors.AttentionError(
        f"{failure.asked}, attn_implementation={wanted!r}",
        failure.first_line,
        'omit it, or pass "sdpa" or "eager"',
    )


def _device_map(failure: Failure) -> LoadError | None:
    if failure.says("zero-?3 is not compatible", "mutually exclusive"):
        return errors.DeviceMapError(failure.asked, failure.first_line, 'pass device_map="resolve" or None')
    if failure.says("offload_folder", "offload_dir", "device disk is invalid"):
        return errors.SpillError(
            failure.asked,
            f"part of the weights would go to disk: {failure.first_line}",
            "increase max_memory= or pass offload_folder=; transformers 4.57 cannot read safetensors to disk",
        )
    if failure.says(
        "cannot access accelerator device",
        "not compiled with cuda",
        "no cuda gpus",
        "no nvidia driver",
        "invalid device ordinal",
    ):
        return errors.DeviceMapError(
            f"{failure.asked}, device_map={failure.keywords.get('device_map')!r}",
            f"this machine has no such device: {failure.first_line}",
            'pass device_map="resolve"',
        )
    return None


def _out_of_memory(failure: Failure) -> LoadError | None:
    if not failure.named("OutOfMemoryError") and not failure.says(r"\bout of memory\b"):
        return None
    return errors.DeviceMemoryError(
        failure.asked,
        failure.first_line,
        "free the device, quantise, or spread the weights with device_map='auto'",
    )


def _unsupported_argument(failure: Failure) -> LoadError | None:
    error = failure.chain[0]
    name = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    if not isinstance(error, TypeError) or name is None:
        return None
    if ("dtype" if name[1] == "torch_dtype" else name[1]) not in failure.keywords:
        return None
    return errors.ArgumentError(
        failure.asked,
        f"neither the loader nor this version of transformers accepts {name[1]}=",
        hints.replacement(name[1]),
    )


def _missing_package(failure: Failure) -> LoadError | None:
    error = failure.chain[0]
    if not isinstance(error, ImportError) or not failure.says(r"\bpip install\b", "requires the .* librar"):
        return None
    return errors.MissingPackageError(failure.asked, failure.first_line, "install it")


# In order: an error often matches several causes, and the first one is the most specific.
_CAUSES: tuple[Callable[[Failure], LoadError | None], ...] = (
    _disk_full,
    _not_writable,
    _gated,
    hints.no_id,
    _no_such_folder,
    options.quantisation,
    _missing_accelerate,
    _out_of_memory,
    _device_map,
    _missing_shard,
    _corrupt,
    _offline,
    hints.own_code,
    hints.unknown_architecture,
    options.adapter,
    options.argument,
    _wrong_class,
    _not_found,
    _attention,
    _missing_package,
    _unsupported_argument,
)


def damaged_file(failure: Failure) -> str | None:
    """Describe the first file of the checkpoint that is damaged; None if there is none."""
    folder = failure.folder()
    if folder is None:
        return None
    try:
        if failure.tokenizer:
            checkpoint.tokenizer_files(folder)
            return None  # an index or config that is damaged as well does not explain this error
        checkpoint.config(folder)
        checkpoint.read(folder, variant=failure.keywords.get("variant"))
    except checkpoint.UnreadableError as found:
        return str(found)
    return None
