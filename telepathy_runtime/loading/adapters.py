"""Loads PEFT adapters onto a loaded model, from a folder or the hub; checks the base model, merges on request."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from telepathy_runtime.checkpoint import files as checkpoint
from telepathy_runtime.choose.plan import LoadPlan
from telepathy_runtime.errors import ArgumentError, MissingPackageError, WeightsError

_SHOWN = 3
# Keywords that say how to reach the hub; they are used for the adapter too.
_SHARED = ("token", "cache_dir", "local_files_only", "force_download", "proxies")


@dataclass(frozen=True)
class Adapter:
    """An adapter to load: its id or folder, its revision, and whether to merge it into the weights."""

    model_id: str
    revision: str | None = None
    merge: bool = False


def asked(
    model_id: Any, adapter: Any, revision: str | None, merge: bool, keywords: Mapping[str, Any]
) -> tuple[Any, Adapter | None, Mapping[str, Any]]:
    """Return the id of the base model, the adapter to load onto it, and the keywords of the base model.

    With merge and no `adapter`, `model_id` is the adapter, which names its base model. With neither, there is
    no adapter here: from_pretrained itself loads a repository that contains one.
    """
    if adapter is None and not merge:
        if revision is not None:
            raise ArgumentError(f"adapter_revision={revision!r}", "there is no adapter=", "pass adapter=")
        return model_id, None, keywords
    need_peft(f"adapter={adapter!r}" if adapter is not None else "merge_adapter=True")
    if adapter is not None:
        return model_id, Adapter(os.fspath(adapter), revision, merge), keywords
    name = os.fspath(model_id)
    revision = revision or keywords.get("revision")
    config = adapter_config(name, revision, keywords)
    base = (config or {}).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise ArgumentError(
            f"{name!r} with merge_adapter=True",
            "there is no adapter" if config is None else "its adapter_config.json names no base model",
            "pass the base model as the id, and adapter= with the folder or id of the adapter",
        )
    rest = {key: value for key, value in keywords.items() if key not in ("revision", "subfolder")}
    if (config or {}).get("revision"):
        rest["revision"] = (config or {})["revision"]
    return base, Adapter(name, revision, merge), rest


def need_peft(what: str) -> Any:
    try:
        import peft
    except ImportError as error:
        if error.name != "peft":
            raise  # installed, but not compatible with this transformers: that message is better
        raise MissingPackageError(what, "peft is not installed", "pip install peft") from error
    return peft


def adapter_config(name: str, revision: str | None, keywords: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return adapter_config.json from a folder, the cache or the hub; None if it is not available."""
    folder = checkpoint.locate(name, revision=revision, cache_dir=keywords.get("cache_dir"))
    file = folder / "adapter_config.json" if folder is not None else None
    if file is None or not file.is_file():
        if os.path.isdir(name):
            return None
        try:
            from huggingface_hub import hf_hub_download

            shared = {key: keywords[key] for key in _SHARED if key in keywords and key != "proxies"}
            file = Path(hf_hub_download(name, "adapter_config.json", revision=revision, **shared))
        except Exception:
            return None  # loading it raises the same error, which is explained there
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def plan_of(adapter: Adapter, load_plan: LoadPlan) -> LoadPlan:
    """The plan for loading the adapter, used in error messages."""
    keywords = {key: load_plan.request.keywords[key] for key in _SHARED if key in load_plan.request.keywords}
    request = replace(
        load_plan.request,
        model_id=adapter.model_id,
        class_name="peft",
        keywords=keywords | ({"revision": adapter.revision} if adapter.revision else {}),
    )
    return replace(load_plan, request=request)


def attach(
    model: Any, adapter: Adapter, load_plan: LoadPlan, *, trainable: bool, weights: str
) -> tuple[Any, dict[str, Any], tuple[str, ...]]:
    """Return `model` with its adapter, facts about it for the report, and warnings.

    Raises WeightsError if almost no weights of the adapter were loaded; with weights="strict", for any
    difference.
    """
    peft = need_peft(f"adapter={adapter.model_id!r}")
    plan = plan_of(adapter, load_plan)
    keywords = plan.request.keywords
    wrapped = peft.PeftModel.from_pretrained(model, adapter.model_id, is_trainable=trainable, **keywords)
    own = set(peft.get_peft_model_state_dict(wrapped))
    saved = set(peft.utils.save_and_load.load_peft_weights(adapter.model_id, device="cpu", **keywords))
    missing, unexpected = sorted(own - saved), sorted(saved - own)
    config = wrapped.peft_config[wrapped.active_adapter]
    facts = {
        "adapter": adapter.model_id,
        "revision": adapter.revision,
        "base": config.base_model_name_or_path,
        "kind": str(getattr(config.peft_type, "value", config.peft_type)),
        "merged": adapter.merge,
        "weights": len(own),
        "arrived": len(own) - len(missing),
    }
    found = tuple(_differences(missing, unexpected, len(own)))
    if found and (weights == "strict" or (weights == "most" and len(missing) * 10 >= 9 * len(own) > 0)):
        raise WeightsError(
            plan.request.asked,
            "; ".join(found),
            f'load it on its own base model, {facts["base"]!r}, or allow it with weights="partial"',
        )
    warnings = (*found, *_other_base(facts["base"], load_plan.request.model_id))
    if adapter.merge:
        wrapped = wrapped.merge_and_unload()
    return wrapped, facts, warnings


def _differences(missing: list[str], unexpected: list[str], total: int) -> list[str]:
    found = []
    if missing:
        found.append(
            f"{len(missing)} of {total} weights of the adapter are not in its file and do nothing ({_some(missing)})"
        )
    if unexpected:
        found.append(
            f"{len(unexpected)} weights of its file have no place in the model ({_some(unexpected)})"
        )
    return found


def _other_base(trained_on: Any, given: str) -> list[str]:
    def name(text: str) -> str:
        return text.rstrip("/").rpartition("/")[2].lower()

    if not isinstance(trained_on, str) or not trained_on or name(trained_on) == name(given):
        return []
    return [f"the adapter was trained on {trained_on!r} and is put on {given!r}"]


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
