"""Chooses the attention implementation: the fastest that the package, GPU, dtype and class all support.

transformers checks the package and the class, but never reaches its check of the compute capability: it
accepts FlashAttention 2 on a V100, and the kernel fails. If a package is missing, it may download a kernel
from the hub. This module downloads nothing, and never replaces a name that the caller requested.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from telepathy_runtime.choose.choice import Choice
from telepathy_runtime.errors import AttentionError
from telepathy_runtime.machine.environment import Machine

if TYPE_CHECKING:
    pass

RESOLVE = "resolve"


@dataclass(frozen=True)
class ClassTraits:
    """Flags of a model class. `parts` are the models inside a composite model, each with its own flags."""

    name: str
    sdpa: bool = True
    flash: bool = True
    flex: bool = True
    generates: bool = True
    # The only flash kernels that gpt-oss and a few others support. transformers replaces other requests by
    # these and downloads them.
    only_flash: tuple[str, ...] = ()
    head_size: int | None = None
    parts: tuple[ClassTraits, ...] = field(default=())

    def all(self) -> tuple[ClassTraits, ...]:
        return (self, *self.parts)


@dataclass(frozen=True)
class _Flash:
    name: str
    distribution: str
    lowest: tuple[int, int]
    highest: tuple[int, int]

    def capability(self) -> str:
        low = f"{self.lowest[0]}.{self.lowest[1]}"
        if self.highest[0] == self.lowest[0]:
            return f"{self.lowest[0]}.x"
        return f"at least {low}"


_ANY = (99, 9)
# Fastest first for each capability: FA4 is written for 10 and runs on 9; FA3 is written for 9 and runs only
# there.
_FLASH = {
    "flash_attention_4": _Flash("flash_attention_4", "flash-attn-4", (9, 0), _ANY),
    "flash_attention_3": _Flash("flash_attention_3", "flash-attn-3", (9, 0), (9, 9)),
    "flash_attention_2": _Flash("flash_attention_2", "flash-attn", (8, 0), _ANY),
}
_ORDER_HOPPER = ("flash_attention_3", "flash_attention_4", "flash_attention_2")
_ORDER = ("flash_attention_4", "flash_attention_3", "flash_attention_2")
_HALF = {"bfloat16", "float16"}
_LARGEST_HEAD = 256  # for all three kernels


def choose_attention(
    machine: Machine,
    asked: Any = RESOLVE,
    *,
    traits: ClassTraits | None = None,
    dtype: str | None = "bfloat16",
    on_accelerator: bool = True,
    wants_attentions: bool = False,
) -> Choice[Any]:
    """Decide `attn_implementation`; a pure function.

    `traits` and `dtype` are None if unknown. `on_accelerator`: whether the load puts the weights on a GPU.
    Raises AttentionError if a flash attention was requested by name and cannot work.
    """
    if asked is None:
        return Choice(None, "left to transformers as requested")
    if not (isinstance(asked, str) and asked == RESOLVE):
        return _explicit(machine, asked, traits, dtype)
    if wants_attentions:
        return Choice(
            "eager",
            "output_attentions is set, and only eager attention returns attention weights",
            (
                "output_attentions selects eager attention, which is slower and takes memory quadratic in the length",
            ),
        )
    if traits is None:
        return Choice(
            None, "the class is unknown; transformers uses sdpa if the class supports it, else eager"
        )
    if dtype is None:
        return _without_flash(
            machine, traits, "the dtype is unknown, and flash attention needs a 16-bit dtype"
        )
    if not on_accelerator and machine.accelerator != "cpu":
        return _without_flash(machine, traits, "this load does not put the weights on a GPU")
    refused = []
    for name in _flash_order(machine):
        obstacle = flash_obstacle(name, machine, traits, dtype)
        if obstacle is None:
            return Choice(name, f"installed, {_gpu(machine)}, {dtype}, supported by {traits.name}")
        refused.append(f"no {name} ({obstacle})")
    return _without_flash(machine, traits, "; ".join(refused) or "no GPU for flash attention")


def _without_flash(machine: Machine, traits: ClassTraits, why: str) -> Choice[Any]:
    if all(part.sdpa for part in traits.all()):
        return Choice("sdpa", why, told=False)
    if any(part.sdpa for part in traits.all()):
        # Some part would refuse a single name for all parts; the default chooses for each part.
        return Choice(
            None,
            f"{why}; not every part of {traits.name} supports sdpa, so transformers chooses for each part",
        )
    if _flex_compiles(machine) and all(part.flex for part in traits.all()):
        return Choice("flex_attention", f"{why}; {traits.name} does not support sdpa")
    return Choice("eager", f"{why}; {traits.name} does not support sdpa", told=False)


def _flex_compiles(machine: Machine) -> bool:
    # Without compilation, flex attention computes the whole score matrix, as eager does.
    return (
        machine.accelerator == "cuda"
        and "flex_attention" in machine.packaged_attention
        and "triton" in machine.versions
    )


def _flash_order(machine: Machine) -> tuple[str, ...]:
    if machine.accelerator != "cuda":
        return ()
    lowest = _lowest_capability(machine)
    return _ORDER_HOPPER if lowest is not None and lowest[0] == 9 else _ORDER


def _capabilities(machine: Machine) -> list[tuple[int, int]]:
    """Compute capabilities of the devices that this process uses: its own if there are several processes, else all."""
    used = machine.devices
    if machine.launcher.distributed and used:
        used = (used[machine.device_index()],)
    return [device.capability for device in used if device.capability is not None]


def _lowest_capability(machine: Machine) -> tuple[int, int] | None:
    return min(_capabilities(machine), default=None)


def _gpu(machine: Machine) -> str:
    lowest = _lowest_capability(machine)
    return "ROCm" if machine.rocm else f"compute capability {lowest[0]}.{lowest[1]}" if lowest else "GPU"


def flash_obstacle(
    name: str, machine: Machine, traits: ClassTraits | None, dtype: str | None, *, from_hub: bool = False
) -> str | None:
    """Return why a flash attention cannot be used (device, package, capability, dtype or class); None if it can.

    With `from_hub`, the package is not checked: transformers gets the kernel from the hub.
    """
    flash = _FLASH[name]
    if machine.accelerator != "cuda":
        return f"it runs on CUDA devices, not on {machine.accelerator}"
    return (
        (None if from_hub else _package_obstacle(flash, machine))
        or _capability_obstacle(flash, machine)
        or _dtype_obstacle(dtype)
        or (_class_obstacle(flash, traits, from_hub) if traits is not None else None)
    )


def _package_obstacle(flash: _Flash, machine: Machine) -> str | None:
    if flash.name not in machine.known_attention:
        return f"transformers {machine.versions.get('transformers', '')} does not support it"
    if flash.distribution not in machine.versions:
        return f"package {flash.distribution} is not installed"
    if flash.name not in machine.packaged_attention:
        return (
            f"transformers does not accept {flash.distribution} {machine.versions[flash.distribution]} here"
        )
    return None


def _capability_obstacle(flash: _Flash, machine: Machine) -> str | None:
    if machine.rocm:
        return None  # AMD numbers its devices differently; its build of the package checks them
    for capability in _capabilities(machine):
        if not flash.lowest <= capability <= flash.highest:
            return f"it needs compute capability {flash.capability()}, found {capability[0]}.{capability[1]}"
    return None


def _dtype_obstacle(dtype: str | None) -> str | None:
    if dtype is None or dtype in _HALF:
        return None
    return f"it needs float16 or bfloat16, not {dtype}"


def _class_obstacle(flash: _Flash, traits: ClassTraits, from_hub: bool) -> str | None:
    for part in traits.all():
        if not part.flash:
            return f"{part.name} does not support it"
        if part.only_flash and flash.name not in part.only_flash and not from_hub:
            return f"{part.name} only works with {', '.join(part.only_flash)}"
        if part.head_size is not None and part.head_size > _LARGEST_HEAD:
            return f"{part.name} has heads of size {part.head_size}, but the kernels support at most {_LARGEST_HEAD}"
    return None


def _explicit(machine: Machine, asked: Any, traits: ClassTraits | None, dtype: str | None) -> Choice[Any]:
    for name in asked.values() if isinstance(asked, dict) else (asked,):
        if not isinstance(name, str) or name not in _FLASH:
            continue
        # If `kernels` is installed, transformers replaces a missing package by the same kernel from the hub.
        # The caller requested it by name, so transformers decides about that download.
        from_hub = "kernels" in machine.versions and name in machine.known_attention
        obstacle = flash_obstacle(name, machine, traits, dtype, from_hub=from_hub)
        if obstacle is not None:
            raise AttentionError(
                f'attn_implementation="{name}"',
                obstacle,
                'omit attn_implementation, or pass "sdpa" or "eager"',
            )
    if isinstance(asked, str) and asked == "sdpa" and traits is not None and not traits.sdpa:
        raise AttentionError(
            'attn_implementation="sdpa"',
            f"{traits.name} does not support it",
            'omit attn_implementation, or pass "eager"',
        )
    return Choice(asked, "as given")
