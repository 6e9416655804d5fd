"""GPU memory: estimates how much a job needs and what fits, and compares the estimate with measurements.

`estimate` and `estimate_pair` are closed forms, `max_batch` searches over them, `trace` runs real code on the
meta device, and `monitor` measures and compares. Bytes are integers everywhere and formatted only for display,
always in GiB. Importing this package does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from telepathy_runtime.memory.estimate import Estimate, estimate
from telepathy_runtime.memory.gpus import GPUS, Gpu, gpu
from telepathy_runtime.memory.instants import Instant
from telepathy_runtime.memory.pair import Adapter, PerceiverBridge, estimate_pair
from telepathy_runtime.memory.plan import Fit, max_batch, max_batch_pair, max_tokens
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import UnknownOptionError

if TYPE_CHECKING:
    from telepathy_runtime.memory.monitor import Monitor as Monitor
    from telepathy_runtime.memory.tracing import Trace as Trace
    from telepathy_runtime.memory.tracing import TraceError as TraceError
    from telepathy_runtime.memory.tracing import trace as trace

# Without the names that need torch, so that `import *` works without it; they can be imported by name.
__all__ = [
    "GPUS",
    "Adapter",
    "Estimate",
    "Fit",
    "Gpu",
    "Instant",
    "PerceiverBridge",
    "UnknownOptionError",
    "Workload",
    "estimate",
    "estimate_pair",
    "gpu",
    "max_batch",
    "max_batch_pair",
    "max_tokens",
]

_LAZY = {"Monitor": "monitor", "TraceError": "tracing", "Trace": "tracing", "trace": "tracing"}


def __getattr__(name: str) -> Any:
    """Import names that need torch on first use."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    globals()[name] = value
    return value
