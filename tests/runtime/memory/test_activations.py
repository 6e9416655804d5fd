"""Activations: what the formulas know equals the traces, and the others are traced."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.memory_families import Shape, config_of, error, spec_of
from telepathy_runtime.memory import Workload, estimate
from telepathy_runtime.memory.families import ONE_KERNEL, knows_activation
from telepathy_runtime.models.consistency import ACTIVATIONS
from telepathy_runtime.models.lookup import from_parsed
from telepathy_runtime.models.spec import NotModelledError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from telepathy_runtime.memory.standard_step import traced  # noqa: E402

SHAPE = Shape(3, 512, 2048, 8, 8, 300)
JOBS: tuple[dict[str, Any], ...] = ({}, {"regime": "full"}, {"regime": "frozen_grad", "checkpointing": True})
WORK = Workload(
    batch=2, seq_len=400, keep_outputs=False, use_cache=False, transformers=transformers.__version__
)
PLAIN, GATED = {*ONE_KERNEL, "gelu_new", "relu"}, {*ONE_KERNEL, "gelu_new", "quick_gelu", "relu2"}


@pytest.mark.parametrize(
    ("model_type", "name"),
    [*(("phi", name) for name in sorted(PLAIN)), *(("llama", name) for name in sorted(GATED))],
)
def test_a_decoder_with_an_activation_that_is_known_equals_its_trace(model_type: str, name: str) -> None:
    config = config_of(model_type, SHAPE, hidden_act=name)
    assert knows_activation(spec_of(config))
    for how in JOBS:
        assert abs(error(config, WORK.but(**how))) < 0.002


def bert(name: str) -> Any:
    return transformers.BertConfig(
        hidden_size=256, intermediate_size=1024, num_hidden_layers=2, num_attention_heads=4, vocab_size=300, hidden_act=name,
        architectures=["BertForMaskedLM"],
    )  # fmt: skip


@pytest.mark.parametrize("name", sorted(ONE_KERNEL))
def test_an_encoder_with_an_activation_of_one_kernel_equals_its_trace(name: str) -> None:
    config = bert(name)
    for how in JOBS:
        work = WORK.but(**how)
        peak = traced(config, work).peak_allocated
        assert estimate(from_parsed(config.to_dict(), "m"), work).peak_allocated == pytest.approx(
            peak, rel=0.002
        )


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_other_activations_have_no_closed_form(name: str) -> None:
    for model_type, known, names in (
        ("phi", PLAIN, "hidden_act"),
        ("llama", GATED, "hidden_act"),
        ("gpt2", PLAIN, "activation_function"),
    ):
        if name in known:
            continue
        raw = config_of(model_type, SHAPE).to_dict() | {names: name}
        with pytest.raises(
            NotModelledError, match=f"activations of {model_type} with the activation {name} have no"
        ):
            estimate(from_parsed(raw, "m"), WORK)
    if name not in ONE_KERNEL and name != "xielu":  # which has parameters
        with pytest.raises(
            NotModelledError, match=f"activations of bert with the activation {name} have no|whose parameters"
        ):
            estimate(from_parsed(bert("gelu").to_dict() | {"hidden_act": name}, "m"), WORK)
