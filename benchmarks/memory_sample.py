"""A random part of the grid of traces, with a fixed seed: estimate / trace over all families, regimes and lengths.

    python -m benchmarks.memory_sample [--more | --narrow] [--traces N] [--seed N] [--minutes M] [--record FILE] [--write]

Each trace draws one of the families of `memory_families` with random dimensions, a regime, an attention, a length and a
batch. It stops after so many traces or minutes, and says how many it made. `--record` keeps the traced peaks, so that a
later run with the same seed goes on after them: a trace takes seconds and depends on no formula. `--write` puts the
result into docs/memory.md. `--more` draws other regimes: precision, adapters, accumulation. `--narrow` draws a vocabulary of
600 and narrow feed-forward blocks, so that layers rule the peak. Needs torch, transformers and peft, but no GPU.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import statistics
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

from benchmarks.memory_families import Shape, config_of, spec_of
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
    {"regime": "lora", **TRAINER},
    {"regime": "lora", "checkpointing": True, "lora_dtype": "bfloat16", **TRAINER},
)
DRAWN = (
    *(
        "cohere",
        "cohere2",
        "gemma",
        "gemma2",
        "gemma3_text",
        "glm",
        "glm4",
        "gpt2",
        "gpt_neox",
        "gpt_oss",
        "gptj",
    ),
    *(
        "granite",
        "llama",
        "mistral",
        "mixtral",
        "olmo2",
        "olmo3",
        "olmoe",
        "opt",
        "phi",
        "phi3",
        "qwen2",
        "qwen2_moe",
    ),
    *("qwen3", "qwen3_moe", "smollm3", "stablelm", "starcoder2"),
)
"""Fixed, because another list would draw other jobs with the same seed."""
JOINED = ("gpt2", "gpt_neox", "phi3", "gpt_oss")
"""Families without matrices of Llama's names for adapters, and one whose experts they do not reach."""
MORE: tuple[dict[str, Any], ...] = (
    {"regime": "full", "mixed_precision": True},
    {"regime": "full", "mixed_precision": True, "checkpointing": True},
    {"regime": "lora", "autocast": True},
    {"regime": "lora", "autocast": True, "checkpointing": True},
    {"regime": "lora", "mixed_precision": True, "checkpointing": True},
    {"regime": "lora", "dora": True},
    {"regime": "lora", "lora_targets": ("all-linear",), "checkpointing": True},
    {"regime": "full", "padded": True, "checkpointing": True},
    {"regime": "frozen_grad", "checkpointing": True, "hidden_states": True},
    {"regime": "full", "checkpointing": True, "grad_accum": 2},
)
"""Regimes of `--more`, for the families that have a closed form of autocast."""
NARROW: tuple[dict[str, Any], ...] = (
    {"regime": "full"},
    {"regime": "full", "checkpointing": True},
    {"regime": "frozen_grad"},
    {"regime": "frozen_grad", "checkpointing": True},
)
"""Regimes of `--narrow`."""
CAST = ("llama", "mistral", "qwen2", "qwen3", "smollm3", "granite", "gemma", "phi3")
HEADER = (
    "| models | traces | min | median | max | mean error | max error |\n"
    "|---|---|---|---|---|---|---|"
)  # fmt: skip


def drawn(draw: random.Random) -> tuple[str, Any, Workload]:
    """One family with its config, and a job."""
    import transformers

    from telepathy_runtime.memory.standard_step import attention_for

    family = draw.choice(DRAWN)
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
    if how.get("regime") == "lora" and family in JOINED:
        how = how | {"regime": "frozen_grad"}
    work = Workload(batch=draw.randint(1, 5), seq_len=draw.randint(65, 1400), attn=attn, **how)
    return family, config, work.but(attn=attention_for(config, attn), transformers=transformers.__version__)


