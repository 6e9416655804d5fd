"""From an estimate to a decision: the largest batch that fits a GPU, and by how much the next one does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from telepathy_runtime.memory.estimate import Estimate, estimate
from telepathy_runtime.memory.gpus import DEFAULT_GPU, RESERVE, Gpu, gpu
from telepathy_runtime.memory.pair import Adapter, PerceiverBridge, estimate_pair
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import ModelSpec

MOST = 2**20
"""No batch above this is looked for."""


@dataclass(frozen=True)
class Fit:
    """The answer of a search: `batch` is 0 where not even one sequence fits."""

    batch: int
    gpu: Gpu
    budget_bytes: int
    at: Estimate | None  # at `batch`; None where it is 0
    above: Estimate  # at batch + 1, which does not fit, or which the model does not reach
    limited: bool = False  # by the model's positions, not by memory

    @property
    def headroom(self) -> int:
        """Bytes of the budget that stay free at `batch`."""
        return self.budget_bytes - (self.at.peak_allocated if self.at else 0)


def max_batch(
    spec: ModelSpec, work: Workload, *, device: str | Gpu = DEFAULT_GPU, reserve: float = RESERVE
) -> Fit:
    """The largest `work.batch` whose peak fits, and the estimates at it and one above.

    Raises UnknownOptionError for an unknown GPU or an option that is not modelled.
    """
    return search(lambda batch: estimate(spec, work.but(batch=batch)), device=device, reserve=reserve)


def max_batch_pair(
    source: ModelSpec,
    target: ModelSpec,
    read: Workload,
    write: Workload,
    bridge: PerceiverBridge | Adapter,
    *,
    target_frozen: bool = True,
    share_weights: bool = False,
    device: str | Gpu = DEFAULT_GPU,
    reserve: float = RESERVE,
) -> Fit:
    """The largest batch of a pair, both sides together. An Adapter's `saved_bytes` must not depend on it."""

    def at(batch: int) -> Estimate:
        return estimate_pair(
            source,
            target,
            read.but(batch=batch),
            write.but(batch=batch),
            bridge,
            target_frozen=target_frozen,
            share_weights=share_weights,
        )

    return search(at, device=device, reserve=reserve)


def max_tokens(
    spec: ModelSpec, work: Workload, *, device: str | Gpu = DEFAULT_GPU, reserve: float = RESERVE
) -> Fit:
    """The longest `work.seq_len` whose peak fits, up to the model's positions; `batch` of the answer is it."""
    limit = max(spec.max_positions - work.new_tokens, 1)
    return search(
        lambda length: estimate(spec, work.but(seq_len=length)), device=device, reserve=reserve, limit=limit
    )


def search(
    at: Callable[[int], Estimate],
    *,
    device: str | Gpu = DEFAULT_GPU,
    reserve: float = RESERVE,
    limit: int = MOST,
) -> Fit:
    """The largest n up to `limit` for which `at(n)` fits; `at` must not fall as n grows."""
    card = device if isinstance(device, Gpu) else gpu(device)
    budget = card.budget(reserve)
    if at(limit).peak_allocated <= budget:
        return Fit(limit, card, budget, at(limit), at(limit + 1), limited=True)
    fits, fails = 0, limit
    while fails - fits > 1:
        middle = (fits + fails) // 2
        if at(middle).peak_allocated <= budget:
            fits = middle
        else:
            fails = middle
    return Fit(fits, card, budget, at(fits) if fits else None, at(fails))
