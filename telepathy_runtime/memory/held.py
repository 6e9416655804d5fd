"""A lower bound for jobs whose activations have no closed form; the counted parts are exact."""

from __future__ import annotations

from dataclasses import replace

from telepathy_runtime.memory.estimate import Estimate
from telepathy_runtime.memory.instants import Instant
from telepathy_runtime.memory.notes import dtype_note
from telepathy_runtime.memory.rotary import position_buffer
from telepathy_runtime.memory.states import states
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import ModelSpec, UnknownOptionError

_ONLY_WITH_ADAPTERS = {
    name: getattr(Workload, name)
    for name in (
        "dora", "lora_dropout", "modules_to_save", "kernels", "prepared", "objective", "reference",
    )
}  # fmt: skip
"""The defaults of settings that a job without adapters may not have."""


def held(spec: ModelSpec, work: Workload, reason: str) -> Estimate:
    """Weights, cache, gradients and optimizer states of `work`; `reason` says why the rest is not counted.

    Raises UnknownOptionError for an option whose bytes are not modelled.
    """
    asked, adapters = work, work.regime == "lora"
    notes = [f"activations and logits are not counted: {reason}", *dtype_note(spec, work)]
    if adapters:
        work = work.but(regime="frozen_grad", **_ONLY_WITH_ADAPTERS)
        notes.append("the adapters, their gradients and their states are not counted")
        if asked.prepared != "none":
            notes.append(f"what prepared={asked.prepared!r} makes float32 is counted as it is stored")
        if asked.copies_model:
            notes.append("the reference's weights are not counted")
    if spec.stored_bytes and work.regime == "full":
        raise UnknownOptionError(
            f"{spec.id}: quantised weights take no gradients; known: regime lora, frozen_grad"
        )
    known = states(spec, work)
    known = replace(known, weights=known.weights + position_buffer(spec, work))
    tokens = work.seq_len + max(work.new_tokens - 1, 0)
    cache = spec.kv_bytes(work.batch, tokens, work.dtype) if work.use_cache and not work.trains else 0
    instants = [Instant("weights and cache" if cache else "weights", known.weights, kv_cache=cache)]
    if known.gradients:
        instants.append(
            Instant(
                "optimizer step",
                weights=known.weights,
                gradients=known.gradients,
                optimizer=known.optimizer,
                transient=known.step_transient + known.bucket,
            )
        )
    steady = known.weights + known.optimizer + known.bucket
    return Estimate((spec.id,), (asked,), known.weights, steady, tuple(instants), tuple(notes), whole=False)
