"""The peak of a job whose model has a program: the instants of its step, from a tape instead of formulas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from telepathy_runtime.memory.deberta import deberta
from telepathy_runtime.memory.operations import Model
from telepathy_runtime.memory.optimizers import Trained, one_by_one, optimizer_bytes, step_transient
from telepathy_runtime.memory.programs import Program, bert
from telepathy_runtime.memory.states import States, steps_together
from telepathy_runtime.memory.t5 import t5
from telepathy_runtime.memory.tape import Storage, Tape, Tensor
from telepathy_runtime.memory.whisper import whisper
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import ModelSpec, NotModelledError, UnknownOptionError, element_size

PROGRAMS: dict[str, Callable[[Tape, Model, ModelSpec, Workload], Program]] = {
    "bert": bert,
    "roberta": bert,
    "xlm-roberta": bert,
    "distilbert": bert,
    "electra": bert,
    "deberta-v2": deberta,
    "t5": t5,
    "whisper": whisper,
}
"""Model types that have one."""
EAGER = ("deberta-v2",)
"""Those that transformers has no sdpa for."""
KINDS = ("weights", "gradients", "optimizer", "activations", "logits", "kv_cache", "transient")


def check_job(spec: ModelSpec, work: Workload) -> None:
    """Raise NotModelledError for a job that no program knows, UnknownOptionError for a length that the model has not."""
    if work.source_len and not spec.encoder_layers:
        raise UnknownOptionError(f"source_len is for encoder-decoders, and {spec.id} is none")
    what = _unknown(spec, work)
    if what:
        raise NotModelledError(f"activations of {what} have no closed form")


def phases(spec: ModelSpec, work: Workload, held: States) -> tuple[States, list[tuple[str, dict[str, int]]]]:
    """The bytes of each component at the fullest moment of each part of a step that `check_job` let pass, and the states of the job.

    Raises NotModelledError for a job that the model's own program does not know.
    """
    tape = Tape(KINDS, work.trains)
    half = element_size(work.dtype) if work.mixed_precision else 0
    model = Model(tape, element_size(work.held_dtype), work.regime == "full", work.trains, half)
    forward = PROGRAMS[spec.architecture](tape, model, spec, work)
    if model.params != spec.params:
        raise NotModelledError(
            f"activations of {spec.id}, whose parameters are not those of {spec.architecture}, have no closed form"
        )
    if work.regime == "full" and work.shard == "none":
        held = _one_by_one(model, work, held)
    if model.copied_sizes:
        held = _beside_adapters(model, work, held)
    tape.alive |= {"weights": held.weights, "optimizer": held.optimizer, "transient": held.bucket}
    if not work.trains:
        forward()
        return held, _found(tape)
    # What the caller keeps of a step, or its gradients, are there in the next.
    outputs: list[Tensor] = []
    leaves: list[Tensor] = []
    for _ in range(2 if work.keep_outputs or work.grad_accum > 1 else 1):
        if work.grad_accum == 1:
            tape.zero_grad()
        made, inside = forward()
        with tape.part("loss", "logits"):
            loss = model.cross_entropy(made[0])
        inside.clear()
        model.end_autocast()
        # Only now, the last step's are freed.
        outputs, leaves[:] = made, tape.leaves
        tape.leaves, made = [], []
        if not work.keep_outputs:
            outputs.clear()
        tape.backward(loss)
    tape.phase = "optimizer step"
    Storage(tape, held.step_transient, "transient")
    return held, _found(tape)


def _one_by_one(model: Model, work: Workload, held: States) -> States:
    """The states with an optimizer that steps one parameter at a time."""
    if work.optimizer != "adafactor" and (work.optimizer, work.opt_impl) != ("adamw", "single"):
        return held
    tensors = [(number, means * (means != number)) for number, means in model.trained_sizes]
    transient = one_by_one(work, model.element, tensors)
    if work.optimizer == "adamw":
        return replace(held, step_transient=transient)
    return replace(
        held, optimizer=4 * sum(means for _, means in model.trained_sizes), step_transient=transient
    )


def _beside_adapters(model: Model, work: Workload, held: States) -> States:
    """The states with those of a module that is trained as a copy."""
    number = sum(model.copied_sizes)
    copied = Trained(number, model.element, (), ((max(model.copied_sizes),),))
    return replace(
        held,
        weights=held.weights + number * model.element,
        gradients=held.gradients + number * model.element,
        optimizer=held.optimizer + optimizer_bytes(work.optimizer, copied),
        step_transient=steps_together(work, held.step_transient, step_transient(work, copied)),
    )


def _found(tape: Tape) -> list[tuple[str, dict[str, int]]]:
    return [(name, parts) for name, (_, parts) in tape.best.items() if name]


def _unknown(spec: ModelSpec, work: Workload) -> str:
    """What of a job no program knows; empty if there is nothing."""
    name = spec.architecture
    if work.regime not in ("inference", "full") and spec.encoder_layers:
        return f"{name} in the regime {work.regime}"
    if work.shard not in ("none", "ddp", "zero1"):
        return f"{name} in shards"
    plain = work.regime == "full" and work.shard == "none"
    if work.trains and (work.optimizer == "muon" or (work.optimizer == "adafactor" and not plain)):
        return f"{name} with {work.optimizer} in the regime {work.regime}, shard {work.shard}"
    for field in _PLAIN:
        if getattr(work, field) != getattr(Workload, field):
            return f"{name} with {field}"
    if spec.stored_bytes:
        return f"{name} with quantised weights"
    return ""


_PLAIN = (
    *(
        "autocast",
        "new_tokens",
        "hidden_states",
        "loss",
        "objective",
        "kernels",
        "quantized",
    ),
    *("checkpoint_every", "reentrant", "opt_in_backward", "logits", "offload"),
)
"""Settings that the programs know in their default alone."""
