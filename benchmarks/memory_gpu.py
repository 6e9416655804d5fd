"""Ten jobs on a real GPU beside their estimates: bytes after the load, and the peak of the third step.

    python -m benchmarks.memory_gpu [--plan | --write] [--rows N]

Every model has random weights, so that nothing is downloaded. Each row takes a process of its own, so that none inherits
another's fragments. The rows take under eight minutes together on one GPU of 24 GiB or more: a row that the GPU cannot
hold, or for which no time is left, is said and left out. --write puts the table into docs/memory.md. --plan prints the
estimates alone and needs no GPU.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from telepathy_runtime.memory import Estimate, Workload, estimate
from telepathy_runtime.memory.gpus import gpu
from telepathy_runtime.models import registry
from telepathy_runtime.models.spec import ModelSpec

DOCS = Path(__file__).resolve().parent.parent / "docs" / "memory.md"
BEGIN, END = "<!-- gpu: measured -->\n", "<!-- end gpu -->"
HEADER = "| model | job | after load GiB | estimate / measured | peak GiB | estimate / measured |\n|---|---|---|---|---|---|"
PLAN_HEADER = "| model | job | after load GiB | peak GiB | at |\n|---|---|---|---|---|"
STEPS, SECONDS = 3, 150
BUDGET = 8 * 60 - 10
"""Seconds for all rows."""
GIB = 2**30
TRAINER = {"keep_outputs": False, "use_cache": False}


class Row(NamedTuple):
    """A job: a listed model, how many of its layers, and the workload."""

    model: str
    layers: int
    work: Workload


ROWS = (
    Row("meta-llama/Llama-3.2-1B", 16, Workload(seq_len=2048)),
    Row("meta-llama/Llama-3.2-1B", 16, Workload(seq_len=1024, batch=2, regime="full", **TRAINER)),
    Row(
        "meta-llama/Llama-3.2-1B",
        16,
        Workload(seq_len=1024, batch=4, regime="full", checkpointing=True, **TRAINER),
    ),
    Row(
        "meta-llama/Llama-3.2-1B",
        16,
        Workload(seq_len=1024, batch=2, regime="full", opt_impl="fused", **TRAINER),
    ),
    Row("meta-llama/Llama-3.1-8B", 8, Workload(seq_len=1536, batch=2, regime="frozen_grad")),
    Row("Qwen/Qwen2.5-1.5B", 28, Workload(seq_len=1024, batch=2, regime="lora", **TRAINER)),
    Row("Qwen/Qwen2.5-1.5B", 28, Workload(seq_len=512, batch=2, regime="full", attn="eager", **TRAINER)),
    Row("openai-community/gpt2-large", 36, Workload(seq_len=1024, batch=4, regime="full", **TRAINER)),
    Row("EleutherAI/pythia-1.4b", 24, Workload(seq_len=1024, batch=4, regime="full", **TRAINER)),
    Row("google/gemma-2b", 18, Workload(seq_len=1024, batch=2, regime="frozen_grad", **TRAINER)),
)


def spec_of(row: Row) -> ModelSpec:
    """The model with as many layers as the row says."""
    return replace(registry.get(row.model), layers=row.layers)


def planned(row: Row) -> Estimate:
    """The estimate for the installed transformers."""
    import transformers

    return estimate(spec_of(row), row.work.but(transformers=transformers.__version__))


def measure(row: Row, device: str = "cuda") -> dict[str, int]:
    """Load the model and run the steps on `device`; bytes after the load, and the peak of the last step."""
    import torch
    from transformers import AutoConfig

    from telepathy_runtime.memory.standard_step import build_step

    listed = dict(registry.listed_config(row.model))
    config = AutoConfig.for_model(listed.pop("model_type"), **listed)
    config.num_hidden_layers = row.layers
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[: row.layers]
    marks: dict[str, int] = {}

    def loaded(_: Any) -> None:
        gc.collect()
        marks["loaded"] = torch.cuda.memory_allocated()

    with torch.device(device):
        step = build_step(config, row.work, on_model=loaded)()
        for _ in range(STEPS):
            torch.cuda.reset_peak_memory_stats()
            step()
            torch.cuda.synchronize()
    return marks | {"peak": torch.cuda.max_memory_allocated()}


def _named(row: Row) -> str:
    """The cells of a row's model and job."""
    work = row.work
    how = [work.regime, f"{work.batch} x {work.seq_len}", work.attn]
    how += ["checkpointing"] * work.checkpointing + ["fused step"] * (work.opt_impl == "fused")
    name = row.model.rpartition("/")[2] + (
        "" if row.layers == registry.get(row.model).layers else f", {row.layers} layers"
    )
    return f"| {name} | {', '.join(how)} |"


def plan_line(row: Row, plan: Estimate) -> str:
    """A line of the plan."""
    sizes = f"{plan.after_load / GIB:.2f} | {plan.peak_allocated / GIB:.2f} | {plan.peak.name}"
    return f"{_named(row)} {sizes} |"


def line(row: Row, found: dict[str, int], plan: Estimate) -> str:
    """A line of the table."""
    return (
        f"{_named(row)} {found['loaded'] / GIB:.2f} | {plan.after_load / found['loaded']:.3f} "
        f"| {found['peak'] / GIB:.2f} | {plan.peak_allocated / found['peak']:.3f} |"
    )


def table(rows: range) -> list[str]:
    """Measure the rows, each in a process of its own, until the time is used up."""
    card, lines, until = gpu("device"), [HEADER], time.monotonic() + BUDGET
    print(f"{card.name}\n{HEADER}", flush=True)
    for number in rows:
        row, plan = ROWS[number], planned(ROWS[number])
        if plan.peak_allocated > card.usable_bytes:
            print(f"left out: {row.model} needs {plan.peak_allocated / GIB:.1f} GiB", file=sys.stderr)
            continue
        command = [sys.executable, "-m", "benchmarks.memory_gpu", "--one", str(number)]
        left = min(SECONDS, until - time.monotonic())
        if left <= 0:
            print(f"left out: {row.model}: {BUDGET} s are over", file=sys.stderr)
            continue
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=left, check=False)
        except subprocess.TimeoutExpired:
            print(f"failed: {row.model}: more than {left:.0f} s", file=sys.stderr)
            continue
        if done.returncode:
            print(f"failed: {row.model}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
            continue
        lines.append(line(row, json.loads(done.stdout.splitlines()[-1]), plan))
        print(lines[-1], flush=True)
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="put the table into docs/memory.md")
    parser.add_argument("--plan", action="store_true", help="print the estimates alone; needs no GPU")
    parser.add_argument("--rows", type=int, default=len(ROWS), help="only the first N rows")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.plan:
        print("\n".join([PLAN_HEADER, *(plan_line(row, planned(row)) for row in ROWS[: args.rows])]))
        return 0
    import torch

    if not torch.cuda.is_available():
        print("needs a CUDA device; --plan prints the estimates without one", file=sys.stderr)
        return 2
    if args.one is not None:
        print(json.dumps(measure(ROWS[args.one])))
        return 0
    started = time.monotonic()
    lines = table(range(min(args.rows, len(ROWS))))
    versions = f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    print(f"\n{versions}; {time.monotonic() - started:.0f} s")
    if args.write:
        text = DOCS.read_text(encoding="utf-8")
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        DOCS.write_text(
            f"{before}{BEGIN}" + "\n".join([*lines, "", versions]) + f"\n{END}{after}", encoding="utf-8"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
