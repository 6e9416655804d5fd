"""Checks without loading whether a planned load can work; `doctor MODEL` uses it for its exit code."""

from __future__ import annotations

from typing import Any

from telepathy_runtime.checkpoint import downloads
from telepathy_runtime.checkpoint import files as checkpoint
from telepathy_runtime.choose import traits
from telepathy_runtime.choose.plan import LoadPlan
from telepathy_runtime.errors import (
    CorruptCheckpointError,
    MissingAccelerateError,
    ModelClassError,
    ModelMissingError,
    OfflineError,
)
from telepathy_runtime.failures import causes
from telepathy_runtime.loading import adapters
from telepathy_runtime.machine import caches
from telepathy_runtime.machine.environment import need

# With these arguments from_pretrained reads other files than usual.
_OTHER_FILES = ("gguf_file", "state_dict", "config", "variant", "subfolder")


def refuse_hopeless(plan: LoadPlan, model_class: Any = None) -> None:
    """Raise the LoadError with which the load would end, as far as config, headers, packages and disk show.

    The config of a hub id that is not in the cache is requested from the hub. The values of the weights are
    not checked.
    """
    keywords = plan.request.keywords
    downloads.refuse_hopeless(plan.download)
    if plan.device_map.value is not None:
        _accelerate(plan)
    if any(keywords.get(name) is not None for name in _OTHER_FILES):
        return
    folder = checkpoint.located(plan.request.model_id, keywords)
    if folder is not None and (folder / "adapter_config.json").is_file():
        adapters.need_peft(plan.request.asked)
        return  # the base model is loaded, and may be anywhere
    config = _config(plan)
    _class(plan, config, model_class)
    _weights(plan, folder)


def _accelerate(plan: LoadPlan) -> None:
    try:
        import accelerate  # noqa: F401
    except ImportError as error:
        raise MissingAccelerateError(
            plan.request.asked,
            f"device_map={plan.device_map.value!r} needs accelerate, which is not installed",
            "pip install accelerate, or pass device_map=None and move the model with .to(device)",
        ) from error


def _config(plan: LoadPlan) -> Any:
    keywords = plan.request.keywords
    names = ("revision", "token", "cache_dir", "local_files_only", "trust_remote_code", "code_revision")
    with causes.explained(plan):
        return need("transformers").AutoConfig.from_pretrained(
            plan.request.model_id, **{name: keywords[name] for name in names if name in keywords}
        )


def _class(plan: LoadPlan, config: Any, model_class: Any) -> None:
    if getattr(config, "auto_map", None) and plan.request.keywords.get("trust_remote_code"):
        return  # the checkpoint's own code defines the class
    asked = need("transformers").AutoModelForCausalLM if model_class is None else model_class
    if traits.concrete_class(asked, config) is None:
        saved = (getattr(config, "architectures", None) or ["the class it was saved with"])[0]
        raise ModelClassError(
            plan.request.asked,
            f"it is a {config.model_type} checkpoint, which this class cannot load",
            f"pass model_class={saved}",
        )


def _weights(plan: LoadPlan, folder: Any) -> None:
    request = plan.request
    if folder is None:
        return  # the weights will be downloaded; the config was found
    try:
        found = checkpoint.read(folder)
    except (checkpoint.UnreadableError, OSError) as error:
        raise CorruptCheckpointError(
            request.asked, str(error), "download the file again (force_download=True), or save it again"
        ) from error
    missing = [] if found is None else [file.name for file in found.files if not file.is_file()]
    if found is not None and not missing:
        return
    what = (
        f"{missing[0]} and {len(missing) - 1} more are"
        if len(missing) > 1
        else f"{missing[0]} is"
        if missing
        else ""
    )
    if downloads.is_hub_id(request.model_id):
        if caches.offline() is None and not request.keywords.get("local_files_only"):
            return  # the missing files will be downloaded
        raise OfflineError(
            request.asked,
            f"only some of the files are in the cache {folder}, and the network is forbidden",
            f"download it on a machine with network access (`hf download {request.model_id}`)",
        )
    if missing:
        raise CorruptCheckpointError(request.asked, f"{what} not in {folder}", "copy the missing files")
    if any(folder.glob("*.safetensors")) or any(folder.glob("*.bin")):
        return  # a class may know files with other names
    raise ModelMissingError(request.asked, f"{folder} holds no weights", "correct the folder")
