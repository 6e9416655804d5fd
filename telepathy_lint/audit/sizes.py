"""The memory of a model on a GPU, from the runtime's estimator, which needs no torch."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from telepathy_lint.audit.data import Gpu

if TYPE_CHECKING:
    from telepathy_runtime.memory.workload import Workload
    from telepathy_runtime.models.registry import ModelSpec

#: The sequence length of the peaks: a prompt of 1024 and an answer of 512 tokens.
TOKENS = 1536
REGIMES = ("inference", "frozen_grad", "full")


def gpu_of(name: str) -> Gpu:
    """A GPU from the runtime's table; a ValueError names the closest ones."""
    from telepathy_runtime.memory.gpus import gpu

    card = gpu(name)
    return Gpu(card.name, card.total_bytes, card.usable_bytes)


def peaks(spec: ModelSpec) -> tuple[tuple[str, int], ...]:
    """Peak bytes of one sequence in bfloat16, by regime; empty if the architecture is not modelled."""
    from telepathy_runtime.memory.estimate import estimate
    from telepathy_runtime.memory.workload import Workload

    try:
        return tuple(
            (regime, estimate(spec, Workload(seq_len=_read_by(TOKENS, spec), regime=regime)).peak_allocated)
            for regime in REGIMES
        )
    except ValueError:
        return ()


#: The project's own models, by id.
_OWN: dict[str, ModelSpec] = {}


def use(models: Iterable[ModelSpec]) -> None:
    """Take a project's own models before those of the registry, from now on."""
    _OWN.clear()
    _OWN.update({spec.id: spec for spec in models})
    spec_of.cache_clear()


@cache
def spec_of(model_id: str) -> ModelSpec | None:
    """The entry of a model in the project's own registry, or in the built-in one."""
    from telepathy_runtime.models.registry import find

    return _OWN[model_id] if model_id in _OWN else find(model_id)


@cache
def pair_peak(one: ModelSpec, other: ModelSpec, tokens: int = TOKENS) -> int | None:
    """Peak bytes of two models, one reading a sequence and the other passing gradients on, for the larger assignment."""
    from telepathy_runtime.memory.pair import Adapter, estimate_pair

    try:
        return max(
            estimate_pair(
                source, target, *_pair_work(_read_by(tokens, one, other)), Adapter(0)
            ).peak_allocated
            for source, target in ((one, other), (other, one))
        )
    except ValueError:
        return None


@cache
def largest_pair_batch(one: ModelSpec, other: ModelSpec, gpu: str, tokens: int = TOKENS) -> int | None:
    """The largest batch of such a pair that fits on the GPU in both assignments."""
    from telepathy_runtime.memory.pair import Adapter
    from telepathy_runtime.memory.plan import max_batch_pair

    try:
        return min(
            max_batch_pair(
                source, target, *_pair_work(_read_by(tokens, one, other)), Adapter(0), device=gpu
            ).batch
            for source, target in ((one, other), (other, one))
        )
    except ValueError:
        return None


def _read_by(tokens: int, *specs: ModelSpec) -> int:
    """So many tokens, or as many as models with a table of positions read."""
    from telepathy_runtime.memory.runs import longest

    return min([tokens, *(most for most in map(longest, specs) if most)])


def _pair_work(tokens: int) -> tuple[Workload, Workload]:
    from telepathy_runtime.memory.workload import Workload

    read = Workload(seq_len=tokens, hidden_states=True)
    return read, read.but(regime="frozen_grad", hidden_states=False)


@cache
def largest_batch(spec: ModelSpec, regime: str, gpu: str, tokens: int = TOKENS) -> int | None:
    """The largest batch of one model that fits on the GPU; None if the architecture is not modelled."""
    from telepathy_runtime.memory.plan import max_batch
    from telepathy_runtime.memory.workload import Workload

    try:
        return max_batch(spec, Workload(seq_len=_read_by(tokens, spec), regime=regime), device=gpu).batch
    except ValueError:
        return None
