"""Chooses the device map from the machine, the launcher and the size of the checkpoint.

In this order: an explicit value; none if ZeRO-3, FSDP or tensor parallelism places the weights; with several
processes, one device each by local rank; with one process, its only GPU if the weights fit, else "auto".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from telepathy_runtime.choose.choice import Choice
from telepathy_runtime.errors import DeviceMapError
from telepathy_runtime.machine.environment import Device, Machine

if TYPE_CHECKING:
    pass


RESOLVE = "resolve"
# "auto" fills a GPU to 90 %; depending on its version, accelerate also reserves space for the largest layer.
USABLE_SHARE = 0.9
# A layer is never larger than the model: if twice the weights fit, "auto" puts all of them on the GPU.
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
    purpose: str | None = None,
) -> Choice[Any]:
    """Decide the device map; a pure function.

    `weight_bytes` is the size of the weights on the device in the dtype they are loaded in (None: unknown).
    `offload`: whether the call has an `offload_...` argument. A single process with one GPU gets a map onto
    that GPU only if "auto" would give the same, else "auto". A single process that trains gets one whole GPU:
    a Trainer refuses weights that "auto" put on the CPU or disk, and trains on one of several GPUs at a time.

    Raises DeviceMapError for an explicit map if ZeRO-3 places the weights. Conflicts with tensor parallelism
    differ between releases of transformers, which reports them itself.
    """
    owner = "tensor-parallel" if tensor_parallel else machine.sharding
    if asked is None:
        return Choice(None, "left to transformers as requested")
    if not (isinstance(asked, str) and asked == RESOLVE):
        return _explicit(machine, asked, owner, purpose)
    if owner is not None:
        return Choice(None, _OWNERS[owner])
    if machine.accelerator == "cpu":
        return Choice(None, "no accelerator, the weights stay on the CPU")
    if machine.launcher.distributed:
        return _own_device(machine)
    if max_memory is not None or offload:
        given = "max_memory" if max_memory is not None else "an offload argument"
        return Choice("auto", f"{given} was given, which only a computed map obeys")
    if machine.accelerator == "mps":
        return _on_mps(machine, weight_bytes)
    if purpose == "training" or (purpose == "finetune-adapters" and _fits(machine.devices[0], weight_bytes)):
        return _to_train(machine, weight_bytes)
    if len(machine.devices) > 1:
        return Choice("auto", f"one process and {len(machine.devices)} {machine.accelerator} devices")
    return _single(machine.devices[0], weight_bytes)


def _explicit(machine: Machine, asked: Any, owner: str | None, purpose: str | None) -> Choice[Any]:
    if owner == "zero3":
        raise DeviceMapError(
            f"device_map={asked!r}",
            _OWNERS[owner],
            'omit device_map, or pass device_map="resolve" or None',
        )
    warnings: tuple[str, ...] = ()
    if machine.launcher.distributed and isinstance(asked, str) and asked in _SPREAD and machine.devices:
        warnings = (
            f'device_map="{asked}" in {machine.launcher.world_size} processes: each of them distributes a whole model over '
            f"every GPU it sees",
        )
    elif purpose == "training" and isinstance(asked, str) and asked in _SPREAD and machine.devices:
        warnings = (
            f'device_map="{asked}" for training: a Trainer refuses weights on the CPU or disk, and of several GPUs one '
            "computes at a time; start one process for each GPU (torchrun, accelerate launch)",
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
            f"no launcher variable gives the local rank, so it is rank {here.rank} modulo {len(machine.devices)} devices, "
            "which is correct if every node runs one process per device; set LOCAL_RANK"
        )
    elif here.local_size is not None and here.local_size > len(machine.devices) and not here.binds_devices:
        warnings.append(
            f"{here.local_size} processes on this node see {len(machine.devices)} {machine.accelerator} "
            f"device{'s' if len(machine.devices) > 1 else ''}: some share a device"
        )
    device = f"{machine.accelerator}:{index}"
    return Choice({"": device}, f"{here.describe()}; one device per process", tuple(warnings))


def _room(device: Device) -> int | None:
    """Bytes of `device` that weights may use."""
    room = device.free_bytes if device.free_bytes is not None else device.total_bytes
    return None if room is None else int(room * USABLE_SHARE)


def _fits(device: Device, weight_bytes: int | None) -> bool:
    room = _room(device)
    return weight_bytes is not None and room is not None and weight_bytes <= room


def _whole(device: Device) -> dict[str, Any]:
    # An int for CUDA, as scripts write it; other backends need their name.
    return {"": 0 if device.kind == "cuda" else f"{device.kind}:{device.index}"}


def _on_mps(machine: Machine, weight_bytes: int | None) -> Choice[Any]:
    room = _room(machine.devices[0]) if machine.devices else None
    warnings: tuple[str, ...] = ()
    if weight_bytes is not None and room is not None and weight_bytes > room:
        # Metal never refuses an allocation: macOS swaps, and each token takes minutes.
        warnings = (
            f"{gib(weight_bytes)} of weights exceed the {gib(room)} that Metal recommends: macOS will swap; quantise, "
            "or use a smaller model",
        )
    return Choice({"": "mps"}, "one process on Apple silicon", warnings)


def _to_train(machine: Machine, weight_bytes: int | None) -> Choice[Any]:
    device, warnings = machine.devices[0], []
    if len(machine.devices) > 1:
        warnings.append(
            f"one process trains on one of {len(machine.devices)} {machine.accelerator} devices: start one process for "
            "each (torchrun, accelerate launch); a Trainer of transformers copies the model to all of them, and its batch "
            f"is then {len(machine.devices)} times as large"
        )
    room = _room(device)
    if weight_bytes is not None and room is not None and weight_bytes > room:
        warnings.append(
            f"{gib(weight_bytes)} of weights exceed the {gib(room)} that are usable on one device, and training needs "
            'gradients and optimizer states beside them: use FSDP or ZeRO-3, or purpose="finetune-adapters"'
        )
    return Choice(
        _whole(device), f"training needs the whole model on one {device.kind} device", tuple(warnings)
    )


def _single(device: Device, weight_bytes: int | None) -> Choice[Any]:
    whole: Any = _whole(device)
    usable = _room(device)
    if weight_bytes is None or usable is None:
        unknown = "checkpoint" if weight_bytes is None else "free memory"
        return Choice("auto", f"one {device.kind} device; size of the {unknown} unknown")
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
            "free the GPU, quantise, or use more GPUs",
        ),
    )


def gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"
