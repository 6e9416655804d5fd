"""Models that are counted operation by operation, in more regimes: autocast, adapters, frozen weights, Adafactor."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest

from telepathy_runtime.memory import Workload

pytest.importorskip("torch")
pytest.importorskip("transformers")

from tests.runtime.memory.test_programs import ENCODERS, TRAINER, encoder, error, t5, whisper

AUTOCAST: dict[str, dict[str, Any]] = {
    "inference": {},
    "full": TRAINER | {"opt_impl": "fused"},
    "checkpointing": TRAINER | {"opt_impl": "fused", "checkpointing": True},
    "padded": TRAINER | {"opt_impl": "fused", "padded": True},
}
"""Regimes under autocast over float32 weights."""


def mixed(draw: random.Random, kind: str) -> Any:
    """A config of a drawn shape."""
    heads, width, vocab = draw.choice([4, 6, 8]), draw.choice([32, 64]), draw.randint(300, 30000)
    layers, wide = (draw.randint(1, 4), draw.randint(1, 4)), 64 * draw.randint(4, 40)
    if kind == "t5":
        hidden, gate = 64 * draw.randint(3, 8), draw.choice(["relu", "gated-gelu"])
        return t5(*layers, heads, width, hidden, wide, vocab, feed_forward_proj=gate)
    if kind == "whisper":
        return whisper(*layers, heads, width, wide, vocab, draw.randint(50, 700))
    return encoder(kind, layers[0], heads, width, wide, vocab)


@pytest.mark.parametrize("kind", ["bert", "t5", "whisper"])
def test_casts_and_their_copies(kind: str) -> None:
    config = mixed(random.Random(2), kind)
    work = Workload(batch=2, seq_len=90, mixed_precision=True, **AUTOCAST["checkpointing"])
    assert abs(error(config, work)) < 0.001


@pytest.mark.slow
@pytest.mark.parametrize("regime", AUTOCAST)
@pytest.mark.parametrize("attn", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", ["bert", "roberta", "t5", "whisper"])
def test_autocast(kind: str, attn: str, regime: str) -> None:
    draw = random.Random(f"{kind} {attn} {regime}")
    for dtype in ("bfloat16", "float16"):
        batch, length = draw.randint(1, 5), draw.randint(2, 440)
        how = AUTOCAST[regime] | {"batch": batch, "seq_len": length, "attn": attn, "dtype": dtype}
        assert abs(error(mixed(draw, kind), Workload(mixed_precision=True, **how))) < 0.005


@pytest.mark.slow
@pytest.mark.parametrize("vocab", [300, 20000])
@pytest.mark.parametrize("kind", ["bert", "roberta", "t5", "whisper"])
def test_adafactor(kind: str, vocab: int) -> None:
    """Means of rows and columns, and an update of the parameter before: its step is the peak of these short jobs."""
    made = {
        "t5": partial(t5, 2, 3, 8, 32, 256, 1700, vocab),
        "whisper": partial(whisper, 3, 2, 4, 64, 1700, vocab, 20),
    }
    config = made.get(kind, partial(encoder, kind, 3, 8, 64, 1700, vocab))()
    for dtype in ("bfloat16", "float32"):
        work = Workload(seq_len=40, dtype=dtype, optimizer="adafactor", **TRAINER)
        assert abs(error(config, work)) < 0.003


FROZEN: dict[str, dict[str, Any]] = {
    "lora": {"regime": "lora", "keep_outputs": False},
    "lora in 16 bits": {"regime": "lora", "lora_dtype": "bfloat16", "lora_rank": 64},
    "lora, checkpointing": {"regime": "lora", "checkpointing": True},
    "lora, padded": {"regime": "lora", "padded": True},
    "frozen": {"regime": "frozen_grad"},
    "frozen, checkpointing": {"regime": "frozen_grad", "checkpointing": True, "keep_outputs": False},
}
"""Regimes of encoders whose own weights take no gradient."""


@pytest.mark.parametrize("regime", ["lora", "frozen, checkpointing"])
def test_frozen_weights_of_an_encoder(regime: str) -> None:
    if "lora" in regime:
        pytest.importorskip("peft")
    config = encoder("bert", 2, 8, 64, 1536, 3000)
    assert abs(error(config, Workload(batch=3, seq_len=203, **FROZEN[regime]))) < 0.001


@pytest.mark.slow
@pytest.mark.parametrize("mixed_precision", [False, True], ids=["plain", "autocast"])
@pytest.mark.parametrize("attn", ["sdpa", "eager"])
@pytest.mark.parametrize("regime", FROZEN)
def test_adapters_and_frozen_weights(regime: str, attn: str, mixed_precision: bool) -> None:
    pytest.importorskip("peft")
    draw = random.Random(f"{regime} {attn} {mixed_precision}")
    for model_type in ENCODERS:
        sizes = draw.randint(1, 6), draw.choice([4, 8]), draw.choice([32, 64]), 64 * draw.randint(4, 50)
        config = encoder(model_type, *sizes, draw.randint(300, 40000))
        shape = {"batch": draw.randint(1, 5), "seq_len": draw.randint(8, 900), "attn": attn}
        assert (
            abs(error(config, Workload(mixed_precision=mixed_precision, **shape, **FROZEN[regime]))) < 0.005
        )
