"""Checks which weights were loaded, by counting and explaining the loading info of transformers.

from_pretrained initialises missing weights randomly and only logs it. Here they are counted in the report and
give a warning that names the cause, or an error if almost no weights came from the checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from telepathy_runtime.checkpoint import files as checkpoint
from telepathy_runtime.choose import traits
from telepathy_runtime.choose.plan import LoadPlan
from telepathy_runtime.errors import WeightsError
from telepathy_runtime.machine.environment import need

_SHOWN = 3
# Prefixes of keys that were saved from a wrapper, with the code that saves the inner model instead.
_WRAPPERS = {
    "module.": "DataParallel or DistributedDataParallel",
    "_orig_mod.": "torch.compile",
    "base_model.model.": "a PEFT wrapper",
    "_forward_module.": "DeepSpeed or Lightning Fabric",
    "_fsdp_wrapped_module.": "FSDP",
    "model.": "a LightningModule or another module that holds the model",
}
_LAYER = re.compile(r"\.\d+\.")


@dataclass(frozen=True)
class Arrival:
    """Which of the `total` parameters of a model were missing in the checkpoint or had another shape there."""

    total: int
    missing: tuple[str, ...]
    mismatched: tuple[tuple[str, str], ...]  # name, "shape there, shape here"
    unexpected: tuple[str, ...]
    adapter: bool = False
    model_type: str = ""  # of the model that was made

    @property
    def random(self) -> int:
        """The number of parameters with random values."""
        return len(self.missing) + len(self.mismatched)

    @property
    def arrived(self) -> int:
        """The number of parameters loaded from the checkpoint."""
        return self.total - self.random

    @property
    def hardly(self) -> bool:
        """Whether at most a tenth was loaded. Not none, because names such as lm_head.weight are in most models."""
        return not self.adapter and self.random > 0 and self.arrived * 10 <= self.total

    def to_dict(self) -> dict[str, Any]:
        """Data for the report: the count and the first names of each kind."""
        kinds: dict[str, list[str]] = {
            "missing": list(self.missing),
            "mismatched": [f"{name} ({shapes})" for name, shapes in self.mismatched],
            "unexpected": list(self.unexpected),
            "newly_initialised": [*self.missing, *(name for name, _ in self.mismatched)],
        }
        counted = {
            kind: {"count": len(names), "first": names[:_SHOWN]} for kind, names in kinds.items() if names
        }
        return {"parameters": self.total, "arrived": self.arrived, **counted}


def asks(model_class: Any, load_plan: LoadPlan) -> bool:
    """Whether requesting the loading info from from_pretrained has no other effect.

    That holds only for transformers' own from_pretrained: a class that overrides it may not expect to get a pair.
    """
    keywords = load_plan.request.keywords
    if "output_loading_info" in keywords or keywords.get("trust_remote_code"):
        return False
    transformers = need("transformers")
    own = getattr(transformers.PreTrainedModel.from_pretrained, "__func__", None)
    given = getattr(getattr(model_class, "from_pretrained", None), "__func__", None)
    if given is None or own is None:
        return False
    if given is own:
        return True
    # All Auto classes have a copy of the same function; that of backbones calls timm, which has no loading
    # info.
    backbone = any(cls.__name__ == "_BaseAutoBackboneClass" for cls in getattr(model_class, "__mro__", ()))
    if not hasattr(model_class, "_model_mapping") or backbone:
        return False
    if not given.__module__.startswith("transformers."):
        return False
    # An Auto class calls another class. Its config is read only from disk: with all four settings None, the
    # hub must get no additional request.
    model_id = load_plan.request.model_id
    here = keywords.get("config") is not None or checkpoint.located(model_id, keywords) is not None
    found = traits.concrete_class(model_class, traits.peek_config(model_id, keywords)) if here else None
    return found is not None and getattr(found.from_pretrained, "__func__", None) is own


def arrival(model: Any, info: Mapping[str, Any]) -> Arrival:
    """Compare the loading info of from_pretrained with the model."""
    names: dict[int, set[str]] = {}
    for name, tensor in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(tensor), set()).add(name)
    parameters = {name for group in names.values() for name in group}
    base = getattr(model, "base_model_prefix", "")

    def full(name: str) -> str:
        # transformers 4 omits the base model's prefix if the checkpoint has none.
        return f"{base}.{name}" if name not in parameters and f"{base}.{name}" in parameters else name

    # A tied weight counts as loaded if one of its names was loaded.
    missing = _wholly(names, {full(name) for name in info.get("missing_keys") or ()})
    shapes = {name: _shape(tensor.shape) for name, tensor in model.named_parameters(remove_duplicate=False)}
    mismatched = {}
    for entry in info.get("mismatched_keys") or ():
        # 4.57 gives only the name; other releases also give the two shapes.
        named = isinstance(entry, str)
        name = full(entry if named else entry[0])
        there = "another shape" if named else _shape(entry[1])
        mismatched[name] = f"{there} in the checkpoint, {shapes.get(name, 'none')} in the model"
    return Arrival(
        total=len(names),
        missing=tuple(sorted(missing & parameters)),
        mismatched=tuple(sorted((name, text) for name, text in mismatched.items() if name not in missing)),
        unexpected=tuple(sorted(info.get("unexpected_keys") or ())),
        adapter=bool(getattr(model, "_hf_peft_config_loaded", False)),
        # Of the config's class: the object may have the checkpoint's, although the class is another.
        model_type=str(getattr(type(getattr(model, "config", None)), "model_type", "") or ""),
    )


def _wholly(names: Mapping[int, set[str]], missing: set[str]) -> set[str]:
    """The first name of each parameter of which all names are missing."""
    return {min(group) for group in names.values() if group <= missing}


def _shape(shape: Any) -> str:
    return str(tuple(shape))


def refuse(found: Arrival, load_plan: LoadPlan, weights: str) -> None:
    """Raise WeightsError if almost no weights were loaded; with "strict", for any difference."""
    request = load_plan.request
    if weights == "strict" and (found.random or found.unexpected):
        parts = [
            f"{len(names)} {kind} ({_some(names)})"
            for kind, names in (
                ("missing", found.missing),
                ("of other shapes", [f"{name}: {shapes}" for name, shapes in found.mismatched]),
                ("unexpected", found.unexpected),
            )
            if names
        ]
        cure = next(iter(_wrapped(found, load_plan)), 'allow it with weights="most"')
        raise WeightsError(f"{request.asked}, weights='strict'", ", ".join(parts), cure)
    if weights == "most" and found.hardly and not request.raw:
        cause, cure = _cause(found, load_plan)
        raise WeightsError(
            request.asked,
            f"{found.arrived} of {found.total} weights are in the checkpoint, the others are random: {cause}",
            f'{cure}, or allow it with weights="partial"',
        )


def warnings(found: Arrival, load_plan: LoadPlan, model: Any) -> Iterator[str]:
    """Warnings about weights, with cause and remedy. None for weights that are left out on purpose."""
    if found.adapter:
        return
    if found.random:
        cause, cure = _cause(found, load_plan)
        some = [*found.missing, *(f"{name}: {shapes}" for name, shapes in found.mismatched)]
        yield (
            f"{found.random} of {found.total} weights are not in the checkpoint and hold random numbers "
            f"({_some(some)}): {cause}; {cure}"
        )
    else:
        names = {_general(name) for name, _ in model.named_parameters(remove_duplicate=False)}
        deeper = [name for name in found.unexpected if _LAYER.search(name) and _general(name) in names]
        if deeper:
            yield (
                f"{len(deeper)} weights of the checkpoint are not used ({_some(deeper)}): it has more layers than the "
                f"config says; correct the number of layers in the config"
            )
    adapters = [name for name in found.unexpected if ".lora_" in name or ".modules_to_save." in name]
    if adapters and not found.random:
        yield (
            f"{len(adapters)} weights of an adapter are not used ({_some(adapters)}): load the base model, then "
            f"peft.PeftModel.from_pretrained(model, adapter)"
        )


def _cause(found: Arrival, load_plan: LoadPlan) -> tuple[str, str]:
    """Why weights are missing, and what to do: the first cause that applies."""
    request = load_plan.request
    for cure in _wrapped(found, load_plan):
        prefix = _prefix(found)
        return f"the keys begin with {prefix!r}, saved from {_WRAPPERS[prefix or 'module.']}", cure
    adapters = [name for name in found.unexpected if ".lora_" in name]
    if adapters:
        return (
            f"the checkpoint contains an adapter ({_some(adapters)})",
            "load the base model, then peft.PeftModel.from_pretrained(model, adapter)",
        )
    if found.mismatched and not found.missing:
        return "their shapes differ in the checkpoint", "pass the config and class that it was saved with"
    if found.hardly:
        saved = load_plan.model_type
        if saved and saved == found.model_type:
            if found.unexpected:
                return (
                    f"the keys have other names, such as {_some(found.unexpected)}",
                    "correct key_mapping= or the keys of state_dict=, or pass the model_class it was saved with",
                )
            return "it holds none of the others", "save the whole model, or pass all of it in state_dict="
        what = f"it is a {saved} checkpoint" if saved else "it was saved from another architecture"
        holds = f", it contains {_some(found.unexpected)}" if found.unexpected else ""
        return what + holds, "pass the model_class it was saved with (config.json, architectures)"
    layered = [name for name in found.missing if _LAYER.search(name)]
    if not layered:
        return (
            f"the checkpoint has no such head for {request.class_name}",
            "train it before you use it, or pass the model_class that the checkpoint was saved with",
        )
    if {_general(name) for name in layered} & {_general(name) for name in found.unexpected}:
        return (
            "the keys have other names in the checkpoint",
            "pass the model_class it was saved with, or key_mapping=",
        )
    return (
        "the checkpoint is incomplete, or has fewer layers than the config says",
        "download it again or correct the config",
    )


def _prefix(found: Arrival) -> str | None:
    """The prefix that a wrapper added to the missing keys in the checkpoint.

    Also the reverse: a model may expect `model.embed` while the checkpoint has `embed`.
    """
    if not found.missing or not found.unexpected:
        return None
    missing = set(found.missing)
    for prefix in _WRAPPERS:
        stripped = {name.removeprefix(prefix) for name in found.unexpected if name.startswith(prefix)}
        bodies = {name.split(".", 1)[1] for name in missing if "." in name}
        if stripped and len(stripped & (missing | bodies)) * 2 > min(len(missing), len(stripped)):
            return prefix
    return None


def _wrapped(found: Arrival, load_plan: LoadPlan) -> Iterator[str]:
    prefix = _prefix(found)
    if prefix is None:
        return
    if prefix == "base_model.model.":
        yield "save it with merge_and_unload(), or load the base model and then the adapter with peft"
    else:
        yield (
            f"save the model inside the wrapper, or pass state_dict= with {prefix!r} taken off the keys "
            f"and config= of the checkpoint"
        )


def _general(name: str) -> str:
    return _LAYER.sub(".N.", name)


def _some(names: Iterable[str]) -> str:
    shown = list(names)
    more = len(shown) - _SHOWN
    return ", ".join(shown[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
