"""Mixed precision: the closed form held against PyTorch's own allocator, because autocast does not act on the meta device."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from benchmarks.memory_families import Shape, config_of, spec_of  # noqa: E402
from telepathy_runtime.memory import Workload, estimate  # noqa: E402
from telepathy_runtime.memory.blocks import block  # noqa: E402
from telepathy_runtime.models.spec import NotModelledError  # noqa: E402
from tests.runtime.memory.test_tracing import allocator_peak  # noqa: E402

TRAINER = {"keep_outputs": False, "use_cache": False}
MIXED = Workload(regime="full", mixed_precision=True, attn="eager", batch=4, seq_len=96, **TRAINER)


def step_of(config: Any, work: Workload) -> Callable[[], None]:
    """A step as the Trainer's: autocast around the forward, which computes the loss."""
    model = (
        transformers.AutoModelForCausalLM.from_config(config, attn_implementation=work.attn).float().train()
    )
    if work.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    optimizer = torch.optim.AdamW(model.parameters(), foreach=True)
    ids = torch.zeros(work.batch, work.seq_len, dtype=torch.long)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(input_ids=ids, labels=ids, attention_mask=torch.ones_like(ids), use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    step()  # the optimizer's states
    return step


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "checkpointing", "instant"),
    [
        (Shape(4, 128, 352, 4, 2, 6000), False, "loss, backward"),
        (Shape(4, 128, 352, 4, 2, 6000), True, "loss, backward"),
        (Shape(8, 256, 704, 8, 8, 300), False, "final norm, backward"),
        (Shape(4, 128, 352, 4, 2, 1000), True, "optimizer step"),
    ],
    ids=["logits", "checkpointing", "layers", "states"],
)
def test_mixed_precision_against_the_allocator(shape: Shape, checkpointing: bool, instant: str) -> None:
    config, work = config_of("llama", shape), MIXED.but(checkpointing=checkpointing)
    plan = estimate(spec_of(config), work.but(transformers=transformers.__version__))
    assert plan.peak.name == instant
    assert plan.peak_allocated - plan.steady == pytest.approx(
        allocator_peak(step_of(config, work)), rel=0.005
    )


def test_weights_gradients_and_states_are_float32() -> None:
    spec = spec_of(config_of("llama", Shape(4, 128, 352, 4, 2, 1000)))
    plan = estimate(spec, MIXED)
    (step,) = [each for each in plan.instants if each.name == "optimizer step"]
    assert (step.weights, step.gradients, step.optimizer) == tuple(n * 4 * spec.params for n in (1, 1, 2))
    assert block(spec, MIXED).copies == 2 * (spec.mlp_params + spec.attention_params)
    assert block(spec, MIXED.but(mixed_precision=False)).copies == 0


@pytest.mark.parametrize(
    ("change", "architecture", "message"),
    [
        ({"regime": "lora"}, "llama", "autocast over float32 weights in the regime lora"),
        ({}, "gpt2", "autocast over float32 weights of gpt2"),
        ({}, "qwen3", "autocast over float32 weights of qwen3"),
    ],
    ids=["lora", "gpt2", "qwen3"],
)
def test_what_was_not_compared_is_not_claimed(
    change: dict[str, Any], architecture: str, message: str
) -> None:
    spec = spec_of(config_of("llama", Shape(4, 128, 352, 4, 2, 1000)))
    with pytest.raises(NotModelledError, match=message):
        estimate(dataclasses.replace(spec, architecture=architecture), MIXED.but(**change))
