"""Adapters of any kind on small and large layers, with few and many tokens: the estimate equals the trace."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import pytest

from benchmarks.memory_families import Shape, config_of, error, spec_of
from telepathy_runtime.memory import Workload
from telepathy_runtime.memory.rotary import position_buffer
from tests.runtime.memory.test_families import has
from tests.sampling import first

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


def with_dropout(number: int) -> tuple[str, Any, Workload]:
    """The same job without DoRA; some with a dropout before each adapter, some with use_reentrant=True."""
    family, config, work = drawn(random.Random(f"adapters {number}"))
    draw = random.Random(f"dropouts {number}")
    dropout = draw.random() < 0.7
    reentrant = work.checkpointing and draw.random() < 0.6
    return family, config, work.but(dora=False, lora_dropout=dropout, reentrant=reentrant)


def differs(number: int) -> float:
    family, config, work = drawn(random.Random(f"adapters {number}"))
    has(family)
    return abs(error(config, work))


@pytest.mark.parametrize("number", first(6, 9, range(60)))
def test_drawn_adapters(number: int) -> None:
    assert differs(number) < 0.005


@pytest.mark.parametrize("number", first(9, 8, range(24)))
def test_dropouts_and_layers_that_run_again(number: int) -> None:
    family, config, work = with_dropout(number)
    has(family)
    assert abs(error(config, work)) < 0.005


class Found(NamedTuple):
    """A job that a draw found to be counted wrong: a family, its shape, batch, length, attention, and the rest."""

    family: str
    shape: Shape
    batch: int
    length: int
    attn: str
    how: dict[str, Any]


FOUND = {
    "DoRA's weights where few tokens are": Found(
        "llama", Shape(4, 1280, 2624, 16, 16, 5086), 4, 68, "sdpa", {"dora": True}
    ),
    "what the feed-forward block's adapters kept is freed": Found(
        "qwen2", Shape(6, 384, 2432, 8, 8, 3263), 2, 629, "sdpa", {"lora_targets": ("all-linear",), "checkpointing": True}
    ),
    "a dropped weight of DoRA is not kept": Found(
        "gemma", Shape(1, 384, 1536, 4, 4, 764), 1, 46, "sdpa",
        {"lora_targets": ("down_proj", "k_proj", "gate_proj"), "checkpointing": True, "dora": True, "lora_rank": 64},
    ),
    "the base's output without its bias is wide": Found(
        "qwen2", Shape(2, 512, 1216, 8, 4, 2699), 4, 527, "sdpa",
        {"lora_targets": NAMES, "dora": True, "mixed_precision": True, "lora_rank": 4},
    ),
    "one head of keys is a view": Found(
        "qwen2", Shape(3, 512, 512, 8, 1, 1646), 1, 357, "eager",
        {"lora_targets": ("q_proj", "gate_proj", "v_proj"), "dora": True, "lora_dtype": "bfloat16", "lora_rank": 128},
    ),
    "the first layer keeps no copies of its weights": Found(
        "phi3", Shape(2, 1152, 192, 12, 12, 2260), 2, 28, "sdpa",
        {"lora_targets": ("all-linear",), "dora": True, "mixed_precision": True, "lora_dtype": "bfloat16"},
    ),
    "autocast holds copies of adapters": Found(
        "gemma", Shape(1, 1536, 128, 12, 1, 2065), 2, 35, "eager",
        {"lora_targets": NAMES, "mixed_precision": True, "lora_rank": 128},
    ),
    "only values have adapters": Found(
        "granite", Shape(1, 128, 1280, 4, 1, 2743), 4, 231, "eager",
        {"lora_targets": ("o_proj", "down_proj", "v_proj"), "mixed_precision": True, "lora_rank": 64, "grad_accum": 2},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_what_draws_found(name: str) -> None:
    job = FOUND[name]
    has(job.family)
    work = Workload(
        batch=job.batch, seq_len=job.length, attn=job.attn, opt_impl="fused", transformers=transformers.__version__,
        **TRAINER, **job.how,
    )  # fmt: skip
    assert abs(error(config_of(job.family, job.shape), work)) < 0.003


def test_a_rotated_width_is_not_one_less() -> None:
    config = config_of("gptj", Shape(2, 132, 528, 3, 3, 600), rotary_dim=30)
    assert position_buffer(spec_of(config), Workload()) == 4 * 4096 * 30
