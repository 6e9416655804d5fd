"""Collects what a plan needs (machine, class, size of the weights) and makes the plan."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from telepathy_runtime.checkpoint import downloads
from telepathy_runtime.checkpoint import files as checkpoint
from telepathy_runtime.choose import attention, placement, plan, precision, traits
from telepathy_runtime.choose import purpose as purposes
from telepathy_runtime.choose.choice import Choice
from telepathy_runtime.choose.plan import Facts, LoadPlan, Request
from telepathy_runtime.loading import quantization as quantizations
from telepathy_runtime.machine import environment
from telepathy_runtime.machine.environment import Machine
from telepathy_runtime.publishing import LOGGER

if TYPE_CHECKING:
    from telepathy_runtime.choose.purpose import Purpose


def plan_load(
    model_id: str | os.PathLike[str] | None,
    *,
    model_class: Any = None,
    dtype: Any = precision.RESOLVE,
    device_map: Any = placement.RESOLVE,
    attn_implementation: Any = attention.RESOLVE,
    generation_config: Any = "default",
    purpose: Purpose | None = None,
    quantization: str | None = None,
    machine: Machine | None = None,
    **keywords: Any,
) -> LoadPlan:
    """Return what load_model would do with the same arguments, without loading anything.

    Pass `machine` to plan for another machine. Reads the config and the headers of the weights.
    """
    dtype, keywords = dtype_argument(dtype, keywords)
    attn_implementation = attention_argument(attn_implementation, keywords)
    named = (
        "AutoModelForCausalLM" if model_class is None else getattr(model_class, "__name__", str(model_class))
    )
    request = Request(
        identifier(model_id),
        named,
        dtype,
        device_map,
        attn_implementation,
        generation_config,
        keywords,
        purpose,
        quantization,
    )
    if quantization is not None:
        quantizations.check(quantization, keywords)
    if machine is None:
        # Inspecting the GPUs initialises CUDA; a call without decisions must not do that.
        decided = (request.dtype, request.device_map, request.attn_implementation)
        machine = Machine() if all(value is None for value in decided) else environment.probe()
    if quantization is not None:
        request = _quantized(request, machine, quantization)
    return plan.make_plan(request, machine, gather(request, model_class, machine))


def _quantized(request: Request, machine: Machine, name: str) -> Request:
    """Return the request with a quantization_config among its keywords."""
    chosen = precision.choose_dtype(machine, request.dtype, purpose=request.purpose).value
    if not isinstance(chosen, str) or chosen == "auto":
        chosen = "bfloat16" if machine.bfloat16 else "float16"
    folder = checkpoint.located(request.model_id, request.keywords)
    try:
        shipped = checkpoint.config(folder) if folder is not None else None
    except (checkpoint.UnreadableError, OSError):
        shipped = None  # damaged: from_pretrained raises the error, which is explained there
    made = quantizations.config(name, torch_dtype(chosen), shipped)
    return replace(request, keywords={**request.keywords, "quantization_config": made})


def identifier(model_id: Any) -> str:
    """Return a model id as text; "" for None, with which from_pretrained uses `config=` and `state_dict=`."""
    if model_id is None:
        return ""
    return os.fspath(model_id) if isinstance(model_id, (str, os.PathLike)) else str(model_id)


def dtype_argument(dtype: Any, keywords: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Accept `torch_dtype=` as a synonym of `dtype=`, which wins if both are given, as in from_pretrained."""
    rest = dict(keywords)
    if "torch_dtype" not in rest:
        return dtype, rest
    other = rest.pop("torch_dtype")
    if dtype is not None and not (isinstance(dtype, str) and dtype == precision.RESOLVE):
        if precision.dtype_name(dtype) != precision.dtype_name(other):
            LOGGER.warning(
                "dtype=%r is used, its older name torch_dtype=%r is also given and differs: leave one of them out",
                dtype,
                other,
            )
        return dtype, rest
    return other, rest


def attention_argument(asked: Any, keywords: Mapping[str, Any]) -> Any:
    """Return None instead of "resolve" if the caller chose an attention with the old keyword or in a config."""
    if not isinstance(asked, str) or asked != attention.RESOLVE:
        return asked
    on_config = getattr(keywords.get("config"), "_attn_implementation_internal", None)
    return None if "_attn_implementation" in keywords or on_config is not None else asked


