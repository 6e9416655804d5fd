"""Adapters of any kind on small and large layers, with few and many tokens: the estimate equals the trace."""

from __future__ import annotations

import random
from typing import Any

import pytest

from benchmarks.memory_families import Shape, config_of, error, spec_of
from telepathy_runtime.memory import Workload
from telepathy_runtime.memory.adapted import peaks
from telepathy_runtime.memory.blocks import block
from tests.runtime.memory.test_families import has

pytest.importorskip("torch")
pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "smollm3", "granite", "gemma", "phi3")
NAMES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
JOINED = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")
TRAINER = {"regime": "lora", "keep_outputs": False, "use_cache": False}
#: How the weights and the forward are: in 16 bits, under autocast, in 32 bits under autocast.
PRECISIONS: tuple[dict[str, Any], ...] = ({}, {"autocast": True}, {"mixed_precision": True})


def drawn(draw: random.Random) -> tuple[str, Any, Workload]:
    """A family, its config, and a job; a small vocabulary, so that layers rule the peak."""
    family, heads = draw.choice(FAMILIES), draw.choice([4, 8, 12])
    shape = Shape(
        layers=draw.randint(1, 5),
        hidden=heads * draw.choice([32, 64, 96, 128]),
        intermediate=64 * draw.randint(2, 50),
        heads=heads,
        kv_heads=draw.choice([heads, heads // 2, 1]),
        vocab=draw.randint(300, 3000),
    )
    names = JOINED if family == "phi3" else NAMES
    some = tuple(draw.sample(names, draw.randint(1, len(names))))
    config = config_of(family, shape)
    work = Workload(
        batch=draw.randint(1, 4),
        seq_len=draw.choice([draw.randint(2, 100), draw.randint(100, 1200)]),
        attn=draw.choice(["sdpa", "eager"]),
        lora_targets=draw.choice([some, some, ("all-linear",)]),
        lora_rank=draw.choice([4, 16, 64, 128]),
        lora_dtype=draw.choice(["float32", "float32", "bfloat16"]),
        dora=draw.random() < 0.5,
        checkpointing=draw.random() < 0.5,
        grad_accum=draw.choice([1, 1, 1, 2]),
        opt_impl="fused",  # which has no step counter for each matrix on the meta device
        transformers=transformers.__version__,
        **draw.choice(PRECISIONS),
        **TRAINER,
    )
    return family, config, work
