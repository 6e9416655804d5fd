"""Gemma 3's text: random jobs with adapters, in all regimes and without gradients, each against the trace of transformers' own step.

Layers rule most of their peaks: the vocabulary is small, and blocks are narrow.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from benchmarks.memory_families import Shape, config_of, error
from telepathy_runtime.memory import Workload
from tests.runtime.memory.test_families import has
from tests.sampling import first

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from telepathy_runtime.memory.standard_step import attention_for  # noqa: E402

EVERY = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
TARGETS = (EVERY, ("all-linear",), ("q_proj", "v_proj"), ("o_proj", "down_proj"), ("gate_proj",))
BESIDE: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"lora_dropout": True},
    {"dora": True},
    {"autocast": True},
    {"mixed_precision": True},
)
TRAINER: dict[str, Any] = {"keep_outputs": False, "use_cache": False}
KINDS = ("adapters", "prefill of one key head", "training")
LLAMAS = ("llama", "qwen2", "qwen3", "gemma", "granite", "smollm3", "mistral")


def drawn(number: int) -> tuple[str, Any, Workload]:
    """A family with its config, and a job."""
    draw = random.Random(f"gemma {number}")
    kind = KINDS[number % 3]
    heads = draw.choice([4, 8, 12])
    hidden = heads * draw.choice([48, 64, 80])
    few = 1 if kind == KINDS[1] else draw.choice([1, heads, heads // 2])
    wide = 64 * max(int(hidden * draw.uniform(1, 6)) // 64, 1)
    shape = Shape(draw.randint(1, 5), hidden, wide, heads, few, draw.choice([600, 600, 5000]))
    # A prefill is counted so for layers of Llama's kind, too.
    family = draw.choice(LLAMAS) if kind == KINDS[1] and draw.random() < 0.4 else "gemma3_text"
    config = config_of(family, shape)
    if family == "gemma3_text":
        config.head_dim = draw.choice([32, 64, 128, 256])
        config.sliding_window = draw.choice([64, 512, 4096])
    attn = attention_for(config, draw.choice(["eager", "eager", "sdpa"]))
    how: dict[str, Any] = {"logits": draw.choice(["all", "last"]), "use_cache": draw.random() < 0.6}
    if kind == "adapters":
        how = TRAINER | {
            "regime": "lora",
            "lora_targets": draw.choice(TARGETS),
            "lora_rank": draw.choice([4, 16, 64]),
        }
        how |= {"lora_dtype": draw.choice(["float32", "bfloat16"]), **draw.choice(BESIDE)}
        how |= {"checkpointing": draw.random() < 0.6}
    elif kind == "training":
        how = TRAINER | {"regime": draw.choice(["full", "frozen_grad"]), "checkpointing": draw.random() < 0.5}
        how |= {"grad_accum": draw.choice([1, 1, 2])}
    work = Workload(
        batch=draw.randint(1, 4), seq_len=draw.randint(150, 900), attn=attn, padded=draw.random() < 0.2,
        transformers=transformers.__version__, **how,
    )  # fmt: skip
    return family, config, work


@pytest.mark.parametrize("number", first(6, 24, range(60)))
def test_drawn_jobs(number: int) -> None:
    has("gemma3_text")
    family, config, work = drawn(number)
    has(family)
    if work.regime == "lora":
        pytest.importorskip("peft")
    assert abs(error(config, work)) < 0.005
