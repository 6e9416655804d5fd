"""Estimates and plans as text for a terminal and as plain data for `--json`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from telepathy_runtime.memory.advice import Advice, options_of
from telepathy_runtime.memory.estimate import Estimate
from telepathy_runtime.memory.gpus import Gpu
from telepathy_runtime.memory.plan import Fit
from telepathy_runtime.memory.units import gib

BAR = 40
SCHEMA = 1
"""Of the JSON; raised when a key goes or changes its meaning, not when one is added."""


def width() -> int:
    """Columns of the terminal; 80 if the output is not a terminal, so that piped text does not depend on it."""
    return max(shutil.get_terminal_size().columns, 40) if sys.stdout.isatty() else 80


def table(header: Sequence[str], rows: Sequence[Sequence[object]], left: int = 1) -> str:
    """Format aligned columns: the first `left` left-aligned, the others right-aligned.

    A table wider than the terminal continues below, with its first column repeated.
    """
    cells = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    parts = [
        "\n".join(_lines([[row[column] for column in block] for row in cells], block, widths, left))
        for block in _blocks(widths, width())
    ]
    return "\n\n".join(parts)


def _blocks(widths: Sequence[int], room: int) -> list[list[int]]:
    """Divide the columns of a table into parts that fit in `room` characters."""
    blocks: list[list[int]] = [[0]]
    used = widths[0]
    for column, needed in enumerate(widths[1:], 1):
        if used + 2 + needed > room and len(blocks[-1]) > 1:
            blocks.append([0])
            used = widths[0]
        blocks[-1].append(column)
        used += 2 + needed
    return blocks


def _lines(
    cells: Sequence[Sequence[str]], block: Sequence[int], widths: Sequence[int], left: int
) -> list[str]:
    lines = []
    for row in cells:
        parts = [
            cell.ljust(widths[column]) if column < left else cell.rjust(widths[column])
            for column, cell in zip(block, row, strict=True)
        ]
        lines.append("  ".join(parts).rstrip())
    lines.insert(1, "  ".join("-" * widths[column] for column in block))
    return lines


def estimate_text(result: Estimate, cards: Sequence[Gpu], reserve: float) -> str:
    """The peak by component, the other instants, and whether it fits each of the `cards`."""
    peak = result.peak
    scale = BAR / max(peak.total, 1)
    rows = [
        (name.replace("_", " "), gib(size), f"{size / peak.total:.1%}", "█" * round(size * scale))
        for name, size in peak.components().items()
        if size
    ]
    parts = [
        " + ".join(result.models) + ": " + "; ".join(workload_text(work) for work in result.workloads),
        f"{'peak' if result.whole else 'at least'} {gib(peak.total)} at: {peak.name}",
        _with_bars(rows),
        table(("instant", "alive"), [(i.name, gib(i.total)) for i in result.instants]),
        cards_text(peak.total, cards, reserve) if result.whole else _bound_text(peak.total, cards, reserve),
    ]
    if result.notes:
        parts.append("\n".join(f"note: {note}" for note in result.notes))
    return "\n\n".join(parts)


def _with_bars(rows: Sequence[tuple[str, str, str, str]]) -> str:
    """The components with a bar for each; narrow terminals break the bars, not the table."""
    cells = [("at the peak", "bytes", "share"), *(row[:3] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    head, line, *body = _lines(cells, range(3), widths, 1)
    return "\n".join(
        [head, line, *(f"{text}  {row[3]}".rstrip() for text, row in zip(body, rows, strict=True))]
    )


def cards_text(size: int, cards: Sequence[Gpu], reserve: float) -> str:
    """Whether `size` bytes fit: a sentence for one card, a table for several."""
    if len(cards) == 1:
        return fits_text(size, cards[0], reserve)
    rows = [
        (card.name, _verdict(size, card, reserve), gib(card.total_bytes), gib(budget), gib(budget - size))
        for card in cards
        for budget in [card.budget(reserve)]
    ]
    return table(("GPU", "verdict", "in all", "to plan with", "free"), rows, left=2)


def _bound_text(size: int, cards: Sequence[Gpu], reserve: float) -> str:
    """Compare the lower bound with each card: it does not fit, or how much memory it leaves."""
    lines = []
    for card in cards:
        left = card.budget(reserve) - size
        said = f"leaves {gib(left)} for what is not counted" if left >= 0 else "does not fit"
        lines.append(f"{said}: {card_text(card, reserve)}")
    return "\n".join(lines)


def _verdict(size: int, card: Gpu, reserve: float) -> str:
    if size <= card.budget(reserve):
        return "fits"
    return "no margin" if size <= card.usable_bytes else "does not fit"


def fits_text(size: int, card: Gpu, reserve: float) -> str:
    """One sentence: whether `size` bytes fit on the card, with the margin."""
    budget = card.budget(reserve)
    seen, verdict = card_text(card, reserve), _verdict(size, card, reserve)
    if verdict == "fits":
        return f"fits {seen}; {gib(budget - size)} free"
    if verdict == "no margin":
        return f"no margin on {seen}: {gib(size - budget)} into the reserve for fragmentation"
    return f"does not fit {seen}; {gib(size - card.usable_bytes)} too much"


def card_text(card: Gpu, reserve: float) -> str:
    """A card and its memory."""
    return f"{card.name}: {gib(card.total_bytes)} in all, {gib(card.budget(reserve))} to plan with"


def workload_text(work: Any) -> str:
    """The settings of a workload, ending with those that differ from the defaults."""
    base = f"{work.regime}, batch {work.batch}, {work.seq_len} tokens, {work.dtype}"
    shown = ("regime", "batch", "seq_len", "dtype")
    defaults = type(work)()
    other = [
        f"{name}={value}"
        for name, value in asdict(work).items()
        if name not in shown and value != getattr(defaults, name)
    ]
    return ", ".join([base, *other])


def estimate_json(result: Estimate, cards: Sequence[Gpu], reserve: float) -> dict[str, Any]:
    """An estimate as data, in bytes. For several cards, `gpus` replaces `gpu` and `fits`."""
    peak = result.peak
    gpus = [gpu_json(card, reserve) | {"fits": _fits(result, card, reserve)} for card in cards]
    one = gpus[0].pop("fits") if len(gpus) == 1 else None
    return {
        "schema": SCHEMA,
        "models": list(result.models),
        "workloads": [asdict(work) for work in result.workloads],
        "after_load_bytes": result.after_load,
        "steady_bytes": result.steady,
        "peak_bytes": peak.total,
        "instant": peak.name,
        "components": peak.components(),
        "instants": {instant.name: instant.total for instant in result.instants},
        **({"gpu": gpus[0], "fits": one} if len(gpus) == 1 else {"gpus": gpus}),
        "whole": result.whole,
        "notes": list(result.notes),
    }


def _fits(result: Estimate, card: Gpu, reserve: float) -> bool | None:
    """None if a lower bound fits: whether the whole job fits is unknown."""
    fits = result.peak.total <= card.budget(reserve)
    return fits if result.whole or not fits else None


def fit_json(fit: Fit, reserve: float) -> dict[str, Any]:
    """The result of a search as data, in bytes."""
    return {
        "schema": SCHEMA,
        "batch": fit.batch,
        "limited_by_model": fit.limited,
        "gpu": gpu_json(fit.gpu, reserve),
        "peak_bytes": fit.at.peak_allocated if fit.at else None,
        "instant": fit.at.peak.name if fit.at else None,
        "components": fit.at.peak.components() if fit.at else None,
        "headroom_bytes": fit.headroom if fit.at else None,
        "next_peak_bytes": fit.above.peak_allocated if fit.above else None,
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


def fits_table(fits: Sequence[tuple[str, Fit]], what: str, reserve: float) -> str:
    """The largest job that fits, its memory and the next job's: a row per model for one card, else a table per model."""
    cards = list(dict.fromkeys(fit.gpu for _, fit in fits))
    if len(cards) == 1:
        rows = [(label, *_fit_cells(fit)) for label, fit in fits]
        return f"{card_text(cards[0], reserve)}\n{table(('model', *_fit_header(what)), rows)}"
    parts = []
    for label in dict.fromkeys(label for label, _ in fits):
        rows = [
            (fit.gpu.name, gib(fit.budget_bytes), *_fit_cells(fit)) for other, fit in fits if other == label
        ]
        parts.append(f"{label}\n{table(('GPU', 'to plan with', *_fit_header(what)), rows)}")
    return "\n\n".join(parts)


