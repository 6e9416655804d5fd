"""Gathering what a plan needs: machine, class, size of the weights. The step between a request and a pure plan."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from telepathy_runtime.checkpoint import downloads
from telepathy_runtime.checkpoint import files as checkpoint
from telepathy_runtime.choose import attention, placement, plan, precision, traits
from telepathy_runtime.choose.choice import Choice
from telepathy_runtime.choose.plan import Facts, LoadPlan, Request
from telepathy_runtime.machine import environment
from telepathy_runtime.machine.environment import Machine


def plan_load(
    model_id: str | os.PathLike[str] | None,
    *,
    model_class: Any = None,
    dtype: Any = precision.DEFAULT,
    device_map: Any = placement.RESOLVE,
    attn_implementation: Any = attention.RESOLVE,
    generation_config: Any = "default",
    machine: Machine | None = None,
    **keywords: Any,
) -> LoadPlan:
    """What load_model with the same arguments would do, without doing it. Arguments as in load_model.

    `machine` plans for another machine than this one. Reads the config and the headers of the weights, loads nothing.
    """
    dtype, keywords = dtype_argument(dtype, keywords)
    attn_implementation = attention_argument(attn_implementation, keywords)
    named = (
        "AutoModelForCausalLM" if model_class is None else getattr(model_class, "__name__", str(model_class))
    )
    request = Request(
        identifier(model_id), named, dtype, device_map, attn_implementation, generation_config, keywords
    )
    if machine is None:
        # Looking at the GPUs starts CUDA; a call that decides nothing must do nothing.
        decided = (request.dtype, request.device_map, request.attn_implementation)
        machine = Machine() if all(value is None for value in decided) else environment.probe()
    return plan.make_plan(request, machine, gather(request, model_class, machine))


def identifier(model_id: Any) -> str:
    """A model id as text; "" for None, with which from_pretrained builds from `config=` and `state_dict=` alone."""
    if model_id is None:
        return ""
    return os.fspath(model_id) if isinstance(model_id, (str, os.PathLike)) else str(model_id)


def dtype_argument(dtype: Any, keywords: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """`torch_dtype=` as a synonym of `dtype=`. Raises TypeError when both are given and differ."""
    rest = dict(keywords)
    if "torch_dtype" not in rest:
        return dtype, rest
    other = rest.pop("torch_dtype")
    if dtype is not None and dtype != precision.DEFAULT:
        if precision.dtype_name(dtype) != precision.dtype_name(other):
            raise TypeError(
                f"dtype={dtype!r} and its older name torch_dtype={other!r} are both given and differ"
            )
        return dtype, rest
    return other, rest


def attention_argument(asked: Any, keywords: Mapping[str, Any]) -> Any:
    """None instead of "resolve" where the script already chose: by the older keyword, or on a config that it passes."""
    if not isinstance(asked, str) or asked != attention.RESOLVE:
        return asked
    on_config = getattr(keywords.get("config"), "_attn_implementation_internal", None)
    return None if "_attn_implementation" in keywords or on_config is not None else asked


def gather(request: Request, model_class: Any, machine: Machine) -> Facts:
    """Read from the checkpoint only what this request makes the plan look at."""
    download = None if request.raw else downloads.needed(request)
    # A hub that did not answer the first question is not asked a second: from_pretrained asks it again and waits as long.
    silent = download is not None and download.size is None
    matters = request.attn_implementation is not None or _dtype_depends_on_model(request, machine)
    config = None
    if matters and not silent:
        config = traits.peek_config(request.model_id, request.keywords)
    found = None
    if request.attn_implementation is not None and config is not None:
        found = traits.traits_of(_class(model_class), config)
    size = None
    if _size_matters(request, machine):
        size = (
            weight_bytes(request, machine) if download is None else _at_most(download.total, request, machine)
        )
    return Facts(
        traits=found,
        model_type=getattr(config, "model_type", None),
        weight_bytes=size,
        download=download,
        saved_dtype=traits.saved_dtype(config),
        wants_attentions=bool(getattr(config, "output_attentions", False)),
    )


def _class(model_class: Any) -> Any:
    return environment.need("transformers").AutoModelForCausalLM if model_class is None else model_class


def _dtype_depends_on_model(request: Request, machine: Machine) -> bool:
    return not machine.bfloat16 and request.dtype is not None


def _size_matters(request: Request, machine: Machine) -> bool:
    return (
        request.device_map == placement.RESOLVE and len(machine.devices) == 1 and machine.accelerator != "mps"
    )


def weight_bytes(request: Request, machine: Machine) -> int | None:
    """Bytes of the weights in the dtype asked for, from the headers of a local or cached checkpoint; None: unknown."""
    keywords = request.keywords
    folder = checkpoint.located(request.model_id, keywords)
    if folder is None:
        return _given_bytes(request, machine)
    try:
        found = checkpoint.read(folder, variant=keywords.get("variant"))
        shipped = checkpoint.config(folder) or {}
    except (checkpoint.UnreadableError, OSError):
        return None  # from_pretrained will meet the same damage, and its message is translated there
    if found is None:
        return None
    if "quantization_config" in shipped:
        return found.stored_bytes
    if found.tensors is None:
        return _at_most(found.stored_bytes, request, machine)
    quantization = keywords.get("quantization_config")
    return found.bytes_in(
        _item_size(request, machine, shipped.get("model_type")),
        four_bit=_wants(quantization, "load_in_4bit"),
        eight_bit=_wants(quantization, "load_in_8bit"),
    )


def _given_bytes(request: Request, machine: Machine) -> int | None:
    """Bytes of the weights in `state_dict=`, in the dtype asked for."""
    given = request.keywords.get("state_dict")
    if not isinstance(given, Mapping):
        return None
    item_size = _item_size(request, machine)
    sizes = [
        (int(tensor.numel()), int(tensor.element_size()), bool(tensor.is_floating_point()))
        for tensor in given.values()
        if hasattr(tensor, "element_size")
    ]
    return sum(n * (item_size if item_size is not None and floating else own) for n, own, floating in sizes)


def _item_size(request: Request, machine: Machine, model_type: str | None = None) -> int | None:
    """Bytes a weight takes; without a dtype those of float32, which transformers 4 loads then. None: unknown."""
    if request.dtype is None:
        return precision.ITEM_SIZE["float32"]
    name = precision.choose_dtype(machine, request.dtype, model_type=model_type).value
    return precision.ITEM_SIZE.get(name) if isinstance(name, str) else None


def _at_most(stored: int | None, request: Request, machine: Machine) -> int | None:
    """Bytes of the weights in the dtype asked for, at most, where only the size of the files is known."""
    if stored is None:
        return None
    item_size = _item_size(request, machine)
    # The files may hold half precision, which takes twice the room as float32.
    return stored * 2 if item_size is not None and item_size > 2 else stored


def _wants(quantization: Any, name: str) -> bool:
    if isinstance(quantization, Mapping):
        return bool(quantization.get(name))
    return bool(getattr(quantization, name, False))


def decide_device_map(
    model_id: str | os.PathLike[str] | None, *, dtype: Any, keywords: Mapping[str, Any], explain: bool
) -> Any:
    machine = environment.probe()
    request = Request("" if model_id is None else os.fspath(model_id), dtype=dtype, keywords=keywords)
    size = (
        weight_bytes(request, machine) if model_id is not None and _size_matters(request, machine) else None
    )
    choice = placement.choose_device_map(
        machine,
        weight_bytes=size,
        tensor_parallel=any(keywords.get(name) is not None for name in plan.TENSOR_PARALLEL),
        max_memory=keywords.get("max_memory"),
        offload=plan.offloads(keywords),
    )
    return tell(choice, "device_map", explain)


def decide_attention(
    model_id: str | os.PathLike[str] | None,
    *,
    model_class: Any,
    dtype: Any,
    device_map: Any,
    keywords: Mapping[str, Any],
    explain: bool,
) -> Any:
    machine = environment.probe()
    dtype, keywords = dtype_argument(dtype, keywords)
    # Only the attention of this plan is used: where the weights go matters to it, how large they are does not.
    request = Request(
        "" if model_id is None else os.fspath(model_id),
        "",
        dtype,
        device_map,
        attention.RESOLVE,
        None,
        keywords,
    )
    facts = gather(request, model_class, replace(machine, devices=())) if model_id is not None else Facts()
    return tell(plan.make_plan(request, machine, facts).attn_implementation, "attn_implementation", explain)


def decide_dtype(
    asked: Any, *, model_id: str | os.PathLike[str] | None, keywords: Mapping[str, Any], explain: bool
) -> Any:
    machine = environment.probe()
    model_type = None
    if model_id is not None and not machine.bfloat16:
        model_type = getattr(traits.peek_config(model_id, keywords), "model_type", None)
    choice = precision.choose_dtype(machine, asked, model_type=model_type)
    return torch_dtype(tell(choice, "dtype", explain))


def torch_dtype(value: Any) -> Any:
    """A name as torch's dtype; "auto", None and names torch does not have stay what they are."""
    if not isinstance(value, str) or value == "auto":
        return value
    return getattr(environment.need("torch"), value, value)


def tell(choice: Choice[Any], name: str, explain: bool) -> Any:
    from telepathy_runtime.loading.report import LOGGER

    for warning in choice.warnings:
        LOGGER.warning("%s", warning)
    if explain:
        print(choice.describe(name))
    return choice.value if choice.told else None
