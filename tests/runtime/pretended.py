"""A machine that is not here, for a whole process: torch says that it is there, and tensors say that they lie on it.

`pretend(machine)` takes the plain data of tests/runtime/machines.py. All data stays in the memory of the CPU. What is noted
is the place of each storage: a tensor on "cuda:1" says so, `.to`, `.cuda` and factories with `device=` put tensors there,
and what PyTorch refuses with tensors of two devices is refused. The libraries above (transformers, accelerate) run their
own code on it. Not pretended are kernels that a CPU lacks, streams, and how much memory fits.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors

from telepathy_runtime.machine.environment import Machine
from tests.runtime.pretended_copies import data_parallel, distributed_data_parallel
from tests.runtime.pretended_shards import fully_sharded

#: The variables from which the launchers of these names are read.
_VARIABLES = {
    "torchrun": ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    "accelerate launch": ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    "slurm": ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", None),
}
_MARKS = {
    "torchrun": {"TORCHELASTIC_RUN_ID": "pretended"},
    "accelerate launch": {"ACCELERATE_MIXED_PRECISION": "no"},
}
_SHARDING = {
    "zero3": {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3"},
    "fsdp": {"ACCELERATE_USE_FSDP": "true"},
    None: {},
}
CPU = torch.device("cpu")


def variables(machine: Machine) -> dict[str, str]:
    """What the launcher of the machine puts into the environment."""
    found: dict[str, str] = dict(_SHARDING[machine.sharding])
    here = machine.launcher
    if here.name != "none":
        values = (here.rank, here.world_size, here.local_rank, here.local_size)
        found |= {
            name: str(value)
            for name, value in zip(_VARIABLES[here.name], values, strict=True)
            if name is not None and value is not None
        }
        found |= _MARKS.get(here.name, {})
    return found


class Places:
    """Where storages lie that are not on the CPU. They are kept, so that no address comes back as another storage."""

    def __init__(self) -> None:
        self.of_storage: dict[int, tuple[Any, torch.device]] = {}

    def get(self, tensor: torch.Tensor) -> torch.device:
        if tensor.is_meta or tensor.layout is not torch.strided:
            return tensor.device
        found = self.of_storage.get(tensor.untyped_storage()._cdata)
        return CPU if found is None else found[1]

    def put(self, tensor: torch.Tensor, device: torch.device) -> None:
        if device.type in ("cpu", "meta") or tensor.is_meta or tensor.layout is not torch.strided:
            return
        storage = tensor.untyped_storage()
        self.of_storage[storage._cdata] = (storage, device)


#: Calls that take tensors of several devices. Those on lists sort them by device themselves.
_ANY_PLACES = (
    "copy_", "to", "type_as", "set_", "set_data", "__set__", "__setitem__", "is_set_to", "is_same_size", "backward",
    "autograd", "grad", "save", "load", "result_type", "broadcast_shapes", "__deepcopy__", "__reduce_ex__", "expand_as",
    "view_as", "_has_compatible_shallow_copy_type", "is_shared", "numel", "len",
)  # fmt: skip


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """Those in lists, tuples and dicts. `torch.utils._pytree` asks about many more types, for each of 100,000 calls."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _tensors(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _tensors(each)


