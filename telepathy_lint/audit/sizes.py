"""What a model takes on a GPU, by the runtime's estimator, which needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telepathy_lint.audit.data import Gpu

if TYPE_CHECKING:
    from telepathy_runtime.registry import ModelSpec

#: Tokens of the one sequence that peaks are given for: a prompt of 1024 and an answer of 512.
TOKENS = 1536
REGIMES = ("inference", "frozen_grad", "full")


def gpu_of(name: str) -> Gpu:
    """A GPU of the runtime's table; a ValueError names the nearest."""
    from telepathy_runtime.memory.gpus import gpu

    card = gpu(name)
    return Gpu(card.name, card.total_bytes, card.usable_bytes)


def peaks(spec: ModelSpec) -> tuple[tuple[str, int], ...]:
    """Peak bytes of one sequence in bfloat16, by regime; empty where the architecture is not modelled."""
    from telepathy_runtime.memory.estimate import estimate
    from telepathy_runtime.memory.workload import Workload

    try:
        return tuple(
            (regime, estimate(spec, Workload(seq_len=TOKENS, regime=regime)).peak_allocated)
            for regime in REGIMES
        )
    except ValueError:
        return ()
