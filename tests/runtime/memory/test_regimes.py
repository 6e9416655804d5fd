"""Regimes beside the plain ones: optimizers, steps in the backward, quantised bases, losses, offloads and shards."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telepathy_runtime.memory import Workload, estimate
from telepathy_runtime.memory.losses import logits_bytes
from telepathy_runtime.memory.states import states
from telepathy_runtime.memory.workload import CHOICES
from telepathy_runtime.models import registry
from telepathy_runtime.models.spec import ModelSpec, UnknownOptionError
from tests.runtime.memory.test_prepared import step_of

LLAMA = registry.get("meta-llama/Llama-3.1-8B")
QWEN = registry.get("Qwen/Qwen2.5-1.5B")
TRAINER = {"keep_outputs": False, "use_cache": False}


def small(spec: ModelSpec, vocab: int) -> ModelSpec:
    """Few layers; with a small vocabulary, layers and states rule the peak instead of logits."""
    return dataclasses.replace(spec, layers=3, vocab=vocab)


def error(spec: ModelSpec, work: Workload) -> float:
    """Estimate over trace, less one."""
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    if work.regime == "lora":
        pytest.importorskip("peft")
    from telepathy_runtime.memory.standard_step import hub_config, traced

    work = work.but(transformers=transformers.__version__)
    return estimate(spec, work).peak_allocated / traced(hub_config(spec), work).peak_allocated - 1


@pytest.mark.parametrize("vocab", [1000, 128256])
@pytest.mark.parametrize(
    "optimizer", ["adafactor", "muon", "adamw_8bit", "adamw_32bit", "lion", "lion_8bit", "paged_adamw"]
)
def test_optimizers_against_trace(optimizer: str, vocab: int) -> None:
    torch = pytest.importorskip("torch")
    if optimizer == "muon" and not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    work = Workload(regime="full", optimizer=optimizer, seq_len=128, **TRAINER)
    assert abs(error(small(LLAMA, vocab), work)) < 0.005


@pytest.mark.parametrize("impl", ["foreach", "fused"])
def test_a_step_in_the_backward_against_trace(impl: str) -> None:
    work = Workload(regime="full", opt_in_backward=True, opt_impl=impl, seq_len=256, **TRAINER)
    assert abs(error(small(LLAMA, 128256), work)) < 0.01
    assert abs(error(small(QWEN, 1000), work)) < 0.01
    whole = estimate(LLAMA, work.but(opt_in_backward=False)).peak_allocated
    assert estimate(LLAMA, work).peak_allocated < whole - LLAMA.params_bytes * 0.8


#: What a long sequence keeps and works with inside a layer, where no logits hide it.
LAYERS: dict[str, dict[str, Any]] = {
    "full": {"regime": "full"},
    "full-checkpointing": {"regime": "full", "checkpointing": True},
    "lora": {"regime": "lora"},
    "lora-checkpointing": {"regime": "lora", "checkpointing": True},
    "frozen-checkpointing": {"regime": "frozen_grad", "checkpointing": True},
}


@pytest.mark.parametrize("spec", [LLAMA, QWEN], ids=lambda spec: spec.id)
@pytest.mark.parametrize("name", LAYERS)
def test_the_backward_of_a_layer_and_of_the_last_norm(name: str, spec: ModelSpec) -> None:
    work = Workload(batch=3, seq_len=2100, **LAYERS[name], **TRAINER)
    result = estimate(small(spec, 1000), work)
    assert result.peak.name in ("first layer, backward", "last layer, backward", "final norm, backward")
    assert abs(error(small(spec, 1000), work)) < 0.005


# ---- laws, over jobs drawn at random

JOBS = st.builds(
    Workload,
    seq_len=st.integers(1, 4096),
    batch=st.integers(1, 16),
    regime=st.sampled_from(CHOICES["regime"]),
    optimizer=st.sampled_from(CHOICES["optimizer"]),
    opt_impl=st.sampled_from(CHOICES["opt_impl"]),
    loss=st.sampled_from(CHOICES["loss"]),
    kernels=st.sampled_from(("plain", "norms", "liger")),
    keep_outputs=st.just(False),
    lora_targets=st.sampled_from([("q_proj",), ("all-linear",)]),
    transformers=st.sampled_from(["4.45.2", "4.48.1", "5.23.0"]),
)
SPECS = st.sampled_from(
    [LLAMA, QWEN, registry.get("Qwen/Qwen3-8B"), registry.get("mistralai/Mistral-7B-v0.3")]
)


@settings(max_examples=200, deadline=None)
@given(SPECS, JOBS)
def test_more_tokens_never_take_less(spec: ModelSpec, work: Workload) -> None:
    peak = estimate(spec, work).peak_allocated
    assert estimate(spec, work.but(batch=work.batch + 1)).peak_allocated >= peak
    assert estimate(spec, work.but(seq_len=work.seq_len + 1)).peak_allocated >= peak


@settings(max_examples=100, deadline=None)
@given(SPECS, JOBS)
def test_the_parts_of_every_instant_add_up(spec: ModelSpec, work: Workload) -> None:
    for instant in estimate(spec, work).instants:
        parts = instant.components()
        assert instant.total == sum(parts.values())
        assert min(parts.values()) >= 0


@settings(max_examples=100, deadline=None)
@given(SPECS, JOBS, st.sampled_from(["zero1", "zero2", "zero3", "fsdp"]), st.integers(2, 64))
def test_shards_divide_the_whole(spec: ModelSpec, work: Workload, kind: str, ranks: int) -> None:
    whole, part = states(spec, work), states(spec, work.but(shard=kind, ranks=ranks))
    sharded = {"zero1": ("optimizer",), "zero2": ("optimizer", "gradients")}.get(
        kind, ("optimizer", "gradients", "weights")
    )
    for name in ("optimizer", "gradients", "weights"):
        size, mine = getattr(whole, name), getattr(part, name)
        assert mine == (-(-size // ranks) if name in sharded else size)


@settings(max_examples=100, deadline=None)
@given(SPECS, JOBS.filter(lambda work: work.trains))
def test_what_saves_memory_never_costs_any(spec: ModelSpec, work: Workload) -> None:
    peak = estimate(spec, work).peak_allocated
    assert estimate(spec, work.but(kernels="liger")).peak_allocated <= peak
    assert estimate(spec, work.but(offload=("optimizer",))).peak_allocated <= peak
    assert estimate(spec, work.but(offload=("activations",))).peak_allocated <= peak
    if work.regime != "full":
        for how in ("nf4_double", "nf4", "int8"):
            smaller = estimate(spec, work.but(quantized=how))
            assert smaller.after_load < estimate(spec, work).after_load


def test_double_quantisation_is_smaller_than_single_and_that_than_8_bits() -> None:
    work = Workload(regime="lora")
    sizes = [states(LLAMA, work.but(quantized=how)).weights for how in ("nf4_double", "nf4", "int8", "none")]
    assert sizes == sorted(sizes)
    # Embedding and head stay in bfloat16; half a byte for each of the rest, and the scales.
    inside = LLAMA.params - 2 * LLAMA.embedding_params
    assert sizes[0] == pytest.approx(4 * LLAMA.embedding_params + inside * (0.5 + 1 / 64), rel=0.01)


@pytest.mark.parametrize("checkpointing", [True, False], ids=["checkpointing", "plain"])
@pytest.mark.parametrize("tokens", [4096, 64, 8])
def test_a_quantised_layer_is_unpacked_one_matrix_at_a_time(tokens: int, checkpointing: bool) -> None:
    """One matrix is there where its product is computed. Where a layer has the most tensors, none is, unless tokens are few."""
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from telepathy_runtime.memory.standard_step import hub_config
    from telepathy_runtime.memory.tracing import trace

    spec = small(LLAMA, 1000)
    work = Workload(
        regime="frozen_grad", quantized="nf4_double", checkpointing=checkpointing, seq_len=tokens,
        transformers=transformers.__version__, **TRAINER,
    )  # fmt: skip
    plain, packed = estimate(spec, work.but(quantized="none")), estimate(spec, work)
    saved = plain.after_load - packed.after_load
    by_name = {instant.name: instant.total for instant in packed.instants}
    for instant in plain.instants:
        unpacked, whole = (
            saved - (instant.total - by_name[instant.name]),
            2 * LLAMA.hidden * LLAMA.intermediate,
        )
        if "layer" not in instant.name:
            assert unpacked == 0
        elif tokens == 8:
            assert unpacked == pytest.approx(whole, rel=0.11)
        elif tokens == 4096:  # at the last product of a forward alone
            assert unpacked == whole * (instant.name == "last layer, forward" and not checkpointing)
    # Layers that compute as bitsandbytes' do, but hold nothing packed.
    seen = trace(step_of(hub_config(spec), work))
    planned = packed.peak_allocated - packed.after_load
    assert planned == pytest.approx(seen.peak_allocated - seen.built, rel=0.001)


@pytest.mark.parametrize("again", [True, False], ids=["checkpointing", "plain"])
def test_an_unpacked_matrix_is_planned_only_where_it_is(again: bool) -> None:
    """With adapters: where the most tensors are, in the backward of the activation, none is unpacked; with few tokens, one is."""
    work = Workload(regime="lora", quantized="nf4_double", autocast=True, checkpointing=again, **TRAINER)
    more = {}
    for tokens in (4096, 1):
        last = [
            next(each for each in estimate(LLAMA, job).instants if each.name == "last layer, backward")
            for job in (work.but(seq_len=tokens), work.but(seq_len=tokens, quantized="none"))
        ]
        more[tokens] = last[0].total - last[0].weights - (last[1].total - last[1].weights)
    assert more[4096] <= 0
    assert more[1] == pytest.approx(2 * LLAMA.hidden * LLAMA.intermediate, rel=0.02)


def test_a_linear_loss_has_no_logits_but_a_chunk() -> None:
    work = Workload(regime="lora", batch=8, seq_len=2048, loss="linear", **TRAINER)
    held, forward, backward, gradient = logits_bytes(work, LLAMA.vocab, LLAMA.hidden)
    rows = 2 * work.tokens * LLAMA.hidden
    assert (held, backward, gradient) == (0, rows, 0)
    assert rows < forward < rows + 2 * work.tokens * LLAMA.hidden * 2
    plain = logits_bytes(work.but(loss="plain"), LLAMA.vocab, LLAMA.hidden)
    assert forward < plain.forward / 20


def test_tensor_parallelism_divides_what_autocast_keeps() -> None:
    """Each rank keeps the 16-bit copies of its parts of the layers' matrices; embeddings and head are not divided."""
    work = Workload(batch=2, seq_len=1024, mixed_precision=True)
    whole, part = (estimate(LLAMA, each).instants for each in (work, work.but(shard="tp", ranks=8)))
    one, eight = (next(each for each in found if each.name == "prefill, logits") for found in (whole, part))
    inside = 2 * LLAMA.layers * (LLAMA.attention_params + LLAMA.mlp_params)
    assert one.transient - eight.transient == inside * 7 // 8


