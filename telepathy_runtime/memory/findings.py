"""Findings about a job's memory, one sentence each, with their cost in bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from telepathy_runtime.memory.devices import Measured
from telepathy_runtime.memory.units import gib
from telepathy_runtime.memory.workload import Workload

FULL = 0.90
"""The used share of a device above which it is reported as nearly full."""
IDLE = 0.50
FRAGMENTED = 1.15
UNDER, OVER = 0.95, 1.15
"""The accepted range of estimate / measured."""


@dataclass(frozen=True)
class Finding:
    """One finding; `bytes` is its cost, if known."""

    code: str
    message: str
    bytes: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain data for the log."""
        return asdict(self)


def training_findings(model: Any, optimizers: Iterable[Any] = (), *, name: str = "model") -> list[Finding]:
    """Parameters whose gradients are not used by any optimizer.

    Each gradient takes the size of its parameter permanently, from the first backward on, because an optimizer's
    `zero_grad` only frees the gradients of its own parameters. The usual cause is mistaking `.eval()` for freezing.
    """
    known = optimized(optimizers)
    stray = [p for p in model.parameters() if p.requires_grad and id(p) not in known]
    if not stray:
        return []
    size = sum(p.numel() * p.element_size() for p in stray)
    held = sum(p.grad.numel() * p.grad.element_size() for p in stray if p.grad is not None)
    whole = "every parameter" if len(stray) == len(list(model.parameters())) else f"{len(stray)} parameters"
    mode = " in eval mode, which freezes nothing" if not model.training else ""
    if held:
        text = f"{name}: {gib(held)} of gradients are held by {whole} in no optimizer"
    else:
        text = f"{name}: {whole} in no optimizer will take gradients ({gib(size)} from the first backward on)"
    return [Finding("unoptimized-gradients", f"{text}{mode}; call requires_grad_(False)", held or size)]


def optimized(optimizers: Iterable[Any]) -> set[int]:
    """Identities of the parameters that some optimizer updates."""
    groups = (group for optimizer in optimizers for group in optimizer.param_groups)
    return {id(parameter) for group in groups for parameter in group["params"]}


def load_findings(
    model: Any, *, dtype: str | None = None, attn: str | None = None, name: str = "model"
) -> list[Finding]:
    """Findings about a dtype or attention that was not requested, and about layers on the CPU, disk or meta device."""
    wanted = (dtype or "").removeprefix("torch.")
    found = _other_dtypes(model.parameters(), wanted, f"{name}: {wanted} was requested")
    actual = getattr(getattr(model, "config", None), "_attn_implementation", None)
    if attn is not None and actual is not None and actual != attn:
        found.append(Finding("attention-differs", f"{name}: attention {attn} was requested, got {actual}"))
    placed = getattr(model, "hf_device_map", None) or {}
    spilled = sorted(part for part, where in placed.items() if str(where) in ("cpu", "disk", "meta"))
    if spilled and len({str(where) for where in placed.values()}) > 1:
        found.append(
            Finding("spilled", f"{name}: {len(spilled)} parts are not on a GPU: {', '.join(spilled)}")
        )
    return found


def plan_findings(
    model: Any, work: Workload, optimizers: Iterable[Any] = (), *, name: str = "model"
) -> list[Finding]:
    """Differences between the run and the plan: the weights' dtype, the trained parameters, the optimizer."""
    parameters = list(model.parameters())
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    every = sum(p.numel() for p in parameters)
    # PEFT's adapters have their own dtype.
    held = [p for p in parameters if work.regime != "lora" or not p.requires_grad]
    wanted = "float32" if work.mixed_precision else work.dtype
    found = _other_dtypes(held, wanted, f"{name}: the plan is for {wanted} weights")
    text = f"{name}: the plan is for regime {work.regime}, {trained:,} of {every:,} parameters take gradients"
    as_planned = {"full": trained == every, "lora": 0 < trained < every}.get(work.regime, trained == 0)
    if not as_planned:
        found.append(Finding("regime-differs", text))
    for optimizer in optimizers:
        kind = type(getattr(optimizer, "optimizer", optimizer)).__name__
        if not kind.lower().startswith(_OPTIMIZERS[work.optimizer]):
            found.append(
                Finding("optimizer-differs", f"{name}: the plan is for {work.optimizer}, the run has {kind}")
            )
    return found


#: How class names of optimizers begin that have the states of each planned optimizer; "onlystates" is the
#: tracer's own.
_OPTIMIZERS = {
    "adamw": ("adam", "onlystates"), "adamw_32bit": ("adam",), "adamw_8bit": ("adam",), "paged_adamw": ("adam", "pagedadam"),
    "paged_adamw_8bit": ("adam", "pagedadam"), "adafactor": ("adafactor",), "lion": ("lion",), "lion_8bit": ("lion",),
    "muon": ("muon", "adam"), "sgd": ("sgd",), "sgd_momentum": ("sgd",),
}  # fmt: skip


def _other_dtypes(parameters: Iterable[Any], wanted: str, begin: str) -> list[Finding]:
    sizes: dict[str, int] = {}
    for parameter in parameters:
        key = str(parameter.dtype).removeprefix("torch.")
        sizes[key] = sizes.get(key, 0) + parameter.numel() * parameter.element_size()
    other = {key: size for key, size in sizes.items() if wanted and key != wanted}
    if not other:
        return []
    parts = ", ".join(f"{gib(size)} in {key}" for key, size in sorted(other.items()))
    return [Finding("dtype-differs", f"{begin}, {parts}", sum(other.values()))]


def device_findings(measured: Sequence[Measured]) -> list[tuple[str, Finding]]:
    """(device, finding) for nearly full, fragmented or retrying devices; each device separately, never summed."""
    found: list[tuple[str, Finding]] = []
    used = {m.device: share for m in measured if (share := used_share(m)) is not None}
    for m in measured:
        share = used.get(m.device)
        if share is not None and share > FULL:
            idle = [device for device, other in used.items() if other < IDLE]
            where = f" while {', '.join(idle)} are less than half full" if idle else ""
            found.append((m.device, Finding("near-full", f"{m.device} is {share:.0%} full{where}")))
        if m.max_reserved and m.max_allocated and m.max_reserved > FRAGMENTED * m.max_allocated:
            lost = m.max_reserved - m.max_allocated
            text = f"{m.device} reserved {gib(lost)} more than its tensors took at most"
            found.append((m.device, Finding("fragmented", text, lost)))
        if m.num_alloc_retries:
            text = f"{m.device} freed its cache and retried {m.num_alloc_retries} times"
            found.append((m.device, Finding("allocation-retries", text)))
    return found


def used_share(measured: Measured) -> float | None:
    """The used share of a device, 0 to 1; includes other processes if the driver reports them."""
    if not measured.total_bytes or measured.device == "cpu":
        return None
    if measured.free_bytes is not None:
        return 1 - measured.free_bytes / measured.total_bytes
    return None if measured.reserved is None else measured.reserved / measured.total_bytes


def verdict(estimated: int | None, measured: int | None) -> tuple[float | None, str]:
    """(estimate over measured, "ok", "under", "over" or "not_measured")."""
    if not estimated or not measured:
        return None, "not_measured"
    ratio = estimated / measured
    return round(ratio, 4), "under" if ratio < UNDER else "over" if ratio > OVER else "ok"