def gather(request: Request, model_class: Any, machine: Machine) -> Facts:
    """Read the facts about the checkpoint that this request needs, and no others."""
    download = None if request.raw else downloads.needed(request.model_id, request.keywords)
    # If the hub did not answer, do not ask it again: from_pretrained will, with the same timeout.
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
    if request.device_map != placement.RESOLVE:
        return False
    return len(machine.devices) == 1 or (bool(machine.devices) and request.purpose in purposes.TRAINS)


def weight_bytes(request: Request, machine: Machine) -> int | None:
    """Bytes of the weights in the requested dtype, from the headers of a local or cached checkpoint; None: unknown."""
    keywords = request.keywords
    folder = checkpoint.located(request.model_id, keywords)
    if folder is None:
        return _given_bytes(request, machine)
    try:
        found = checkpoint.read(folder, variant=keywords.get("variant"))
        shipped = checkpoint.config(folder) or {}
    except (checkpoint.UnreadableError, OSError):
        return None  # damaged: from_pretrained raises the error, which is explained there
    if found is None:
        return None
    if "quantization_config" in shipped:
        return found.stored_bytes
    if found.tensors is None:
        return _at_most(found.stored_bytes, request, machine)
    quantization = keywords.get("quantization_config")
    return found.bytes_in(
        _item_size(request, machine, shipped.get("model_type")),
        four_bit=_wants(quantization, "load_in_4bit") or quantizations.four_bit(request.quantization),
        eight_bit=_wants(quantization, "load_in_8bit") or quantizations.eight_bit(request.quantization),
    )


def _given_bytes(request: Request, machine: Machine) -> int | None:
    """Bytes of the weights in `state_dict=`, in the requested dtype."""
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
    """Bytes per weight; without a dtype, those of float32, the default of transformers 4. None if unknown."""
    if request.dtype is None:
        return precision.ITEM_SIZE["float32"]
    name = precision.choose_dtype(
        machine, request.dtype, model_type=model_type, purpose=request.purpose
    ).value
    return precision.ITEM_SIZE.get(name) if isinstance(name, str) else None


def _at_most(stored: int | None, request: Request, machine: Machine) -> int | None:
    """An upper bound for the bytes of the weights in the requested dtype, if only the size of the files is known."""
    if stored is None:
        return None
    item_size = _item_size(request, machine)
    # The files may be in half precision, which needs twice the space as float32.
    return stored * 2 if item_size is not None and item_size > 2 else stored


def _wants(quantization: Any, name: str) -> bool:
    if isinstance(quantization, Mapping):
        return bool(quantization.get(name))
    return bool(getattr(quantization, name, False))


def decide_device_map(
    model_id: str | os.PathLike[str] | None,
    *,
    dtype: Any,
    purpose: str | None,
    keywords: Mapping[str, Any],
    explain: bool,
) -> Any:
    machine = environment.probe()
    request = Request(
        "" if model_id is None else os.fspath(model_id), dtype=dtype, keywords=keywords, purpose=purpose
    )
    size = (
        weight_bytes(request, machine) if model_id is not None and _size_matters(request, machine) else None
    )
    choice = placement.choose_device_map(
        machine,
        weight_bytes=size,
        tensor_parallel=any(keywords.get(name) is not None for name in plan.TENSOR_PARALLEL),
        max_memory=keywords.get("max_memory"),
        offload=plan.offloads(keywords),
        purpose=purpose,
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
    # Only the attention of this plan is used; it depends on the device, but not on the size of the weights.
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
    asked: Any,
    *,
    model_id: str | os.PathLike[str] | None,
    purpose: str | None,
    keywords: Mapping[str, Any],
    explain: bool,
) -> Any:
    machine = environment.probe()
    model_type = None
    if model_id is not None and not machine.bfloat16:
        model_type = getattr(traits.peek_config(model_id, keywords), "model_type", None)
    choice = precision.choose_dtype(machine, asked, model_type=model_type, purpose=purpose)
    return torch_dtype(tell(choice, "dtype", explain))


def torch_dtype(value: Any) -> Any:
    """Convert a name to a torch.dtype; "auto", None and unknown names are returned unchanged."""
    if not isinstance(value, str) or value == "auto":
        return value
    return getattr(environment.need("torch"), value, value)


def tell(choice: Choice[Any], name: str, explain: bool) -> Any:
    for warning in choice.warnings:
        LOGGER.warning("%s", warning)
    if explain:
        print(choice.describe(name))
    return choice.value if choice.told else None
