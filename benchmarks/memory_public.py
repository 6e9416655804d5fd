"""The closed form beside peaks that others measured, as a Markdown table: one row for the runs of a kind, with the reason.

python -m benchmarks.memory_public
"""

from __future__ import annotations

from collections import defaultdict

from telepathy_runtime.memory import estimate
from tests.runtime.memory.fms_acceleration import Row, rows

HEADER = "| trained | base | kernels | on | runs | measured GB | estimate / measured | why |\n|---|---|---|---|---|---|---|---|"


def kind(row: Row) -> tuple[str, str, str, str]:
    """What is trained, how the base is stored, which kernels there are, and on how many GPUs."""
    how = row.configuration
    base = "nf4" if "bnb" in how else "GPTQ" if "gptq" in how else "16 bits"
    kernels = {"plain": "none", "fused": "fused loss, norms", "linear": "linear loss, norms"}[row.work.loss]
    trained = "all" if row.work.regime == "full" else "LoRA"
    return trained, base, kernels, "1 GPU" if row.work.ranks == 1 else "FSDP"


def why(trained: str, base: str, kernels: str, where: str) -> str:
    """Why the estimate is where it is."""
    if trained == "all":
        return "ruled by the optimizer's step, but for the largest batches"
    if base == "GPTQ":
        return "counted as nf4; its groups take about as much"
    if kernels != "none" and base == "16 bits":
        return "some have bf16=True; with autocast counted, these are 0.979 to 1.000"
    return ""


def table() -> str:
    """All runs, by kind."""
    found: dict[tuple[str, str, str, str], list[tuple[float, float]]] = defaultdict(list)
    for row in rows():
        found[kind(row)].append((estimate(row.spec, row.work).peak_allocated / row.peak, row.peak / 1e9))
    lines = [HEADER]
    for what, values in sorted(found.items()):
        ratios, sizes = [ratio for ratio, _ in values], [size for _, size in values]
        lines.append(
            f"| {' | '.join(what)} | {len(values)} | {min(sizes):.1f} to {max(sizes):.1f} "
            f"| {min(ratios):.3f} to {max(ratios):.3f} | {why(*what)} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
