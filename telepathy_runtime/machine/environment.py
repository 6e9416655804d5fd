"""The machine as seen by the plan: accelerator, launcher, packages. Probing it is the only impure step of a plan.

`Machine` is plain data, so decisions can be tested for any machine. `probe()` fills it in: it imports torch, which a
load needs anyway, but it does not start a process group or write to the environment.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, Literal

from telepathy_runtime.errors import MissingPackageError
from telepathy_runtime.machine import launcher
from telepathy_runtime.machine.launcher import Launcher, Sharding

Accelerator = Literal["cuda", "xpu", "mps", "cpu"]

# Distributions, not import names: FlashAttention 2 and 4 are both imported as `flash_attn`.
ATTENTION_DISTRIBUTIONS = ("flash-attn", "flash-attn-3", "flash-attn-4", "kernels", "triton")
LIBRARY_DISTRIBUTIONS = (
    "torch",
    "transformers",
    "accelerate",
    "safetensors",
    "tokenizers",
    "huggingface-hub",
)


@dataclass(frozen=True)
class Device:
    """One accelerator. Bytes are integers; None if the backend does not report them."""

    kind: Accelerator
    index: int
    name: str = ""
    capability: tuple[int, int] | None = None
    free_bytes: int | None = None
    total_bytes: int | None = None


@dataclass(frozen=True)
class Machine:
    """Everything that a decision may depend on, other than the checkpoint and the request."""

    accelerator: Accelerator = "cpu"
    devices: tuple[Device, ...] = ()
    launcher: Launcher = field(default_factory=Launcher)
    sharding: Sharding | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    rocm: bool = False
    bfloat16: bool = True  # the accelerator computes in bfloat16 (CPU always does)
    # Attention names that this transformers knows, and those among them whose package it accepts here.
    known_attention: frozenset[str] = frozenset({"sdpa", "eager"})
    packaged_attention: frozenset[str] = frozenset()

    def device_index(self) -> int:
        """The index of the device that belongs to this process.

        Launchers that bind (srun --gpus-per-task, CUDA_VISIBLE_DEVICES by rank) show each process one device, number 0.
        """
        if len(self.devices) <= 1:
            return 0
        rank = self.launcher.local_rank
        return (self.launcher.rank if rank is None else rank) % len(self.devices)


def release(version: str) -> tuple[int, ...]:
    """The numeric part of a version: "2.13.0+cpu" -> (2, 13, 0); a release candidate is treated as its release."""
    numbers = []
    for part in version.split("+")[0].split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers)


@functools.cache
def installed_versions(names: tuple[str, ...] = LIBRARY_DISTRIBUTIONS) -> Mapping[str, str]:
    """The versions of installed distributions, read once per process."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def need(name: str) -> Any:
    """Import torch, transformers or accelerate; the error says how to install it."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        if error.name is not None and error.name.split(".")[0] != name:
            raise  # installed, but one of its own imports fails: that message is better
        raise MissingPackageError(
            f"importing {name}", "it is not installed", "pip install 'telepathy-lint[runtime]'"
        ) from error


def dtype_keyword() -> str:
    """The name of the dtype argument in this transformers version: `dtype` since 4.56, `torch_dtype` before.

    This is the only check of a version number: 4.55 accepts `dtype=` for some checkpoints and silently loads float32.
    """
    return "dtype" if release(need("transformers").__version__) >= (4, 56) else "torch_dtype"


def probe(environ: Mapping[str, str] | None = None) -> Machine:
    """Gather devices, launcher and packages of this process. Imports torch and transformers, but changes nothing."""
    environ = os.environ if environ is None else environ
    torch = need("torch")
    # `accelerate launch --cpu` on a machine with GPUs: the processes compute on the CPU.
    on_cpu = environ.get("ACCELERATE_USE_CPU", "").lower() in {"1", "true", "yes"}
    accelerator, devices = ("cpu", ()) if on_cpu else _devices(torch)
    known, packaged = _attention_names(accelerator)
    return Machine(
        accelerator=accelerator,
        devices=devices,
        launcher=_process_group(torch) or launcher.detect(environ),
        sharding=_live_sharding() or launcher.sharding(environ),
        versions=_versions(torch, accelerator),
        rocm=getattr(torch.version, "hip", None) is not None,
        bfloat16=_has_bfloat16(torch, accelerator, devices),
        known_attention=known,
        packaged_attention=packaged,
    )


def _versions(torch: Any, accelerator: Accelerator) -> Mapping[str, str]:
    # The modules know their own versions; parsing their metadata takes 10 ms, because it contains their
    # READMEs.
    own = {"torch": str(torch.__version__), "transformers": str(need("transformers").__version__)}
    # Without a GPU, no attention package can be used, and searching for them takes longer than the rest of the plan.
    return own if accelerator == "cpu" else {**own, **installed_versions(ATTENTION_DISTRIBUTIONS)}


def _devices(torch: Any) -> tuple[Accelerator, tuple[Device, ...]]:
    if torch.cuda.is_available():
        return "cuda", tuple(_cuda_device(torch, index) for index in range(torch.cuda.device_count()))
    xpu = getattr(torch, "xpu", None)
    if xpu is not None and xpu.is_available():
        return "xpu", tuple(_xpu_device(torch, index) for index in range(xpu.device_count()))
    if torch.backends.mps.is_available():
        return "mps", (Device("mps", 0, "Apple GPU", total_bytes=_mps_total(torch)),)
    return "cpu", ()


def _cuda_device(torch: Any, index: int) -> Device:
    properties = torch.cuda.get_device_properties(index)
    # Querying free memory creates a context of about 500 MB on the device, so only query a single device.
    free = torch.cuda.mem_get_info(index)[0] if torch.cuda.device_count() == 1 else None
    capability = (properties.major, properties.minor)
    return Device("cuda", index, properties.name, capability, free, properties.total_memory)


def _xpu_device(torch: Any, index: int) -> Device:
    properties = torch.xpu.get_device_properties(index)
    return Device("xpu", index, properties.name, total_bytes=properties.total_memory)


def _mps_total(torch: Any) -> int | None:
    recommended = getattr(torch.mps, "recommended_max_memory", None)
    return int(recommended()) if recommended is not None else None


def _has_bfloat16(torch: Any, accelerator: Accelerator, devices: tuple[Device, ...]) -> bool:
    if accelerator == "cuda":
        # Do not use torch.cuda.is_bf16_supported(): it is true for emulation, which is slower than float16.
        if getattr(torch.version, "hip", None) is not None:
            return True
        return all(device.capability is not None and device.capability >= (8, 0) for device in devices)
    if accelerator == "mps":
        newer = getattr(torch.backends.mps, "is_macos_or_newer", None)
        return bool(newer(14, 0)) if newer is not None else False
    return True


def _process_group(torch: Any) -> Launcher | None:
    """A running process group, for processes without a detectable launcher (torch.multiprocessing.spawn)."""
    if "WORLD_SIZE" in os.environ or not torch.distributed.is_available():
        return None
    if not torch.distributed.is_initialized() or torch.distributed.get_world_size() == 1:
        return None
    rank = torch.distributed.get_rank()
    announced = launcher.detect(os.environ)
    # If a spawned process selected a device, this is its local rank; device 0 may just be the default.
    current = torch.cuda.current_device() if torch.cuda.is_available() else 0
    local = announced.local_rank if announced.distributed else (current or None)
    return Launcher("torch.distributed", torch.distributed.get_world_size(), rank, local, None)


def _live_sharding() -> Sharding | None:
    """Sharding set by existing objects in this process: a DeepSpeed config, accelerate plugins in a live Accelerator.

    Only modules that are already imported are checked, because the others cannot have been configured.
    """
    deepspeed = sys.modules.get("transformers.integrations.deepspeed")
    if deepspeed is not None and deepspeed.is_deepspeed_zero3_enabled():
        return "zero3"
    state = sys.modules.get("accelerate.state")
    if state is None or not state.is_initialized():
        return None
    live = state.AcceleratorState()
    kind = str(getattr(live.distributed_type, "value", live.distributed_type))
    if kind == "DEEPSPEED":
        plugin = live.deepspeed_plugin
        return "zero3" if plugin is not None and plugin.zero_stage == 3 else None
    if kind == "FSDP" or getattr(live, "fsdp_plugin", None) is not None:
        return "fsdp"
    return "megatron" if kind == "MEGATRON_LM" else None


_AVAILABILITY = {
    "flash_attention_2": "is_flash_attn_2_available",
    "flash_attention_3": "is_flash_attn_3_available",
    "flash_attention_4": "is_flash_attn_4_available",
    "flex_attention": "is_torch_flex_attn_available",
}


def _attention_names(accelerator: Accelerator) -> tuple[frozenset[str], frozenset[str]]:
    utils = need("transformers.utils").import_utils
    known, packaged = {"sdpa", "eager"}, {"sdpa", "eager"}
    for name, function in _AVAILABILITY.items():
        available = getattr(utils, function, None)
        if available is None:
            continue
        known.add(name)
        # On a CPU these always return False, and their imports take time.
        if accelerator != "cpu" and available():
            packaged.add(name)
    return frozenset(known), frozenset(packaged)