def _fit_header(what: str) -> tuple[str, ...]:
    return what, "peak", "at", "one more"


def _fit_cells(fit: Fit) -> tuple[object, ...]:
    return (
        f"{fit.batch} (all)" if fit.limited else fit.batch,
        gib(fit.at.peak_allocated) if fit.at else "-",
        fit.at.peak.name if fit.at else "does not fit",
        gib(fit.above.peak_allocated) if fit.above else "-",
    )


def advice_text(found: Sequence[Advice], budget: int, batch: int) -> str:
    """The recommended changes, one per row, and the options of the first combined changes that fit."""
    if not found:
        return "no change that the planner knows saves memory"
    rows = [
        (each.change.text, gib(each.saves), each.largest, gib(each.together), each.largest_together)
        for each in found
    ]
    header = ("change", "saves alone", "batch", "with those above", "batch")
    lines = [f"what to change, at batch {batch}; the batches are the largest that fit", table(header, rows)]
    needed = next((index for index, each in enumerate(found) if each.together <= budget), None)
    alone = next((each for each in found if each.peak <= budget), None)
    if alone is not None:
        lines.append(f"enough alone: {alone.change.options}")
    elif needed is not None:
        lines.append("enough together: " + options_of(found[: needed + 1]))
    else:
        lines.append("not even all of them together are enough")
    return "\n".join(lines)


def advice_json(found: Sequence[Advice]) -> list[dict[str, Any]]:
    """The same as data, in bytes."""
    return [
        {
            "change": each.change.text,
            "options": each.change.options,
            "peak_bytes": each.peak,
            "saves_bytes": each.saves,
            "batch": each.largest,
            "together_bytes": each.together,
            "together_batch": each.largest_together,
        }
        for each in found
    ]
