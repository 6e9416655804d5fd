"""Measures the memory of each device on this machine; None, never 0, if a device cannot report a value.

CUDA and XPU record peaks in their allocators. MPS does not, so it is sampled. For a CPU only the resident set
of the process is known, and the system decides whether it includes memory-mapped files: so estimates are
compared with the exact bytes of tensors, and resident memory is reported separately. In a CPU build of
PyTorch, `torch.cuda.max_memory_reserved()` returns 0 and resetting raises, so `is_available()` is checked
first.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Measured:
    """Memory of one device in bytes; None if the device cannot report it."""

    device: str
    name: str
    total_bytes: int | None = None
    free_bytes: int | None = None  # according to the driver, with other processes
    allocated: int | None = None
    max_allocated: int | None = None
    reserved: int | None = None
    max_reserved: int | None = None
    requested_peak: int | None = None  # before rounding to the allocator's blocks
    num_alloc_retries: int | None = None
    num_ooms: int | None = None
    peak_kind: str | None = None  # "allocator", "sampled" or "rss"
    rss: int | None = None
    max_rss: int | None = None


def device_names() -> tuple[str, ...]:
    """The devices to report on: all visible accelerators, or the CPU if there is none."""
    import torch

    if torch.cuda.is_available():
        return tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))
    if _xpu() is not None:
        return tuple(f"xpu:{index}" for index in range(_xpu().device_count()))
    if torch.backends.mps.is_available():
        return ("mps",)
    return ("cpu",)


def measure(device: str, sampler: Sampler | None = None) -> Measured:
    """Current memory of `device`, and its peak since the last `reset_peaks`."""
    kind = device.partition(":")[0]
    if kind == "cuda":
        return _cuda(device)
    if kind == "xpu":
        return _xpu_device(device)
    if kind == "mps":
        return _mps(sampler)
    rss, peak = resident()
    return Measured("cpu", "cpu", total_bytes=_ram(), peak_kind="rss", rss=rss, max_rss=peak)


def reset_peaks() -> None:
    """Start a new phase: reset the peaks of devices that record them."""
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(index)
    elif _xpu() is not None:
        for index in range(_xpu().device_count()):
            _xpu().reset_peak_memory_stats(index)


def synchronize() -> None:
    """Wait for kernels that are still running."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    elif torch.backends.mps.is_available():
        torch.mps.synchronize()


class Sampler:
    """Samples MPS memory in a thread and keeps the maximum, because MPS records no peak."""

    def __init__(self, every_seconds: float = 0.02) -> None:
        self.peak: int | None = None
        self._every = every_seconds
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start sampling, if there is an MPS device."""
        import torch

        if torch.backends.mps.is_available() and self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop sampling."""
        self._stop.set()

    def see(self, allocated: int) -> None:
        """Record one sample."""
        self.peak = max(self.peak or 0, allocated)

    def _run(self) -> None:
        import torch

        while not self._stop.wait(self._every):
            self.see(torch.mps.current_allocated_memory())


def _cuda(device: str) -> Measured:
    import torch

    stats: dict[str, Any] = torch.cuda.memory_stats(device)
    free, total = torch.cuda.mem_get_info(device)
    return Measured(
        device,
        torch.cuda.get_device_name(device),
        total,
        free,
        allocated=torch.cuda.memory_allocated(device),
        max_allocated=torch.cuda.max_memory_allocated(device),
        reserved=torch.cuda.memory_reserved(device),
        max_reserved=torch.cuda.max_memory_reserved(device),
        requested_peak=stats.get("requested_bytes.all.peak"),
        num_alloc_retries=stats.get("num_alloc_retries"),
        num_ooms=stats.get("num_ooms"),
        peak_kind="allocator",
        rss=resident()[0],
    )


def _xpu_device(device: str) -> Measured:
    xpu = _xpu()
    total = xpu.get_device_properties(device).total_memory
    stats = xpu.memory_stats(device)
    return Measured(
        device,
        xpu.get_device_name(device),
        total,
        allocated=xpu.memory_allocated(device),
        max_allocated=xpu.max_memory_allocated(device),
        reserved=xpu.memory_reserved(device),
        max_reserved=xpu.max_memory_reserved(device),
        num_alloc_retries=stats.get("num_alloc_retries"),
        num_ooms=stats.get("num_ooms"),
        peak_kind="allocator",
        rss=resident()[0],
    )


def _mps(sampler: Sampler | None) -> Measured:
    import torch

    allocated = torch.mps.current_allocated_memory()
    if sampler is not None:
        sampler.see(allocated)
    rss, peak = resident()  # unified memory: the resident set uses the same memory
    return Measured(
        "mps",
        "Apple MPS",
        torch.mps.recommended_max_memory(),
        allocated=allocated,
        max_allocated=sampler.peak if sampler else None,
        reserved=torch.mps.driver_allocated_memory(),
        peak_kind="sampled" if sampler else None,
        rss=rss,
        max_rss=peak,
    )


def resident() -> tuple[int | None, int | None]:
    """(resident bytes, maximum so far) of this process; None if the system does not report them."""
    now: int | None = None
    statm = Path("/proc/self/statm")
    if statm.exists():
        now = int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    else:
        with suppress(ImportError):
            import psutil

            now = psutil.Process().memory_info().rss
    try:
        import resource
    except ImportError:  # Windows
        return now, None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return now, peak if sys.platform == "darwin" else peak * 1024


def _ram() -> int | None:
    """Bytes of memory that this process may use: the control group's limit if there is one, else all of it."""
    with suppress(OSError, ValueError):  # not Linux, or "max"
        return int(Path("/sys/fs/cgroup/memory.max").read_text())
    with suppress(OSError, ValueError, AttributeError):  # Windows has no sysconf
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _xpu() -> Any:
    import torch

    xpu = getattr(torch, "xpu", None)
    return xpu if xpu is not None and xpu.is_available() else None
