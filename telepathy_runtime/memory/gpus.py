"""The usable memory of GPUs: the bytes that PyTorch sees, minus those that are not available to tensors.

Totals (`gpu_names`) are the lowest values that public out-of-memory messages report as "total capacity" for
each name ("80 GB" is 79.1 to 79.3 GiB), so a plan holds on every such card. If only the data sheet is known,
9 % are subtracted, the share that error correction and the driver use. Context and reserve are estimates: a
CUDA context takes 0.3 to 0.6 GiB before the first tensor, and fragmentation was observed to take up to a
tenth of a card (half of that with `expandable_segments:True`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    count: int = 1  # cards of this kind that share the job; the bytes are per card

    @property
    def usable_bytes(self) -> int:
        """Bytes available for tensors and fragmentation."""
        return self.total_bytes - self.context_bytes

    def beside(self, share: float) -> Gpu:
        """The card without a share of it that another engine keeps, as a vLLM in the same process does."""
        return replace(self, context_bytes=self.context_bytes + int(self.total_bytes * share))

    def budget(self, reserve: float = RESERVE) -> int:
        """Bytes to plan with: usable bytes less `reserve` (a share of them) for fragmentation."""
        if not 0 <= reserve < 1:
            raise UnknownOptionError(f"reserve must be at least 0 and below 1, not {reserve!r}")
        return int(self.usable_bytes * (1 - reserve))


GPUS: dict[str, Gpu] = {name: Gpu(name, int(total * GIB)) for name, total in GIB_TOTALS.items()}
DEFAULT_GPU = "H100-80GB"


def gpu(name: str) -> Gpu:
    """A card by name, by size ("24GiB", or "2x48GiB" for two cards), or "device" for the GPU of this machine.

    Raises UnknownOptionError with the closest names, or if this machine has no GPU.
    """
    if name == DEVICE:
        return this_device()
    size = sized(name)
    if size is not None:
        if size[1] <= CONTEXT_BYTES:
            raise UnknownOptionError(
                f"GPU {name!r}: its memory must be more than {CONTEXT_BYTES / GIB:.1f} GiB, those of a CUDA context"
            )
        return Gpu(name, size[1], count=size[0])
    found = canonical(name)
    if found is None:
        raise UnknownOptionError(unknown(name))
    return GPUS[found]


def this_device() -> Gpu:
    """The first accelerator of this machine, as reported by its driver; memory of other processes is not subtracted.

    Raises UnknownOptionError if there is none.
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
