"""The masks of a batch: how many are built, how many checkpointed layers keep, and the one of the first layer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from telepathy_runtime.memory import Workload, estimate
from telepathy_runtime.memory.masks import Masks, masks_of
from telepathy_runtime.models import registry

GEMMA = registry.get("google/gemma-2-2b")
MISTRAL = registry.get("mistralai/Mistral-7B-v0.1")
LLAMA = registry.get("meta-llama/Llama-3.2-1B")
QWEN_MOE = registry.get("Qwen/Qwen1.5-MoE-A2.7B")
ONE = 3 * 700**2


@pytest.mark.parametrize(
    ("spec", "how", "expected"),
    [
        (LLAMA, {}, (0, 0, 0)),
        (LLAMA, {"attn": "flash_attention_2"}, (0, 0, 0)),
        (LLAMA, {"padded": True}, (1, 1, 1)),
        (LLAMA, {"attn": "eager"}, (2, 2, 2)),
        (LLAMA, {"attn": "eager", "mixed_precision": True, "regime": "full"}, (4, 4, 4)),
        (GEMMA, {"attn": "eager"}, (4, 4, 2)),
        (replace(GEMMA, sliding_layers=GEMMA.layers), {"attn": "eager"}, (4, 2, 2)),
        (QWEN_MOE, {"attn": "eager"}, (4, 2, 2)),
        (QWEN_MOE, {"padded": True}, (2, 1, 1)),
        (MISTRAL, {}, (0, 0, 0)),
        (replace(MISTRAL, sliding_window=500), {}, (1, 1, 1)),
        (replace(MISTRAL, sliding_window=500, sliding_layers=8), {}, (1, 1, 1)),
    ],
)
def test_bytes_of_the_masks(spec: object, how: dict[str, object], expected: tuple[int, int, int]) -> None:
    work = Workload(batch=3, seq_len=700, **how)  # type: ignore[arg-type]
    assert masks_of(spec, work) == Masks(*(number * ONE for number in expected))  # type: ignore[arg-type]


def test_checkpointed_layers_keep_the_mask_until_the_first_one_has_run_again() -> None:
    work = Workload(regime="full", checkpointing=True, attn="eager", use_cache=False, batch=3, seq_len=700)
    for spec, last, first in ((LLAMA, 2, 2), (GEMMA, 4, 2)):
        layers = {each.name: each.activations for each in estimate(spec, work).instants}
        stored = 3 * 700 * spec.hidden * 2
        between = layers["last layer, backward"] - layers["first layer, backward"]
        assert between == (spec.layers - 1) * stored + (last - first) * ONE
