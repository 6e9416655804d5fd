"""Layers that are counted operation by operation: random jobs, each against the trace of transformers' own step.

These are Gemma 3's text in all regimes, and without gradients layers of Llama's kind, too. Layers rule most of the peaks: the vocabulary is
small, and blocks are narrow.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from benchmarks.memory_families import Shape, config_of, error, spec_of
from telepathy_runtime.memory import Workload, estimate
from telepathy_runtime.models.spec import NotModelledError
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
KINDS = ("adapters", "prefill", "training")
LLAMAS = ("llama", "qwen2", "qwen3", "gemma", "granite", "smollm3", "mistral")


def drawn(number: int) -> tuple[str, Any, Workload]:
    """A family with its config, and a job."""
    draw = random.Random(f"gemma {number}")
    kind = KINDS[number % 3]
    heads = draw.choice([4, 8, 12])
    hidden = heads * draw.choice([48, 64, 80])
    few = draw.choice([1, 1, 1, heads // 2] if kind == KINDS[1] else [1, heads, heads // 2])
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
    # Of SmolLM3, every fourth layer has queries in 16 bits under autocast.
    how |= {"mixed_precision": draw.random() < 0.4 and family != "smollm3"}
    if how["use_cache"] and draw.random() < 0.2:
        how |= {"new_tokens": 3}
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


@pytest.mark.parametrize("family", ["phi3", "smollm3"])
def test_a_prefill_under_autocast_that_is_not_known(family: str) -> None:
    has(family)
    spec = spec_of(config_of(family, Shape(4, 256, 640, 4, 2, 600)))
    work = Workload(batch=2, seq_len=100, mixed_precision=True)
    with pytest.raises(NotModelledError, match=f"{family} without gradients under autocast"):
        estimate(spec, work)
    assert estimate(spec, work.but(mixed_precision=False)).whole
