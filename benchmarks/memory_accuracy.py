"""Measures the accuracy of the closed form: estimate / trace for models, regimes and shapes, as a Markdown table.

    python benchmarks/memory_accuracy.py [--quick | --pairs] [--json FILE]

Needs torch, transformers and peft, but no GPU. The trace is a real transformers step on the meta device. The
shapes and regimes of the last row are random with a fixed seed; no formula was tuned on them.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from telepathy_runtime.memory import Workload, estimate
from telepathy_runtime.memory.standard_step import hub_config, traced
from telepathy_runtime.models import registry
from tests.runtime.memory.test_estimate import LOOSE, MODELS, REGIMES, pair_error, pair_jobs, version

HEADER = (
    "| regime | traces | min | median | max | mean error | max error | below 1 |\n"
    "|---|---|---|---|---|---|---|---|"
)
SHAPES = ((1, 512), (2, 1536), (3, 777))


def ratio(model_id: str, work: Workload) -> float:
    spec = registry.get(model_id)
    return estimate(spec, work).peak_allocated / traced(hub_config(spec), work).peak_allocated


def row(name: str, ratios: list[float]) -> str:
    off = [abs(value - 1) for value in ratios]
    below = sum(value < 1 for value in ratios) / len(ratios)
    return (
        f"| {name} | {len(ratios)} | {min(ratios):.4f} | {statistics.median(ratios):.4f} | {max(ratios):.4f} "
        f"| {statistics.mean(off):.3%} | {max(off):.3%} | {below:.0%} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one model and one shape")
    parser.add_argument("--json", type=Path, help="write every ratio here")
    parser.add_argument("--pairs", action="store_true", help="pairs of models with a bridge instead")
    args = parser.parse_args()
    if args.pairs:
        print(HEADER)
        print(row("pairs", [1 + pair_error(*job) for job in pair_jobs()]))
        return
    models, shapes = (MODELS[:1], SHAPES[:1]) if args.quick else (MODELS, SHAPES)
    started, found = time.monotonic(), {}
    print(HEADER)
    for name, how in (REGIMES | LOOSE).items():
        jobs = [Workload(batch=b, seq_len=s, transformers=version(), **how) for b, s in shapes]
        found[name] = [ratio(model_id, job) for model_id in models for job in jobs]
        print(row(name, found[name]), flush=True)
    draw = random.Random(7)
    drawn = []
    for _ in range(5 if args.quick else 60):
        how = (REGIMES | LOOSE)[draw.choice([*REGIMES, *LOOSE])]
        job = Workload(
            batch=draw.randint(1, 12), seq_len=draw.randint(17, 2500), transformers=version(), **how
        )
        drawn.append(ratio(draw.choice(models), job))
    found["held out"] = drawn
    print(row("held out", drawn))
    print(row("all", [value for ratios in found.values() for value in ratios]))
    traces = sum(map(len, found.values()))
    print(f"\n{traces} traces in {time.monotonic() - started:.0f} s, transformers {version()}")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
