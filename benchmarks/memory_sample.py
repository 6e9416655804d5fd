"""A random part of the grid of traces, with a fixed seed: estimate / trace over all families, regimes and lengths.

    python -m benchmarks.memory_sample [--traces N] [--seed N] [--minutes M] [--write]

Each trace draws one of the families of `memory_families` with random dimensions, a regime, an attention, a length and a
batch. It stops after so many traces or minutes, and says how many it made. `--write` puts the result into docs/memory.md.
Needs torch, transformers and peft, but no GPU.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.memory_families import FAMILIES, Shape, config_of, spec_of
from telepathy_runtime.memory import Workload, estimate

DOCS = Path(__file__).resolve().parent.parent / "docs" / "memory.md"
BEGIN, END = "<!-- sample: accuracy -->\n", "<!-- end sample -->"
EXPERTS = ("mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "gpt_oss")
TRAINER = {"keep_outputs": False, "use_cache": False}
REGIMES: tuple[dict[str, Any], ...] = (
    {},
    {"logits": "last"},
    {"use_cache": False},
    {"padded": True},
    {"regime": "frozen_grad", **TRAINER},
    {"regime": "full", **TRAINER},
    {"regime": "full", "checkpointing": True, **TRAINER},
    {"regime": "full", "opt_impl": "fused", **TRAINER},
    {"regime": "full", "optimizer": "sgd", **TRAINER},
)
HEADER = (
    "| models | traces | min | median | max | mean error | max error |\n"
    "|---|---|---|---|---|---|---|"
)  # fmt: skip


def drawn(draw: random.Random) -> tuple[str, Any, Workload]:
    """One family with its config, and a job."""
    import transformers

    from telepathy_runtime.memory.standard_step import attention_for

    family = draw.choice(sorted(FAMILIES))
    heads = draw.choice([8, 12, 16])
    shape = Shape(
        layers=draw.randint(2, 10),
        hidden=heads * draw.choice([48, 64, 80]),
        intermediate=64 * draw.randint(10, 60),
        heads=heads,
        kv_heads=draw.choice([heads, heads // 2, heads // 4]),
        vocab=draw.randint(500, 60000),
    )
    config, how, attn = config_of(family, shape), draw.choice(REGIMES), draw.choice(["sdpa", "eager"])
    work = Workload(batch=draw.randint(1, 5), seq_len=draw.randint(65, 1400), attn=attn, **how)
    return family, config, work.but(attn=attention_for(config, attn), transformers=transformers.__version__)


def row(name: str, ratios: list[float]) -> str:
    """A line of the table."""
    off = [abs(ratio - 1) for ratio in ratios]
    return (
        f"| {name} | {len(ratios)} | {min(ratios):.4f} | {statistics.median(ratios):.4f} | {max(ratios):.4f} "
        f"| {statistics.mean(off):.3%} | {max(off):.2%} |"
    )


def main() -> None:
    from telepathy_runtime.memory.standard_step import traced

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--traces", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=60, help="stop after these")
    parser.add_argument("--write", action="store_true", help="put the table into docs/memory.md")
    args = parser.parse_args()
    draw, until = random.Random(args.seed), time.monotonic() + 60 * args.minutes
    found: dict[str, list[float]] = {"dense": [], "with experts": []}
    while sum(map(len, found.values())) < args.traces and time.monotonic() < until:
        family, config, work = drawn(draw)
        seen, planned = traced(config, work), estimate(spec_of(config), work)
        ratio = planned.peak_allocated / seen.peak_allocated
        found["with experts" if family in EXPERTS else "dense"].append(ratio)
        if abs(ratio - 1) > 0.003:
            print(f"{family} {ratio - 1:+.2%} {work} {planned.peak.name}; traced: {seen.peak_at}", flush=True)
    lines = [HEADER, *(row(name, ratios) for name, ratios in found.items() if ratios)]
    print("\n".join(lines))
    if args.write:
        text = DOCS.read_text(encoding="utf-8")
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        DOCS.write_text(f"{before}{BEGIN}" + "\n".join(lines) + f"\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