class Placing(TorchFunctionMode):
    """Every call of torch's Python interface: devices are taken out of it, noted, and answered."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self.kind = machine.accelerator
        self.count = len(machine.devices)
        self.places = Places()
        #: As `torch.set_default_device` said; its own mode lies below this one and would ask for the real device.
        self.default: Any = None

    def set_default(self, device: Any) -> None:
        self.default = device

    def device(self, asked: Any) -> torch.device | None:
        """What is meant by an argument, with its number, as a tensor that lies there says it."""
        if asked is None:
            return None
        device = torch.device(self.kind, asked) if isinstance(asked, int) else torch.device(asked)
        if device.type in ("cpu", "meta"):
            return torch.device(device.type)
        if device.type != self.kind or (device.index or 0) >= self.count:
            raise RuntimeError(f"this machine has no device {device}, but {self.count} of {self.kind}")
        if device.index is None and self.kind == "cuda":
            return torch.device("cuda", torch.cuda.current_device())  # the one that was set
        return torch.device(device.type, device.index or 0)

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        owner = getattr(getattr(func, "__self__", None), "__name__", "")
        if func is torch.device:
            number = args[0] if len(args) == 1 and isinstance(args[0], int) else None
            return func(*args, **kwargs) if number is None else torch.device(self.kind, number)
        if name == "__get__" and owner in ("device", "is_cuda", "is_mps", "is_cpu", "grad"):
            return self._attribute(owner, func, args)
        if name in ("to", "cuda", "cpu", "mps") and args and isinstance(args[0], torch.Tensor):
            return self._moved(name, args, kwargs)
        if name == "get_device":
            device = self.places.get(args[0])
            return -1 if device.type == "cpu" else device.index
        if name in ("numpy", "__array__") and self.places.get(args[0]) != CPU:
            raise TypeError(
                f"can't convert {self.places.get(args[0])} device type tensor to numpy. Use Tensor.cpu() first."
            )
        if name == "pin_memory":
            return args[0]
        if self.default is not None and kwargs.get("device") is None and func in _device_constructors():
            kwargs["device"] = self.default
        asked = self.device(kwargs.get("device"))
        if asked is not None:
            kwargs["device"] = asked if asked.type == "meta" else CPU
        given = list(_tensors((args, kwargs)))
        there = self._common(name, given)
        made = func(*args, **kwargs)
        if name in ("as_tensor", "asarray") and asked is not None and isinstance(made, torch.Tensor):
            return self._at(made, asked) if self.places.get(made) != asked else made
        target = asked if asked is not None else there
        if target is not None:
            for each in _tensors(made):
                if not any(each is one for one in given) and self.places.get(each) == CPU:
                    self.places.put(each, target)
        return made

    def _attribute(self, name: str, func: Any, args: Any) -> Any:
        tensor = args[0]
        if name == "grad":
            gradient = func(*args)
            if gradient is not None:
                self.places.put(gradient, self.places.get(tensor))
            return gradient
        device = self.places.get(tensor)
        return device if name == "device" else device.type == name.removeprefix("is_")

    def _moved(self, name: str, args: Any, kwargs: dict[str, Any]) -> Any:
        tensor, device = args[0], None
        if name == "to":
            device = self._asked(args[1:], kwargs)
        else:
            asked = args[1] if len(args) > 1 else kwargs.get("device")
            device, kwargs = self.device(name if asked is None else asked), {}
        here = self.places.get(tensor)
        if device is not None and device.type == "meta":
            return tensor.to(device=device, **kwargs)
        if here.type == "meta" and device is not None:
            raise NotImplementedError("Cannot copy out of meta tensor; no data!")
        made = tensor.to(**kwargs) if kwargs else tensor
        if device is not None and device != here:
            return self._at(made, device)
        if made is not tensor:
            self.places.put(made, here)
        return made

    def _asked(self, rest: Any, kwargs: dict[str, Any]) -> torch.device | None:
        """The device in the arguments of `.to`; the others go to `kwargs`, by their names."""
        other = kwargs.pop("other", rest[0] if rest and isinstance(rest[0], torch.Tensor) else None)
        asked = kwargs.pop("device", None)
        names: tuple[str, ...] = ()
        if other is not None:
            asked, kwargs["dtype"], names = self.places.get(other), other.dtype, ("non_blocking", "copy")
            rest = rest[1:]
        elif rest and isinstance(rest[0], torch.dtype):
            names = ("dtype", "non_blocking", "copy")
        elif rest:
            asked, rest, names = rest[0], rest[1:], ("dtype", "non_blocking", "copy")
        kwargs.update(zip(names, rest, strict=False))
        for name in [name for name, value in kwargs.items() if value is None]:
            del kwargs[name]
        return self.device(asked)

    def _at(self, tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
        made = tensor.clone()
        self.places.put(made, device)
        return made

    def _common(self, name: str, given: list[torch.Tensor]) -> torch.device | None:
        """Where what is computed with these tensors lies; RuntimeError where PyTorch computes with no such two."""
        found: dict[torch.device, bool] = {}
        for each in given:
            device = self.places.get(each)
            found[device] = found.get(device, False) or each.dim() > 0
        large = [device for device, has in found.items() if has and device.type != "meta"]
        indexing = name in ("__getitem__", "index_put_", "index_put", "index", "tensor_split")
        if (
            len(large) > 1
            and name not in _ANY_PLACES
            and not name.startswith(("_foreach", "_fused_ad"))
            and not (indexing and self._indexes(given))
        ):
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but found at least two devices, {large[0]} and "
                f"{large[1]}! (when calling {name})"
            )
        first = self.places.get(given[0]) if given and indexing else None
        on = [device for device in (*large, *found) if device.type not in ("cpu", "meta")]
        return first or (on[0] if on else None)

    def _indexes(self, given: list[torch.Tensor]) -> bool:
        """Whether the indices lie on the CPU or beside what they index."""
        return all(self.places.get(each) in (CPU, self.places.get(given[0])) for each in given[1:])


class _Event:
    """An event that has happened: nothing is computed elsewhere."""

    def __init__(self, *_: Any, **__: Any) -> None: ...
    def record(self, *_: Any) -> None: ...
    def synchronize(self) -> None: ...
    def wait(self, *_: Any) -> None: ...
    def query(self) -> bool:
        return True


def _group(machine: Machine, patch: Any) -> None:
    """A process group whose other processes answer nothing and keep nobody waiting."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    start, here = torch.distributed.init_process_group, machine.launcher

    def init_process_group(backend: str | None = None, *_: Any, **__: Any) -> None:
        start(backend="fake", store=FakeStore(), rank=here.rank, world_size=here.world_size)

    patch(torch.distributed, "init_process_group", init_process_group)
    distributed_data_parallel(patch)
    fully_sharded(patch)


