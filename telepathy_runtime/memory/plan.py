"""Finds the largest batch that fits on a GPU, and by how much the next one does not fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from telepathy_runtime.memory.estimate import Estimate, estimate
from telepathy_runtime.memory.gpus import DEFAULT_GPU, RESERVE, Gpu, gpu
from telepathy_runtime.memory.pair import Adapter, PerceiverBridge, estimate_pair
from telepathy_runtime.memory.runs import longest
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import ModelSpec

MOST = 2**20
"""Largest batch to try."""


@dataclass(frozen=True)
class Fit:
    """The result of a search: `batch` is 0 if not even one sequence fits."""

    batch: int
    gpu: Gpu
    budget_bytes: int
    at: Estimate | None  # at `batch`; None if it is 0
    above: (
        Estimate | None
    )  # at batch + 1, which does not fit or is beyond the model's limit; None if it cannot run
    limited: bool = False  # by the model's positions, not by memory

    @property
    def headroom(self) -> int:
        """Bytes of the budget that stay free at `batch`."""
        return self.budget_bytes - (self.at.peak_allocated if self.at else 0)


def max_batch(
    spec: ModelSpec, work: Workload, *, device: str | Gpu = DEFAULT_GPU, reserve: float = RESERVE
) -> Fit:
    """Return the largest `work.batch` whose peak fits, with the estimates for it and for the next one.

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
    """The largest batch of a pair, both sides together. `saved_bytes` of an Adapter must not depend on the batch."""

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
    """The longest `work.seq_len` whose peak fits, up to the model's positions; returned as `batch`."""
    most = longest(spec)
    limit = most - max(work.new_tokens - 1, 0) if most else spec.max_positions - work.new_tokens
    return search(
        lambda length: estimate(spec, work.but(seq_len=length)),
        device=device,
        reserve=reserve,
        limit=max(limit, 1),
        ends=most > 0,
    )


def search(
    at: Callable[[int], Estimate],
    *,
    device: str | Gpu = DEFAULT_GPU,
    reserve: float = RESERVE,
    limit: int = MOST,
    ends: bool = False,
) -> Fit:
    """The largest n up to `limit` for which `at(n)` fits; `at` must not decrease as n grows, and with `ends` has nothing beyond the limit."""
    card = device if isinstance(device, Gpu) else gpu(device)
    budget = card.budget(reserve)
    if at(limit).peak_allocated <= budget:
        return Fit(limit, card, budget, at(limit), None if ends else at(limit + 1), limited=True)
    fits, fails = 0, limit
    while fails - fits > 1:
        middle = (fits + fails) // 2
        if at(middle).peak_allocated <= budget:
            fits = middle
        else:
            fails = middle
    return Fit(fits, card, budget, at(fits) if fits else None, at(fails))


def search_few(
    at: Callable[[int], Estimate],
    *,
    device: str | Gpu = DEFAULT_GPU,
    reserve: float = RESERVE,
    limit: int = MOST,
) -> Fit:
    """The same as `search` with few calls of `at`, for estimates that take seconds: it follows the line through two points.

    Memory is the maximum of lines in the batch, so that the line through two points that fit leads close to the largest.
    """
    card = device if isinstance(device, Gpu) else gpu(device)
    budget = card.budget(reserve)
    seen: dict[int, Estimate] = {}
    fits, fails = 0, limit + 1
    while fails - fits > 1:
        number = _next_number({n: each.peak_allocated for n, each in seen.items()}, fits, fails, budget)
        seen[number] = at(number)
        if seen[number].peak_allocated <= budget:
            fits = number
        else:
            fails = number
    above = seen[fails] if fails in seen else at(fails)
    return Fit(fits, card, budget, seen.get(fits), above, limited=fails > limit)


def _next_number(peaks: dict[int, int], fits: int, fails: int, budget: int) -> int:
    """The number to try next: where the line through the nearest two points meets the budget, between the bounds."""
    if fits == 0:
        return min(1, fails - 1) if not peaks else max(fails // 2, 1)
    below = max((n for n in peaks if n < fits), default=0)
    left, right = (fits, fails) if fails in peaks else (below, fits)
    slope = (peaks[right] - peaks[left]) / (right - left) if left else 0
    guess = fits + int((budget - peaks[fits]) / slope) if slope > 0 else 4 * fits
    return min(max(guess, fits + 1), fails - 1)