def drawn_more(draw: random.Random) -> tuple[str, Any, Workload]:
    """The same with the regimes and families of `--more`."""
    import transformers

    from telepathy_runtime.memory.standard_step import attention_for

    family, heads = draw.choice(CAST), draw.choice([8, 12, 16])
    shape = Shape(
        layers=draw.randint(2, 6),
        hidden=heads * draw.choice([48, 64, 80]),
        intermediate=64 * draw.randint(8, 50),
        heads=heads,
        kv_heads=draw.choice([heads, heads // 4]),
        vocab=draw.randint(500, 20000),
    )
    how = draw.choice(MORE) | TRAINER
    batch, length, attn = draw.randint(1, 4), draw.randint(65, 1200), draw.choice(["sdpa", "eager"])
    if family == "phi3" and how["regime"] == "lora" and "lora_targets" not in how:
        family = "llama"
    config = config_of(family, shape)
    work = Workload(batch=batch, seq_len=length, attn=attention_for(config, attn), **how)
    return family, config, work.but(transformers=transformers.__version__)


def drawn_narrow(draw: random.Random) -> tuple[str, Any, Workload]:
    """The same with few entries of the vocabulary and feed-forward blocks of 1 to 4 times the model's width."""
    import transformers

    from telepathy_runtime.memory.standard_step import attention_for

    family, heads = draw.choice(DRAWN), draw.choice([8, 12, 16])
    hidden = heads * draw.choice([48, 64, 80])
    kv_heads, layers = draw.choice([heads, heads // 2, heads // 4]), draw.randint(2, 4)
    wide = 64 * max(int(hidden * draw.uniform(1, 4)) // 64, 1)
    config = config_of(family, Shape(layers, hidden, wide, heads, kv_heads, 600))
    how, attn, impl = draw.choice(NARROW), draw.choice(["sdpa", "eager"]), draw.choice(["foreach", "fused"])
    batch, length = draw.randint(1, 4), draw.randint(100, 900)
    work = Workload(batch=batch, seq_len=length, attn=attention_for(config, attn), **how, **TRAINER)
    if work.regime == "full":
        work = work.but(opt_impl=impl)
    return family, config, work.but(transformers=transformers.__version__)


def peaks(path: Path | None) -> dict[str, int]:
    """The traced peaks that a file keeps, by job."""
    if path is None or not path.exists():
        return {}
    return dict(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())


def name_of(config: Any, work: Workload) -> str:
    """A job in words that tell it from every other one."""
    import torch

    sizes = hashlib.sha256(config.to_json_string().encode()).hexdigest()[:16]
    given = {each.name: getattr(work, each.name) for each in fields(work)}
    changed = {each.name: given[each.name] for each in fields(work) if given[each.name] != each.default}
    return f"{config.model_type} {sizes} {changed} torch {torch.__version__}"


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
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--more", action="store_true", help="draw other regimes")
    kind.add_argument("--narrow", action="store_true", help="draw narrow layers and few entries")
    parser.add_argument("--traces", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=60, help="stop after these")
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="keep the traced peaks here, and go on after them"
    )
    parser.add_argument("--write", action="store_true", help="put the table into docs/memory.md")
    args = parser.parse_args()
    if (args.more or args.narrow) and args.write:
        parser.error("--write is for the grid, not for --more and --narrow")
    choose = drawn_more if args.more else drawn_narrow if args.narrow else drawn
    draw, until, known = random.Random(args.seed), time.monotonic() + 60 * args.minutes, peaks(args.record)
    found: dict[str, list[float]] = {"dense": [], "with experts": []}
    while sum(map(len, found.values())) < args.traces:
        family, config, work = choose(draw)
        job = name_of(config, work)
        if job not in known:
            if time.monotonic() > until:
                break
            known[job] = traced(config, work).peak_allocated
            if args.record is not None:
                with args.record.open("a", encoding="utf-8") as file:
                    file.write(json.dumps([job, known[job]]) + "\n")
        planned = estimate(spec_of(config), work)
        ratio = planned.peak_allocated / known[job]
        found["with experts" if family in EXPERTS else "dense"].append(ratio)
        if abs(ratio - 1) > 0.003:
            print(f"{family} {ratio - 1:+.2%} {work} {planned.peak.name}", flush=True)
    lines = [HEADER, *(row(name, ratios) for name, ratios in found.items() if ratios)]
    print("\n".join(lines))
    if args.write:
        text = DOCS.read_text(encoding="utf-8")
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        DOCS.write_text(f"{before}{BEGIN}" + "\n".join(lines) + f"\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
