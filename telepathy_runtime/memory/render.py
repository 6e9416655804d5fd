"""Estimates and plans as text for a terminal and as plain data for `--json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from telepathy_runtime.memory.estimate import Estimate
from telepathy_runtime.memory.gpus import Gpu
from telepathy_runtime.memory.plan import Fit
from telepathy_runtime.memory.units import gib

BAR = 40


def table(header: Sequence[str], rows: Sequence[Sequence[object]], left: int = 1) -> str:
    """Aligned columns: the first `left` to the left, the others to the right."""
    cells = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = []
    for row in cells:
        parts = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(parts).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def estimate_text(result: Estimate, card: Gpu, reserve: float) -> str:
    """The peak by component, the other instants, and whether it fits `card`."""
    peak = result.peak
    scale = BAR / max(peak.total, 1)
    rows = [
        (name.replace("_", " "), gib(size), f"{size / peak.total:.1%}", "█" * round(size * scale))
        for name, size in peak.components().items()
        if size
    ]
    parts = [
        " + ".join(result.models) + ": " + "; ".join(workload_text(work) for work in result.workloads),
        f"peak {gib(peak.total)} at: {peak.name}",
        _with_bars(rows),
        table(("instant", "alive"), [(i.name, gib(i.total)) for i in result.instants]),
        fits_text(peak.total, card, reserve),
    ]
    parts += [f"note: {note}" for note in result.notes]
    return "\n\n".join(parts)


def _with_bars(rows: Sequence[tuple[str, str, str, str]]) -> str:
    text = table(("at the peak", "bytes", "share"), [row[:3] for row in rows]).splitlines()
    return "\n".join([*text[:2], *(f"{line}  {row[3]}" for line, row in zip(text[2:], rows, strict=True))])


def fits_text(size: int, card: Gpu, reserve: float) -> str:
    """One sentence: whether `size` bytes fit the card, and how."""
    budget = card.budget(reserve)
    seen = f"{card.name}: {gib(card.total_bytes)} in all, {gib(budget)} to plan with"
    if size <= budget:
        return f"fits {seen}; {gib(budget - size)} free"
    if size <= card.usable_bytes:
        return f"no margin on {seen}: {gib(size - budget)} into the reserve for fragmentation"
    return f"does not fit {seen}; {gib(size - card.usable_bytes)} too much"


def workload_text(work: Any) -> str:
    """A workload's settings, those that differ from the defaults last."""
    base = f"{work.regime}, batch {work.batch}, {work.seq_len} tokens, {work.dtype}"
    shown = ("regime", "batch", "seq_len", "dtype")
    defaults = type(work)()
    other = [
        f"{name}={value}"
        for name, value in asdict(work).items()
        if name not in shown and value != getattr(defaults, name)
    ]
    return ", ".join([base, *other])


def estimate_json(result: Estimate, card: Gpu, reserve: float) -> dict[str, Any]:
    """Everything about an estimate; bytes throughout."""
    peak = result.peak
    return {
        "models": list(result.models),
        "workloads": [asdict(work) for work in result.workloads],
        "after_load_bytes": result.after_load,
        "steady_bytes": result.steady,
        "peak_bytes": peak.total,
        "instant": peak.name,
        "components": peak.components(),
        "instants": {instant.name: instant.total for instant in result.instants},
        "gpu": gpu_json(card, reserve),
        "fits": peak.total <= card.budget(reserve),
        "notes": list(result.notes),
    }


def fit_json(fit: Fit, reserve: float) -> dict[str, Any]:
    """A search's answer; bytes throughout."""
    return {
        "batch": fit.batch,
        "limited_by_model": fit.limited,
        "gpu": gpu_json(fit.gpu, reserve),
        "peak_bytes": fit.at.peak_allocated if fit.at else None,
        "instant": fit.at.peak.name if fit.at else None,
        "components": fit.at.peak.components() if fit.at else None,
        "headroom_bytes": fit.headroom if fit.at else None,
        "next_peak_bytes": fit.above.peak_allocated,
    }


def gpu_json(card: Gpu, reserve: float) -> dict[str, Any]:
    """A card's numbers in bytes."""
    return {
        "name": card.name,
        "total_bytes": card.total_bytes,
        "context_bytes": card.context_bytes,
        "reserve": reserve,
        "budget_bytes": card.budget(reserve),
    }


def fits_table(fits: Sequence[tuple[str, Fit]], what: str) -> str:
    """One row a search: what fits, with how much, and what the next would take."""
    rows = [
        (
            label,
            fit.gpu.name,
            f"{fit.batch} (all)" if fit.limited else fit.batch,
            gib(fit.at.peak_allocated) if fit.at else "-",
            fit.at.peak.name if fit.at else f"weights and states do not fit: {gib(fit.above.peak_allocated)}",
            gib(fit.above.peak_allocated),
            gib(fit.budget_bytes),
        )
        for label, fit in fits
    ]
    return table(("model", "GPU", what, "peak", "at", "one more", "budget"), rows, left=2)
