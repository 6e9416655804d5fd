"""Models whose code asks for values that a trace has not: whether a mask is whole, and whether arguments are valid."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from telepathy_runtime.memory import Workload  # noqa: E402
from telepathy_runtime.memory.standard_step import _without_packed_positions, traced  # noqa: E402
from telepathy_runtime.memory.tracing import trace  # noqa: E402
from tests.runtime.memory.test_traced_models import LATENT, config_of  # noqa: E402

if tuple(map(int, transformers.__version__.split(".")[:2])) < (5, 20):
    pytest.skip("other releases ask in other ways", allow_module_level=True)

WORK = Workload(batch=2, seq_len=96, regime="full", keep_outputs=False, use_cache=False, optimizer="sgd")
MIXED: dict[str, dict[str, Any]] = {
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "qwen3_5_text": {
        "layer_types": ["linear_attention", "full_attention"], "head_dim": 32, "linear_num_value_heads": 4,
        "linear_num_key_heads": 4, "linear_key_head_dim": 32, "linear_value_head_dim": 32,
    },
}  # fmt: skip
"""Models some of whose layers have no attention, and multiply their input by the batch's mask if it has padding."""


def without_a_mask(config: Any) -> int:
    """The peak of the same step, whose caller gives no mask."""

    def build() -> Any:
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).train()
        ids = torch.zeros(2, 96, dtype=torch.long)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

        def step() -> None:
            model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
            optimizer.step()
            optimizer.zero_grad()

        return step

    with _without_packed_positions():
        return trace(build).peak_allocated


@pytest.mark.parametrize("model_type", MIXED)
def test_a_whole_mask_is_none(model_type: str) -> None:
    config = config_of(model_type, **MIXED[model_type])
    whole, padded = (traced(config, WORK.but(padded=each)).peak_allocated for each in (False, True))
    assert 0 <= whole - without_a_mask(config) <= 2 * 8 * 2 * 96 + 512
    assert padded > whole


def test_a_model_that_selects_keys_gets_its_mask() -> None:
    config = config_of("deepseek_v32", **LATENT, index_topk=32, index_n_heads=4, index_head_dim=32)
    seen = traced(config, WORK).peak_allocated
    # The mask is there for all layers, and the scores that select keys are.
    assert seen == traced(config, WORK.but(padded=True)).peak_allocated


def test_distributions_are_not_checked_in_a_trace_alone() -> None:
    def build() -> Any:
        scale = torch.ones(3)
        return lambda: torch.distributions.Normal(0.0, scale).icdf(torch.full((3,), 0.5))

    assert trace(build).peak_allocated > 0
    with pytest.raises(ValueError, match="scale"):
        torch.distributions.Normal(0.0, -torch.ones(3))


def test_what_is_asked_of_real_tensors_is_answered_by_torch() -> None:
    asked: list[bool] = []

    def build() -> Any:
        real = torch.tensor([True, False], device="cpu")

        def step() -> None:
            asked.extend((bool(torch.all(real)), bool(torch.all(torch.ones(2) == 1))))
            assert torch.all(torch.ones(2, 3) == 1, dim=1).shape == (2,)

        return step

    trace(build, steps=1)
    trace(build, steps=1, padded=True)
    assert asked == [False, True, False, False]
    assert not torch.all(torch.tensor([True, False]))
