"""The closed form beside peaks that others measured, as a Markdown table: one row for the runs of a kind, with the reason.

python -m benchmarks.memory_public
"""

from __future__ import annotations

from collections import defaultdict

from telepathy_runtime.memory import Workload, estimate
from tests.runtime.memory.fms_acceleration import Row, rows

HEADER = "| trained | base | kernels | on | runs | measured GB | estimate / measured | why |\n|---|---|---|---|---|---|---|---|"


def kind(row: Row) -> tuple[str, str, str, str]:
    """What is trained, how the base is stored, which kernels there are, and on how many GPUs."""
    how = row.configuration
    base = "nf4" if "bnb" in how else "GPTQ" if "gptq" in how else "16 bits"
    kernels = {"plain": "none", "fused": "fused loss, norms", "linear": "linear loss, norms"}[row.work.loss]
    kernels += ", adapters" * (row.work.kernels == "adapters")
    trained = "all" if row.work.regime == "full" else "LoRA"
    return trained, base, kernels, "1 GPU" if row.work.ranks == 1 else "FSDP"


def why(trained: str, base: str, group: list[Row]) -> str:
    """How these runs differ from the others, and what rules their peaks."""
    if trained == "all":
        return "ruled by the optimizer's step, but for the largest batches"
    if base == "GPTQ":
        return "in float16, under autocast; groups of 128, in Llama-2-70B whole columns"
    cast = sum(row.work.autocast for row in group)
    return "under autocast" if cast == len(group) else f"{cast} under autocast" if cast else ""


def ratio(row: Row, work: Workload) -> float:
    """The estimate of a job over what was measured of a run."""
    return estimate(row.spec, work).peak_allocated / row.peak


def table() -> str:
    """All runs, by kind."""
    found: dict[tuple[str, str, str, str], list[Row]] = defaultdict(list)
    for row in rows():
        found[kind(row)].append(row)
    lines = [HEADER]
    for what, group in sorted(found.items()):
        ratios, sizes = [ratio(row, row.work) for row in group], [row.peak / 1e9 for row in group]
        lines.append(
            f"| {' | '.join(what)} | {len(group)} | {min(sizes):.1f} to {max(sizes):.1f} "
            f"| {min(ratios):.3f} to {max(ratios):.3f} | {why(*what[:2], group)} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