def _zero3(patch: Any) -> None:
    """Transformers refuses device maps as under ZeRO-3. It loads as ever: sharding needs DeepSpeed."""
    from transformers.integrations import accelerate

    patch(accelerate, "is_deepspeed_zero3_enabled", lambda: True)


def _cuda(machine: Machine, patch: Any) -> None:
    devices = machine.devices

    def number(device: Any = None) -> int:
        if device is None:
            return current[0]
        return device if isinstance(device, int) else torch.device(device).index or 0

    def set_device(device: Any) -> None:
        current[0] = number(device)

    def properties(device: Any = None) -> Any:
        one = devices[number(device)]
        major, minor = one.capability or (9, 0)
        return SimpleNamespace(
            name=one.name, major=major, minor=minor, total_memory=one.total_bytes or 0, multi_processor_count=100,
            is_integrated=False,
        )  # fmt: skip

    current = [0]
    functions = {
        "is_available": lambda: bool(devices),
        "device_count": lambda: len(devices),
        "current_device": lambda: current[0],
        "set_device": set_device,
        "is_initialized": lambda: False,
        "init": lambda: None,
        "_lazy_init": lambda: None,
        "mem_get_info": lambda device=None: (
            devices[number(device)].free_bytes or 0,
            devices[number(device)].total_bytes or 0,
        ),
        "get_device_properties": properties,
        "get_device_name": lambda device=None: devices[number(device)].name,
        "get_device_capability": lambda device=None: devices[number(device)].capability,
        "is_bf16_supported": lambda including_emulation=True: machine.bfloat16,
        "synchronize": lambda device=None: None,
        "empty_cache": lambda: None,
        "ipc_collect": lambda: None,
        "reset_peak_memory_stats": lambda device=None: None,
        "memory_allocated": lambda device=None: 0,
        "memory_reserved": lambda device=None: 0,
        "max_memory_allocated": lambda device=None: 0,
        "manual_seed": lambda seed: None,
        "manual_seed_all": lambda seed: None,
        "device": lambda device: contextlib.nullcontext(),
    }
    for name, function in functions.items():
        patch(torch.cuda, name, function)


@contextlib.contextmanager
def pretend(machine: Machine) -> Iterator[Placing]:
    """The whole process on `machine`. Libraries remember what they found: enter before they are asked for the first time."""
    undo: list[tuple[Any, str, Any]] = []

    def patch(owner: Any, name: str, value: Any) -> None:
        undo.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    before = {name: os.environ.get(name) for name in variables(machine)}
    os.environ.update(variables(machine))
    if machine.accelerator == "cuda":
        _cuda(machine, patch)
    if machine.accelerator == "mps":
        patch(torch.backends.mps, "is_available", lambda: True)
        patch(torch.backends.mps, "is_built", lambda: True)
        patch(torch.backends.mps, "is_macos_or_newer", lambda major, minor: machine.bfloat16)
        patch(torch.mps, "recommended_max_memory", lambda: machine.devices[0].total_bytes)
        for name in ("synchronize", "empty_cache", "manual_seed"):
            patch(torch.mps, name, lambda *_: None)
        for name in ("current_allocated_memory", "driver_allocated_memory"):
            patch(torch.mps, name, lambda: 0)
    if machine.launcher.distributed:
        _group(machine, patch)
    if machine.sharding == "zero3":
        _zero3(patch)
    placing = Placing(machine)
    if machine.accelerator == "cuda":
        data_parallel(patch, placing)
    patch(torch, "Event", _Event)
    patch(torch, "set_default_device", placing.set_default)
    run = threading.Thread.run

    def run_placing(thread: threading.Thread) -> None:
        with placing:  # a mode holds in the thread that entered it
            run(thread)

    patch(threading.Thread, "run", run_placing)
    try:
        with placing:
            yield placing
    finally:
        for owner, name, value in reversed(undo):
            setattr(owner, name, value)
        for name, text in before.items():
            os.environ.pop(name) if text is None else os.environ.update({name: text})
