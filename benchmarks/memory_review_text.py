"""Formats the review's tables as text, Markdown and data; the copies in the documentation are generated here."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from textwrap import fill
from typing import Any

from benchmarks.memory_review import REGIMES, BatchRow, MemoryRow, batch_table, memory_table
from telepathy_runtime.memory.gpus import DEFAULT_GPU, RESERVE, gpu
from telepathy_runtime.memory.render import table, width
from telepathy_runtime.memory.units import GIB

BATCH_HEADER = ("row", "review", *(f"{r.key}: peak GiB / most / safe" for r in REGIMES), "verdict (assumed)")
MEMORY_HEADER = (
    "model", "parameters", "review GB", "exact GB", "error", "review activations GB", "full: layers + logits",
    "frozen: peak less weights", "prefill", "KV", "review / full",
)  # fmt: skip


def batch_rows(rows: tuple[BatchRow, ...]) -> list[tuple[str, ...]]:
    """Cells of the batch table: GiB and batch sizes."""
    shown = []
    for row in rows:
        cells = [f"{j.peak_allocated / GIB:.1f} / {j.most} / {j.safe}" for j in row.judged]
        shown.append((row.label, f"{row.batch} ({row.grad_accum})", *cells, row.judged[0].verdict))
    return shown


def memory_rows(rows: tuple[MemoryRow, ...]) -> list[tuple[str, ...]]:
    """Cells of the memory table, in decimal GB as in the review."""
    return [
        (
            row.spec.id.partition("/")[2],
            f"{row.spec.params:,}",
            _gb(row.said_params),
            f"{row.spec.params_bytes / 1e9:.3f}",
            "missing" if row.params_error is None else f"{row.params_error:+.2%}",
            _gb(row.said_activations),
            f"{row.layers_full / 1e9:.2f} + {row.logits / 1e9:.2f}",
            f"{row.peak_frozen / 1e9:.2f}",
            f"{row.prefill / 1e9:.2f}",
            f"{row.kv_cache / 1e9:.3f}",
            "missing" if row.activations_ratio is None else f"{row.activations_ratio:.2f}",
        )
        for row in rows
    ]


def _gb(size: int | None) -> str:
    return "missing" if size is None else f"{size / 1e9:.2f}"


def errors(rows: tuple[BatchRow, ...]) -> list[str]:
    """The batch table's errors: one sentence per row that does not hold for the table's own length."""
    card = gpu(DEFAULT_GPU)
    budget, usable = card.budget(RESERVE) / GIB, card.usable_bytes / GIB
    said = []
    for row in rows:
        judged = row.judged[0]
        if row.batch > judged.safe:
            peak = judged.peak_allocated / GIB
            limit = (
                f"{usable:.1f} GiB there are" if row.batch > judged.most else f"{budget:.1f} GiB to plan with"
            )
            said.append(
                f"{row.label}, batch {row.batch}: {judged.verdict}: {peak:.1f} GiB at "
                f"{judged.regime.source_tokens} tokens of {limit}; safe is {judged.safe}"
            )
    return said


def markdown(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def as_text() -> str:
    """Both tables for a terminal, with explanations of regimes and errors."""
    batches = batch_table()
    regimes = "\n".join(_wrapped(f"{r.key}: {r.says}") for r in REGIMES)
    parts = [
        f"Batch sizes on {DEFAULT_GPU}: review's batch (accumulation);\npeak at it / most that fits / safe",
        table(BATCH_HEADER, batch_rows(batches)),
        regimes,
        "Does not hold at the table's own length:\n" + "\n".join(map(_wrapped, errors(batches))),
        "Memory at batch 1, 1536 tokens, bfloat16, decimal GB",
        table(MEMORY_HEADER, memory_rows(memory_table())),
    ]
    return "\n\n".join(parts)


def _wrapped(line: str) -> str:
    return fill(line, width(), initial_indent="  ", subsequent_indent="    ")


def document(text: str) -> str:
    """Regenerate the parts of `text` between `<!-- review: NAME -->` and `<!-- end -->`."""
    batches = batch_table()
    parts = {
        "batches": markdown(BATCH_HEADER, batch_rows(batches)),
        "regimes": "\n".join(f"- **{r.key}**: {r.says}" for r in REGIMES),
        "errors": "\n".join(f"- {line}" for line in errors(batches)),
        "memory": markdown(MEMORY_HEADER, memory_rows(memory_table())),
    }
    for name, made in parts.items():
        start, end = f"<!-- review: {name} -->", "<!-- end -->"
        before, found, rest = text.partition(start)
        if not found or end not in rest:
            raise ValueError(f"the document has no part between {start} and {end}")
        text = f"{before}{start}\n{made}\n{end}{rest.partition(end)[2]}"
    return text


def as_json() -> dict[str, Any]:
    """Both tables as data, in bytes."""
    return {
        "gpu": DEFAULT_GPU,
        "regimes": [asdict(regime) for regime in REGIMES],
        "batches": [asdict(row) for row in batch_table()],
        "memory": [
            asdict(row) | {"params_error": row.params_error, "activations_ratio": row.activations_ratio}
            for row in memory_table()
        ],
    }


if __name__ == "__main__":
    for name in sys.argv[1:]:
        file = Path(name)
        file.write_text(document(file.read_text(encoding="utf-8")), encoding="utf-8")
