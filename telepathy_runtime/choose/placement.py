"""Where the weights go: the device map, chosen from the machine, the launcher and the size of the checkpoint.

The order is fixed: an explicit value; whoever shards owns the placement (ZeRO-3, FSDP, tensor parallelism); several
processes get one device each, by local rank; one process gets its one GPU if the weights fit, or shares them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from telepathy_runtime.choose.choice import Choice
from telepathy_runtime.errors import DeviceMapError
from telepathy_runtime.machine.environment import Device, Machine

if TYPE_CHECKING:
    import os

RESOLVE = "resolve"
# "auto" fills a GPU to 90 %; accelerate may also keep room there for the largest layer, by version and shape.
USABLE_SHARE = 0.9
# No layer is larger than the whole model: where twice the weights fit, "auto" puts all of them on the GPU.
_SURELY_FITS = 2

_SPREAD = {"auto", "balanced", "balanced_low_0", "sequential"}
_OWNERS = {
    "zero3": "DeepSpeed ZeRO-3 shards the weights while they load and refuses a device map",
    "fsdp": "FSDP places the weights when the model is wrapped",
    "megatron": "Megatron-LM places the weights",
    "tensor-parallel": "tensor parallelism places the weights",
}


def choose_device_map(
    machine: Machine,
    asked: Any = RESOLVE,
    *,
    weight_bytes: int | None = None,
    tensor_parallel: bool = False,
    max_memory: Mapping[Any, Any] | None = None,
    offload: bool = False,
) -> Choice[Any]:
    """Decide the device map. Pure.

    `weight_bytes` is what the weights will take on the device in the dtype they are loaded in (None: unknown).
    `offload` says that the call has an `offload_...` argument. One process on one GPU gets a map onto the GPU only where
    "auto" would give the same, and "auto" elsewhere.
    Raises DeviceMapError for an explicit map where ZeRO-3 places the weights. What tensor parallelism refuses differs
    between releases of transformers, and is left to them.
    """
    owner = "tensor-parallel" if tensor_parallel else machine.sharding
    if asked is None:
        return Choice(None, "asked to leave it to transformers")
    if not (isinstance(asked, str) and asked == RESOLVE):
        return _explicit(machine, asked, owner)
    if owner is not None:
        return Choice(None, _OWNERS[owner])
    if machine.accelerator == "cpu":
        return Choice(None, "no accelerator, the weights stay on the CPU")
    if machine.launcher.distributed:
        return _own_device(machine)
    if machine.accelerator == "mps":
        return Choice({"": "mps"}, "one process on Apple silicon")
    if max_memory is not None or offload:
        given = "max_memory" if max_memory is not None else "an offload argument"
        return Choice("auto", f"{given} was given, which only a computed map obeys")
    if len(machine.devices) > 1:
        return Choice("auto", f"one process and {len(machine.devices)} {machine.accelerator} devices")
    return _single(machine.devices[0], weight_bytes)


def _explicit(machine: Machine, asked: Any, owner: str | None) -> Choice[Any]:
    if owner == "zero3":
        raise DeviceMapError(
            f"device_map={asked!r}",
            _OWNERS[owner],
            'leave device_map out, or pass device_map="resolve" or None',
        )
    warnings: tuple[str, ...] = ()
    if machine.launcher.distributed and isinstance(asked, str) and asked in _SPREAD and machine.devices:
        warnings = (
            f'device_map="{asked}" in {machine.launcher.world_size} processes: each of them spreads a whole model over '
            f"every GPU it sees",
        )
    return Choice(asked, "as given", warnings)


def _own_device(machine: Machine) -> Choice[Any]:
    here = machine.launcher
    if machine.accelerator == "mps":
        return Choice({"": "mps"}, f"{here.describe()}; Apple silicon has one GPU")
    index = machine.device_index()
    warnings = []
    if here.local_rank is None and len(machine.devices) > 1:
        warnings.append(
            f"no launcher variable gives the local rank: took process {here.rank} modulo {len(machine.devices)} devices, "
            "right where every node runs one process a device; set LOCAL_RANK"
        )
    elif here.local_size is not None and here.local_size > len(machine.devices) and not here.binds_devices:
        warnings.append(
            f"{here.local_size} processes on this node see {len(machine.devices)} {machine.accelerator} "
            f"device{'s' if len(machine.devices) > 1 else ''}: some share one"
        )
    device = f"{machine.accelerator}:{index}"
    return Choice({"": device}, f"{here.describe()}; one device a process", tuple(warnings))


def _single(device: Device, weight_bytes: int | None) -> Choice[Any]:
    # An int for CUDA, as every script writes it; other backends need their name.
    whole: Any = {"": 0 if device.kind == "cuda" else f"{device.kind}:{device.index}"}
    room = device.free_bytes if device.free_bytes is not None else device.total_bytes
    if weight_bytes is None or room is None:
        unknown = "checkpoint" if weight_bytes is None else "free memory"
        return Choice("auto", f"one {device.kind} device; size of the {unknown} unknown")
    usable = int(room * USABLE_SHARE)
    if weight_bytes * _SURELY_FITS <= usable:
        return Choice(whole, f"one {device.kind} device; {gib(weight_bytes)} of weights fit in {gib(usable)}")
    if weight_bytes <= usable:
        return Choice(
            "auto",
            f"one {device.kind} device; {gib(weight_bytes)} of weights fit in {gib(usable)} if the largest layer does too",
        )
    return Choice(
        "auto",
        f"one {device.kind} device; {gib(weight_bytes)} of weights exceed the {gib(usable)} that are usable",
        (
            f"about {gib(weight_bytes - usable)} of {gib(weight_bytes)} will spill to CPU memory or disk, which is slow; "
            "free the GPU, quantise, or take more GPUs",
        ),
    )


def gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"


def resolve_device_map(
    model_id: str | os.PathLike[str] | None = None,
    *,
    dtype: Any = "bfloat16",
    explain: bool = False,
    **keywords: Any,
) -> Any:
    """The device map for this process, for `from_pretrained(device_map=resolve_device_map())`.

    None (CPU, ZeRO-3, FSDP), a one-device dict, or "auto". With `model_id` the size of the checkpoint is read from its
    index or safetensors headers, so that one GPU that is too small gives "auto" and a warning instead of running out.
    `keywords` are those of from_pretrained (revision, cache_dir, subfolder, quantization_config, tp_plan ...).
    `explain=True` prints the choice and its reason.
    """
    from telepathy_runtime.loading.planning import decide_device_map

    return decide_device_map(model_id, dtype=dtype, keywords=keywords, explain=explain)
