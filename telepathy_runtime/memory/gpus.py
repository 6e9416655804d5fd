"""What a GPU really offers: bytes that PyTorch sees, less what never reaches a tensor.

Totals (`gpu_names`) are the low end of what public out-of-memory messages report as "total capacity" for each name
("80 GB" is 79.1 to 79.3 GiB), so a plan holds on every such card; where only the data sheet is known, nine
hundredths are taken off it, as much as error correction and the driver take. The context and the reserve are choices:
a CUDA context takes 0.3 to 0.6 GiB before the first tensor, and fragmentation has been seen to hold up to a
tenth of a card back (half of that with `expandable_segments:True`).
"""

from __future__ import annotations

from dataclasses import dataclass

from telepathy_runtime.machine.gpu_names import DEVICE, GIB_TOTALS, canonical, sized, unknown
from telepathy_runtime.models.spec import UnknownOptionError

GIB = 2**30
CONTEXT_BYTES = 6 * GIB // 10
RESERVE = 0.10
RESERVE_EXPANDABLE = 0.05


@dataclass(frozen=True)
class Gpu:
    """A card: `total_bytes` is what the driver reports."""

    name: str
    total_bytes: int
    context_bytes: int = CONTEXT_BYTES
    count: int = 1  # cards of this kind that share the job; the bytes are those of one

    @property
    def usable_bytes(self) -> int:
        """Bytes left for tensors, fragmentation included."""
        return self.total_bytes - self.context_bytes

    def budget(self, reserve: float = RESERVE) -> int:
        """Bytes to plan with: usable bytes less `reserve` (a share of them) for fragmentation."""
        if not 0 <= reserve < 1:
            raise UnknownOptionError(f"reserve must be at least 0 and below 1, not {reserve!r}")
        return int(self.usable_bytes * (1 - reserve))


GPUS: dict[str, Gpu] = {name: Gpu(name, int(total * GIB)) for name, total in GIB_TOTALS.items()}
DEFAULT_GPU = "H100-80GB"


def gpu(name: str) -> Gpu:
    """A card by name, by size ("24GiB", "2x48GiB": two of them), or the one in this machine for "device".

    Raises UnknownOptionError with the nearest names, or when there is no device to ask.
    """
    if name == DEVICE:
        return this_device()
    size = sized(name)
    if size is not None:
        return Gpu(name, size[1], count=size[0])
    found = canonical(name)
    if found is None:
        raise UnknownOptionError(unknown(name))
    return GPUS[found]


def this_device() -> Gpu:
    """The first accelerator of this machine, as its driver reports it.

    Raises UnknownOptionError where there is none. What other processes hold is not subtracted.
    """
    import torch

    if torch.cuda.is_available():
        _, total = torch.cuda.mem_get_info()
        return Gpu(torch.cuda.get_device_name(), total)
    if torch.backends.mps.is_available():
        return Gpu("Apple MPS", torch.mps.recommended_max_memory(), 0)
    xpu = getattr(torch, "xpu", None)
    if xpu is not None and xpu.is_available():
        return Gpu(xpu.get_device_name(), xpu.get_device_properties().total_memory)
    raise UnknownOptionError(f"no accelerator to ask; known GPUs: {', '.join(GPUS)}")
