"""Recommends changes that make a job fit, each computed by the planner, in the order in which to try them.

First changes that cost nothing, then those that cost time, those that change what is trained, and more
devices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from telepathy_runtime.memory.estimate import Estimate
from telepathy_runtime.memory.plan import Fit
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import UnknownOptionError


class Change(NamedTuple):
    """A change to a job, and the options for it."""

    text: str
    options: str
    settings: dict[str, Any]


class Advice(NamedTuple):
    """The effect of a change: alone, and together with the previous ones. Bytes are for the job's batch."""

    change: Change
    peak: int
    saves: int
    largest: int  # the largest batch with this change alone
    together: int  # the peak with this change and those before it
    largest_together: int
    joined: bool  # whether it is one of the combined changes: it is compatible with them and saves more


def changes(work: Workload) -> Iterator[Change]:
    """The changes that apply to a job, in the order in which to try them, without those that it already has."""
    own = work.objective == "lm"
    if own and work.trains and (work.keep_outputs or (work.use_cache and not work.checkpointing)):
        text = "outputs and cache dropped (Trainer)"
        settings: dict[str, Any] = {"keep_outputs": False, "use_cache": False}
        yield Change(text, "--no-keep-outputs --no-use-cache", settings)
    if not work.trains and work.logits == "all":
        yield Change("last logits only (generate)", "--logits last", {"logits": "last"})
    if work.attn == "eager":
        yield Change("sdpa attention", "--attn sdpa", {"attn": "sdpa"})
    if own and work.trains and work.loss != "linear":
        text = "loss in chunks (Liger, TRL)"
        yield Change(text, "--loss linear --no-keep-outputs", {"loss": "linear", "keep_outputs": False})
    if work.regime == "full" and work.optimizer == "adamw" and work.opt_impl != "fused":
        yield Change("fused optimizer step", "--opt-impl fused", {"opt_impl": "fused"})
    if work.trains and work.kernels != "liger":
        yield Change("Liger's kernels", "--kernels liger", {"kernels": "liger"})
    if work.trains and not work.checkpointing:
        yield Change("gradient checkpointing", "--checkpointing", {"checkpointing": True})
    if work.regime == "full" and work.optimizer in ("adamw", "adamw_32bit"):
        yield Change("8-bit optimizer states", "--optimizer adamw_8bit", {"optimizer": "adamw_8bit"})
    if work.regime == "full" and work.grad_accum == 1 and work.shard == "none" and not work.opt_in_backward:
        yield Change("steps in the backward", "--opt-in-backward", {"opt_in_backward": True})
    if work.regime == "full":
        yield Change("LoRA", "--regime lora", {"regime": "lora"})
    if work.quantized == "none" and not work.mixed_precision and work.shard != "tp":
        settings = {"quantized": "nf4_double"} | ({"regime": "lora"} if work.regime == "full" else {})
        text = "QLoRA (base in 4 bits)" if work.trains else "weights in 4 bits"
        options = "--quantized nf4_double" + (" --regime lora" if work.regime == "full" else "")
        yield Change(text, options, settings)
    if work.trains and work.shard == "none":
        for ranks in (2, 4, 8):
            options = f"--shard fsdp --ranks {ranks}"
            yield Change(f"FSDP over {ranks} GPUs", options, {"shard": "fsdp", "ranks": ranks})
    if work.regime == "full" and "optimizer" not in work.offload:
        settings = {"offload": (*work.offload, "optimizer")}
        yield Change("optimizer states on the CPU", "--offload optimizer", settings)


def advice(
    work: Workload,
    at: Callable[[Workload], Estimate],
    largest: Callable[[Workload], Fit],
) -> list[Advice]:
    """The effect of each change of a job, without those that save nothing or are incompatible with the job.

    `at` estimates a job, `largest` finds its largest batch.
    """
    peak, found = at(work).peak_allocated, []
    so_far, total, most = work, peak, largest(work).batch
    for change in changes(work):
        try:
            alone = work.but(**change.settings)
            size, batch = at(alone).peak_allocated, largest(alone).batch
        except UnknownOptionError:
            continue
        if size >= peak:
            continue
        joined = False
        try:
            both = so_far.but(**change.settings)
            if at(both).peak_allocated < total:
                so_far, total, most, joined = both, at(both).peak_allocated, largest(both).batch, True
        except UnknownOptionError:  # incompatible with the previous ones
            pass
        found.append(Advice(change, size, peak - size, batch, total, most, joined))
    return found


def options_of(found: Sequence[Advice]) -> str:
    """The options of the combined changes, without duplicates."""
    values: dict[str, str] = {}
    for each in found:
        if each.joined:
            for option in each.change.options.removeprefix("--").split(" --"):
                name, _, value = option.partition(" ")
                values[name] = value
    return " ".join(f"--{name} {value}".rstrip() for name, value in values.items())
