"""Adapters of PEFT on a loaded model: from a folder or the hub, checked against their base, merged when asked."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from telepathy_runtime import errors
from telepathy_runtime.checkpoint import files as checkpoint
from telepathy_runtime.choose.plan import LoadPlan
from telepathy_runtime.errors import ArgumentError, LoadError, MissingPackageError, WeightsError
from telepathy_runtime.failures.failure import Failure

_SHOWN = 3
# What says how to reach the hub says it for the adapter too.
_SHARED = ("token", "cache_dir", "local_files_only", "force_download", "proxies")


@dataclass(frozen=True)
class Adapter:
    """An adapter to load: its id or folder, the commit, and whether it becomes part of the weights."""

    model_id: str
    revision: str | None = None
    merge: bool = False


def asked(
    model_id: Any, adapter: Any, revision: str | None, merge: bool, keywords: Mapping[str, Any]
) -> tuple[Any, Adapter | None, Mapping[str, Any]]:
    """The id of the base model, the adapter to put on it, and the keywords of the base.

    With merge and no `adapter`, `model_id` is the adapter and names its base. Without both there is nothing to do here:
    from_pretrained loads a repository that holds an adapter by itself.
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
            "no adapter is there" if config is None else "its adapter_config.json names no base model",
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
            raise  # it is there, and does not go with this transformers: that message is the better one
        raise MissingPackageError(what, "peft is not installed", "pip install peft") from error
    return peft


def adapter_config(name: str, revision: str | None, keywords: Mapping[str, Any]) -> dict[str, Any] | None:
    """adapter_config.json, of a folder, the cache or the hub; None where there is none to be had."""
    folder = checkpoint.locate(name, revision=revision, cache_dir=keywords.get("cache_dir"))
    file = folder / "adapter_config.json" if folder is not None else None
    if file is None or not file.is_file():
        if Path(name).is_dir():
            return None
        try:
            from huggingface_hub import hf_hub_download

            shared = {key: keywords[key] for key in _SHARED if key in keywords and key != "proxies"}
            file = Path(hf_hub_download(name, "adapter_config.json", revision=revision, **shared))
        except Exception:
            return None  # loading it meets the same, and is explained there
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def plan_of(adapter: Adapter, load_plan: LoadPlan) -> LoadPlan:
    """The load of the adapter, for the messages of what goes wrong in it."""
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
    """`model` with its adapter, what became of it for the report, and warnings.

    Raises WeightsError where hardly any weight of the adapter arrived, or with weights="strict" not exactly its weights.
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


def explain(failure: Failure) -> LoadError | None:
    """An adapter that is none, or that does not fit the model."""
    if failure.says("can't find 'adapter_config.json'") and not failure.named("LocalEntryNotFoundError"):
        return errors.ModelMissingError(
            failure.asked, "there is no adapter_config.json", "correct the folder or id of the adapter"
        )
    if failure.says("target modules .* not found in the base model"):
        return errors.ModelClassError(
            failure.asked,
            f"the adapter changes modules that this model does not have: {failure.first_line}",
            "load it on the base model that its adapter_config.json names",
        )
    mismatch = re.search(
        r"size mismatch for (\S+): copying a param with shape (\S.*?) from checkpoint, the shape in current model is (.*?)\.?$",
        failure.text,
        re.MULTILINE,
    )
    if mismatch is not None and failure.says("peftmodel"):
        there, here = (re.sub(r"torch\.Size\((.*)\)", r"\1", text) for text in mismatch.groups()[1:])
        return errors.ModelClassError(
            failure.asked,
            f"{mismatch[1]} is {there} in the adapter and {here} in this model",
            "load it on the base model that its adapter_config.json names",
        )
    return None


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
