"""Machines that are not here, as plain data."""

from __future__ import annotations

from typing import Any

from telepathy_runtime.machine.environment import Device, Machine
from telepathy_runtime.machine.launcher import Launcher

GIB = 2**30
FLASH = {
    "flash_attention_2": "flash-attn",
    "flash_attention_3": "flash-attn-3",
    "flash_attention_4": "flash-attn-4",
}
ALL_KNOWN = frozenset({"sdpa", "eager", "flex_attention", *FLASH})
CPU = Machine()


def cuda(
    count: int = 1,
    capability: tuple[int, int] = (9, 0),
    free: int | None = 80 * GIB,
    packages: tuple[str, ...] = (),
    total: int | None = None,
    **fields: Any,
) -> Machine:
    """`count` equal GPUs of `total` bytes, `free` of them free, with `packages` (distributions) installed.

    As transformers 5 sees them.
    """
    devices = tuple(
        Device("cuda", index, f"GPU {index}", capability, free, total or free) for index in range(count)
    )
    settings: dict[str, Any] = {
        "accelerator": "cuda",
        "devices": devices,
        "bfloat16": capability >= (8, 0),
        "versions": {"transformers": "5.23.0", **dict.fromkeys(packages, "2.8.3")},
        "known_attention": ALL_KNOWN,
        "packaged_attention": frozenset(
            {"sdpa", "eager", "flex_attention", *(name for name, dist in FLASH.items() if dist in packages)}
        ),
    }
    return Machine(**(settings | fields))


def _rank(name: str, local_size: int | None = 4, **fields: Any) -> Machine:
    """The second of four processes on a node of four GPUs."""
    return cuda(4, launcher=Launcher(name, 4, 1, 1, local_size), **fields)


#: Machines on which whole programs run. Tiny models take 30 to 300 KiB.
MACHINES = {
    "one GPU": cuda(),
    "one small GPU": cuda(free=60_000, total=24 * GIB),
    "one old GPU": cuda(capability=(7, 5)),
    "four GPUs": cuda(4),
    "Mac": Machine(accelerator="mps", devices=(Device("mps", 0, total_bytes=64 * GIB),)),
    "torchrun": _rank("torchrun"),
    "accelerate launch": _rank("accelerate launch"),
    "srun": _rank("slurm", None),
    "ZeRO-3": _rank("accelerate launch", sharding="zero3"),
    "FSDP": _rank("accelerate launch", sharding="fsdp"),
}
