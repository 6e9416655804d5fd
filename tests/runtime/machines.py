"""Machines that are not here, as plain data."""

from __future__ import annotations

from typing import Any

from telepathy_runtime.machine.environment import Device, Machine

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
    **fields: Any,
) -> Machine:
    """`count` equal GPUs with `packages` (distributions) installed, as transformers 5 sees them."""
    devices = tuple(Device("cuda", index, f"GPU {index}", capability, free, free) for index in range(count))
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
