"""Models whose code asks for values that a trace has not: whether a mask is whole, and whether arguments are valid."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from telepathy_runtime.memory import Workload  # noqa: E402
from telepathy_runtime.memory.images import without_values  # noqa: E402
from telepathy_runtime.memory.inputs import model_class  # noqa: E402
from telepathy_runtime.memory.standard_step import (  # noqa: E402
    _without_packed_positions,
    build_step,
    trace_workload,
    traced,
)
from telepathy_runtime.memory.tracing import trace  # noqa: E402
from tests.runtime.memory.test_traced_models import LATENT, config_of  # noqa: E402
from tests.runtime.memory.test_tracing import allocator_peak  # noqa: E402

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


#: Models whose code makes parameters on the CPU, or asks for the longest sequence, or always reads an image.
ODD: dict[str, dict[str, Any]] = {
    "xlnet": {"n_layer": 2, "d_model": 128, "n_head": 4, "d_inner": 256, "vocab_size": 500, "dropout": 0.0},
    "xlm": {"n_layers": 2, "emb_dim": 128, "n_heads": 4, "vocab_size": 500, "dropout": 0.0, "attention_dropout": 0.0},
    "diffllama": {
        "num_hidden_layers": 2, "hidden_size": 128, "num_attention_heads": 4, "num_key_value_heads": 4,
        "intermediate_size": 256, "vocab_size": 500, "pad_token_id": 0,
    },
    "git": {
        "num_hidden_layers": 2, "hidden_size": 128, "num_attention_heads": 4, "intermediate_size": 256, "vocab_size": 500,
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "vision_config": {
            "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128, "image_size": 32,
            "patch_size": 16,
        },
    },
}  # fmt: skip


@pytest.mark.parametrize("model_type", ODD)
def test_an_odd_models_trace_equals_the_real_allocator(model_type: str) -> None:
    """Without dropout, whose masks are of another size on the CPU."""
    config = transformers.AutoConfig.for_model(model_type, **ODD[model_type])
    work = WORK.but(dtype="float32", attn="eager", transformers=transformers.__version__)
    torch.manual_seed(0)
    step = build_step(config, work)()
    step()
    real = allocator_peak(step)
    weights = sum(each.numel() for each in model_class(config)._from_config(config).parameters())
    seen = traced(config, work)
    assert seen.built >= 4 * weights
    assert (seen.peak_allocated - seen.built) / real == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("model_type", ["xlnet", "diffllama"])
def test_parameters_that_code_makes_in_float32_are_held_as_a_load_holds_them(model_type: str) -> None:
    config = transformers.AutoConfig.for_model(model_type, **ODD[model_type])
    held = [traced(config, WORK.but(attn="eager", dtype=each)).built for each in ("float32", "bfloat16")]
    assert held[0] == pytest.approx(2 * held[1], rel=0.02)


def test_a_value_is_answered_in_such_a_models_trace_alone() -> None:
    with without_values("xlm"):
        assert torch.zeros(2, device="meta").max().item() == 0
        assert torch.tensor(3).item() == 3
    with pytest.raises(RuntimeError):
        torch.zeros((), device="meta").item()


def test_git_reads_an_image_beside_each_sequence(tmp_path: Any) -> None:
    config = transformers.AutoConfig.for_model("git", **ODD["git"])
    config.save_pretrained(tmp_path)
    assert "each sequence reads an image" in trace_workload(tmp_path, WORK).notes
