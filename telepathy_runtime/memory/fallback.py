"""The peak of any job: in closed form, else traced, else a lower bound; the estimate says which, and why."""

from __future__ import annotations

import time
from os import PathLike

from telepathy_runtime.memory.estimate import Estimate, estimate
from telepathy_runtime.memory.held import held
from telepathy_runtime.memory.targets import UnknownTargetError
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import ModelSpec, NotModelledError


def estimate_or_trace(
    spec: ModelSpec, work: Workload, model: ModelSpec | PathLike[str] | None = None
) -> Estimate:
    """The peak of `work`. Without a closed form, transformers' own step is traced, which takes seconds and needs torch.

    `model` is what to trace if it is not `spec`: the path of a config.json. If it cannot be traced, the result is a lower
    bound (`whole` is False) whose notes say why. Raises UnknownOptionError for an option that is not modelled, and for
    names of adapters that the model does not have.
    """
    try:
        return estimate(spec, work)
    except NotModelledError as error:
        reason = str(error)
    if spec.head_rows >= 0 or spec.stored_bytes:
        return held(spec, work, f"{reason}; only language models in 16 or 32 bits are traced")
    try:
        from telepathy_runtime.memory.standard_step import trace_workload
    except ImportError:
        return held(spec, work, f"{reason}; with torch and transformers they are traced")
    started = time.monotonic()
    try:
        traced = trace_workload(spec if model is None else model, work)
    except UnknownTargetError:
        raise
    # Whatever the model's own code raises, the counted parts are still known.
    except Exception as error:
        return held(spec, work, f"{reason}, and they cannot be traced: {error}")
    note = f"{reason}: transformers' own step was traced, which took {time.monotonic() - started:.0f} s"
    return traced.noted(note)
