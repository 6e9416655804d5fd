"""Inspects a loaded model, and compares it with the plan.

Reads only metadata: it copies no tensor and synchronises no device.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from telepathy_runtime.checkpoint import files as checkpoint
from telepathy_runtime.checkpoint import stored
from telepathy_runtime.choose import purpose, traits
from telepathy_runtime.choose.choice import plain
from telepathy_runtime.choose.plan import LoadPlan
from telepathy_runtime.choose.precision import dtype_name
from telepathy_runtime.loading import arrival, features
from telepathy_runtime.loading.arrival import Arrival
from telepathy_runtime.loading.report import LoadReport

_HOST = ("cpu", "disk", "meta")
_SHOWN = 3
# Parts of the names of parameters that an adapter adds.
_ADAPTED = (".lora_", ".modules_to_save.", "prompt_encoder.", ".ia3_", ".vera_")


def inspect(
    model: Any,
    load_plan: LoadPlan,
    *,
    seconds: float,
    generation: Mapping[str, Any] | None = None,
    arrived: Arrival | None = None,
    prepared: Mapping[str, Any] | None = None,
    adapter: Mapping[str, Any] | None = None,
    warnings: tuple[str, ...] = (),
) -> LoadReport:
    """Return the LoadReport of `model`, loaded by `load_plan` in `seconds`. Never raises: the model is usable."""
    try:
        found = _inspect(model, load_plan, seconds, generation or {}, arrived, prepared or {}, warnings)
        return replace(found, adapter=adapter or {})
    except Exception as error:
        request = load_plan.request
        return LoadReport(
            model_id=request.model_id,
            requested=_requested(load_plan),
            effective={
                **dict.fromkeys(("dtype", "attn_implementation", "device_map", "revision", "quantization")),
                "model_class": type(model).__name__,
            },
            parameters=0,
            parameter_bytes=0,
            bytes_by_dtype={},
            bytes_by_device={},
            seconds=round(seconds, 4),
            purpose=request.purpose,
            warnings=(
                *load_plan.warnings,
                *warnings,
                f"the loaded model could not be inspected: {type(error).__name__}: {error}",
            ),
        )


def _requested(load_plan: LoadPlan) -> dict[str, Any]:
    request = load_plan.request
    return {
        "dtype": plain(request.dtype),
        "attn_implementation": plain(request.attn_implementation),
        "device_map": plain(request.device_map),
        "model_class": request.class_name,
        "revision": plain(request.keywords.get("revision")),
        "quantization": request.quantization,
    }


def _inspect(
    model: Any,
    load_plan: LoadPlan,
    seconds: float,
    generation: Mapping[str, Any],
    arrived: Arrival | None,
    prepared: Mapping[str, Any],
    warnings: tuple[str, ...],
) -> LoadReport:
    request = load_plan.request
    weights = list(_parameters(model))
    by_dtype, by_device = _by_dtype(weights), _sums(weights, 2)
    attention = effective_attention(model)
    dtype = _dtype(model, by_dtype)
    return LoadReport(
        model_id=request.model_id,
        requested=_requested(load_plan),
        effective={
            "dtype": dtype,
            "attn_implementation": attention,
            "device_map": _placement(model, by_device),
            "model_class": type(model).__name__,
            "revision": _commit(model, load_plan),
            "quantization": _quantization(model),
        },
        parameters=sum(stored.numbers(tensor) for _, _, _, tensor in weights),
        parameter_bytes=sum(by_dtype.values()),
        bytes_by_dtype=by_dtype,
        bytes_by_device=by_device,
        seconds=round(seconds, 4),
        rss_bytes=resident_bytes(),
        device_bytes=allocated_bytes(),
        generation={name: list(pair) for name, pair in generation.items()},
        weights={} if arrived is None else arrived.to_dict(),
        purpose=request.purpose,
        prepared=prepared,
        warnings=(
            *load_plan.warnings,
            *warnings,
            *_dtype_warnings(load_plan, weights),
            *_attention_warnings(load_plan, attention),
            *_soft_cap_warnings(model, attention),
            *_spill_warnings(model, load_plan, weights),
            *(() if arrived is None else arrival.warnings(arrived, load_plan, model)),
            *purpose.warnings(model, request.purpose, dtype),
            *features.warnings(model, dtype),
        ),
    )


def _quantization(model: Any) -> str | None:
    """The quantisation method of the weights, as named by transformers."""
    found = getattr(getattr(model, "config", None), "quantization_config", None)
    method = found.get("quant_method") if isinstance(found, Mapping) else getattr(found, "quant_method", None)
    return None if method is None else str(getattr(method, "value", method))


def _commit(model: Any, load_plan: LoadPlan) -> str | None:
    """The commit loaded from the hub: transformers 4 keeps it in the config; otherwise it comes from the cache."""
    kept = getattr(getattr(model, "config", None), "_commit_hash", None)
    folder = None if kept else _snapshot(load_plan)
    return folder.name if folder is not None and folder.parent.name == "snapshots" else kept


def _snapshot(load_plan: LoadPlan) -> Path | None:
    """The snapshot folder, named by its commit; `subfolder` is ignored."""
    keywords = load_plan.request.keywords
    return checkpoint.locate(
        load_plan.request.model_id, revision=keywords.get("revision"), cache_dir=keywords.get("cache_dir")
    )


def _parameters(model: Any) -> Iterator[tuple[str, str, str, Any]]:
    """Yield (name, dtype, device, tensor) for each parameter, shared ones once; nothing if `model` is not a module."""
    named = getattr(model, "named_parameters", None)
    for name, tensor in named() if named is not None else ():
        yield name, str(tensor.dtype).removeprefix("torch."), str(tensor.device), tensor


def _sums(weights: list[tuple[str, str, str, Any]], column: int) -> dict[str, int]:
    sums: dict[str, int] = {}
    for weight in weights:
        tensor = weight[3]
        key = str(weight[column])
        sums[key] = sums.get(key, 0) + stored.size(tensor)
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def _by_dtype(weights: list[tuple[str, str, str, Any]]) -> dict[str, int]:
    """Bytes by the dtype in which weights are stored."""
    sums: dict[str, int] = {}
    for *_, tensor in weights:
        for part in stored.pieces(tensor):
            key = str(part.dtype).removeprefix("torch.")
            sums[key] = sums.get(key, 0) + int(part.numel()) * int(part.element_size())
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def _dtype(model: Any, by_dtype: Mapping[str, int]) -> str | None:
    """The dtype of most floating-point weights; for a quantised model, the dtype it computes in."""
    if getattr(model, "is_quantized", False):
        return str(model.dtype).removeprefix("torch.")
    return next(iter(by_dtype), None)


def effective_attention(model: Any) -> Any:
    """The attention in use: a name, or a dict of names if the parts of a composite model differ."""
    config = getattr(model, "config", None)
    top = getattr(config, "_attn_implementation", None)
    parts = {}
    for name in traits.sub_configs(config):
        inner = getattr(config, name, None)
        part = getattr(inner, "_attn_implementation", None)
        if part is not None and part != top:
            parts[name] = part
    return {"": top, **parts} if parts else top


def _placement(model: Any, by_device: Mapping[str, int]) -> Any:
    """Device -> number of modules for a dispatched model, else the device or devices of the parameters."""
    dispatched = getattr(model, "hf_device_map", None)
    if isinstance(dispatched, Mapping) and len(dispatched) > 1:
        counts: dict[str, int] = {}
        for device in dispatched.values():
            counts[str(device)] = counts.get(str(device), 0) + 1
        return counts
    if isinstance(dispatched, Mapping) and len(dispatched) == 1:
        return str(next(iter(dispatched.values())))
    return next(iter(by_device), None) if len(by_device) == 1 else dict(by_device)


def _dtype_warnings(load_plan: LoadPlan, weights: list[tuple[str, str, str, Any]]) -> Iterator[str]:
    wanted = load_plan.dtype.value
    if not isinstance(wanted, str) or wanted == "auto":
        return
    # peft keeps adapters in float32 on purpose.
    floating = [w for w in weights if w[3].is_floating_point() and not any(part in w[0] for part in _ADAPTED)]
    other = [(name, dtype) for name, dtype, _, _ in floating if dtype != dtype_name(wanted)]
    if not other:
        return
    found = sorted({dtype for _, dtype in other})
    cause = (
        "the class keeps some modules in float32"
        if len(other) < len(floating)
        else "transformers or the checkpoint overrode it"
    )
    yield (
        f"requested {wanted}, but {len(other)} of {len(floating)} tensors are {', '.join(found)} ({_some(n for n, _ in other)}): {cause}"
    )


def _attention_warnings(load_plan: LoadPlan, effective: Any) -> Iterator[str]:
    wanted = load_plan.attn_implementation.value if load_plan.attn_implementation.told else None
    if isinstance(wanted, str) and effective is not None and effective != wanted:
        # Only compare in this direction: a part without attention reports nothing.
        yield f"requested {wanted} attention, got {plain(effective)}: the class or transformers replaced it"


def spilled(model: Any) -> dict[str, list[str]]:
    """Host device ("cpu", "disk") -> modules, for a model whose map also uses an accelerator, or any on disk."""
    dispatched = getattr(model, "hf_device_map", None)
    if not isinstance(dispatched, Mapping):
        return {}
    accelerated = any(str(device) not in _HOST for device in dispatched.values())
    out: dict[str, list[str]] = {}
    for module, device in dispatched.items():
        name = str(device)
        if name == "disk" or (accelerated and name in _HOST):
            out.setdefault(name, []).append(module or "the whole model")
    return out


def _spill_warnings(
    model: Any, load_plan: LoadPlan, weights: list[tuple[str, str, str, Any]]
) -> Iterator[str]:
    for device, modules in spilled(model).items():
        wanted = plain(load_plan.device_map.value)
        wanted = wanted if isinstance(wanted, str) else "the device map"
        yield f"{wanted} spilled {len(modules)} modules to {device} ({_some(modules)}): the device is too small for all"
    if not getattr(model, "hf_device_map", None):
        missing = [name for name, _, device, _ in weights if device == "meta"]
        if missing:
            yield f"{len(missing)} parameters have no data ({_some(missing)}): left on the meta device"


def _soft_cap_warnings(model: Any, attention: Any) -> Iterator[str]:
    """Some releases choose sdpa for a model with a soft cap, which sdpa ignores, so results differ from eager's."""
    config = getattr(model, "config", None)
    used = attention if isinstance(attention, Mapping) else {"": attention}
    for name in ("", *traits.sub_configs(config)):
        part = getattr(config, name, None) if name else config
        cap = getattr(part, "attn_logit_softcapping", None)
        if cap and used.get(name, used.get("")) == "sdpa":
            yield (
                f"sdpa attention ignores the soft cap of {cap} that this model was trained with: "
                f'pass attn_implementation="eager" for the intended results'
            )
            return


def _some(names: Any) -> str:
    shown = list(names)
    more = len(shown) - _SHOWN
    return ", ".join(shown[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def resident_bytes() -> int | None:
    """Resident memory of this process, without memory-mapped weights; None if the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def allocated_bytes() -> dict[str, int]:
    """Bytes allocated by torch on each accelerator that this process has used; empty if there is none."""
    torch = sys.modules.get("torch")
    if torch is None:
        return {}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        indices = range(torch.cuda.device_count())
        used = {f"cuda:{index}": int(torch.cuda.memory_allocated(index)) for index in indices}
        return {device: size for device, size in used.items() if size}
    if torch.backends.mps.is_available():
        return {"mps": int(torch.mps.current_allocated_memory())}
    return {}