def test_tensor_parallelism_divides_layers_and_not_the_stream() -> None:
    work = Workload(regime="frozen_grad", seq_len=2048, **TRAINER)
    one, four = estimate(LLAMA, work), estimate(LLAMA, work.but(shard="tp", ranks=4))
    whole = LLAMA.embedding_params + LLAMA.hidden * (2 * LLAMA.layers + 1)
    assert four.after_load == pytest.approx(2 * (whole + (LLAMA.params - whole) / 4), rel=1e-6)
    assert four.peak.activations < one.peak.activations / 2
    with pytest.raises(UnknownOptionError, match=r"32 heads of meta-llama/Llama-3\.1-8B over 3 ranks"):
        estimate(LLAMA, work.but(shard="tp", ranks=3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offload": ("disk",), "regime": "full"}, "offload disk: not modelled; known: optimizer"),
        ({"offload": ("weights",), "regime": "full"}, "it needs shard='fsdp' or 'zero3'"),
        ({"offload": ("activations",)}, "need a training regime"),
        ({"opt_in_backward": True, "regime": "full", "grad_accum": 2}, "opt_in_backward needs"),
        ({"quantized": "nf4", "regime": "full"}, "quantized weights take no gradients"),
        ({"quantized": "nf4", "shard": "tp", "regime": "lora"}, "under shard='tp' are not modelled"),
        ({"loss": "linear", "regime": "full"}, "leaves no logits to keep"),
        ({"quantized": "fp4"}, "quantized='fp4' is not modelled"),
    ],
    ids=str,
)
def test_what_excludes_each_other_is_said(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UnknownOptionError, match=message):
        Workload(**change)


def test_matrices_that_are_not_known_are_not_quantised() -> None:
    counted = dataclasses.replace(LLAMA, counted=10**9)
    with pytest.raises(UnknownOptionError, match="the matrices of llama are not known one by one"):
        states(counted, Workload(regime="lora", quantized="nf4"))
