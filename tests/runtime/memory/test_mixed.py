"""Autocast: the tracer's casts held against PyTorch's own autocast and allocator, and the closed form against both."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from benchmarks.memory_families import Shape, config_of, error, spec_of  # noqa: E402
from telepathy_runtime.memory import Workload, estimate  # noqa: E402
from telepathy_runtime.memory.autocasting import autocast_on_meta  # noqa: E402
from telepathy_runtime.memory.blocks import block  # noqa: E402
from telepathy_runtime.memory.peft_adapters import with_lora  # noqa: E402
from telepathy_runtime.memory.standard_step import build_step  # noqa: E402
from telepathy_runtime.memory.states import states  # noqa: E402
from telepathy_runtime.memory.tracing import Counter, _masks, _meta_attention  # noqa: E402
from telepathy_runtime.models.spec import NotModelledError, UnknownOptionError  # noqa: E402
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


def traced_peak(config: Any, work: Workload) -> int:
    """The tracer's peak of a step above what lived before it, without CUDA's rounding."""
    with (
        torch.device("meta"), _masks(padded=False), _meta_attention(), autocast_on_meta(), Counter(block=1) as counter
    ):  # fmt: skip
        step = build_step(config, work)()
        step()
        before = counter.current
        counter.reset_peak()
        step()
        return counter.peak - before


def traced_halves(config: Any, work: Workload) -> tuple[int, int]:
    """The tracer's peaks of a forward with its loss, and of the backward behind it, above what lived before."""
    with (
        torch.device("meta"), _masks(padded=False), _meta_attention(), autocast_on_meta(), Counter(block=1) as counter
    ):  # fmt: skip
        model = (
            transformers.AutoModelForCausalLM.from_config(config, attn_implementation=work.attn)
            .float()
            .train()
        )
        if work.checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        ids = torch.zeros(work.batch, work.seq_len, dtype=torch.long)
        before = counter.current
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(input_ids=ids, labels=ids, attention_mask=torch.ones_like(ids), use_cache=False).loss
        forward = counter.peak - before
        counter.reset_peak()
        loss.backward()
        return forward, counter.peak - before


def test_the_loss_is_computed_in_32_bits() -> None:
    """As by PyTorch's autocast: the logits are copied to float32 for it."""

    def build() -> Callable[[], None]:
        head, x, labels = torch.nn.Linear(64, 5000), torch.zeros(96, 64), torch.zeros(96, dtype=torch.long)

        def step() -> None:
            with torch.autocast("cpu", torch.bfloat16):
                loss = torch.nn.functional.cross_entropy(head(x), labels)
            loss.backward()
            head.zero_grad()

        return step

    step = build()
    step()
    with torch.device("meta"), autocast_on_meta(), Counter(block=1) as counter:
        on_meta = build()
        before = counter.current
        on_meta()
    assert counter.peak - before == pytest.approx(allocator_peak(step), rel=0.001)


#: Regimes of adapters, and of autocast over 16-bit weights.
ADAPTED: dict[str, dict[str, Any]] = {
    "float32 weights": {"mixed_precision": True},
    "16-bit weights": {"autocast": True},
    "everywhere": {"autocast": True, "lora_targets": ("all-linear",)},
    "dora": {"dora": True},
    "dora everywhere": {"dora": True, "autocast": True, "lora_targets": ("all-linear",)},
    "head and embedding": {"modules_to_save": ("embed_tokens", "lm_head")},
    "head": {"modules_to_save": ("lm_head",), "lora_dtype": "bfloat16"},
}


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
@pytest.mark.parametrize("name", ADAPTED)
def test_adapters_against_trace(name: str, checkpointing: bool) -> None:
    pytest.importorskip("peft")
    # A small vocabulary, so that layers rule the peak, and a large one.
    for model_type, shape, length in (
        ("llama", Shape(4, 512, 1408, 8, 2, 1000), 900),
        ("qwen3", Shape(3, 256, 704, 8, 2, 30000), 300),
    ):
        work = Workload(
            batch=3, seq_len=length, regime="lora", checkpointing=checkpointing,
            transformers=transformers.__version__, **TRAINER, **ADAPTED[name],
        )  # fmt: skip
        assert abs(error(config_of(model_type, shape), work)) < 0.005


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model_type", "names"),
    [("gpt2", ("c_attn",)), ("gpt2", ("c_attn", "c_proj", "c_fc")), ("gpt_neox", ("query_key_value", "dense")),
     ("phi3", ("qkv_proj", "gate_up_proj")), ("opt", ("all-linear",)), ("starcoder2", ("c_fc", "c_proj"))],
    ids=str,
)  # fmt: skip
def test_adapters_on_other_names(model_type: str, names: tuple[str, ...]) -> None:
    pytest.importorskip("peft")
    config = config_of(model_type, Shape(3, 512, 1408, 8, 8, 20000))
    work = Workload(
        batch=2,
        seq_len=300,
        regime="lora",
        lora_targets=names,
        transformers=transformers.__version__,
        **TRAINER,
    )
    assert abs(error(config, work)) < 0.005
    assert states(spec_of(config), work).weights == built_weights(config, work)


def built_weights(config: Any, work: Workload) -> int:
    """Bytes of the parameters of the model that PEFT builds."""
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        return sum(parameter.nbytes for parameter in with_lora(model, work).parameters())


def test_a_name_that_a_family_does_not_have_is_an_error() -> None:
    spec = spec_of(config_of("llama", Shape(4, 128, 352, 4, 2, 1000)))
    with pytest.raises(
        UnknownOptionError, match=r"lora_targets c_attn \(--lora-targets\): llama has no such matrix.*q_proj"
    ):
        estimate(spec, Workload(regime="lora", lora_targets=("c_attn",)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "checkpointing", "instant"),
    [
        (Shape(4, 128, 352, 4, 2, 6000), False, "loss, backward"),
        (Shape(4, 128, 352, 4, 2, 6000), True, "loss, backward"),
        (Shape(8, 256, 704, 8, 8, 300), False, "loss, forward"),
        (Shape(4, 128, 352, 4, 2, 1000), True, "optimizer step"),
    ],
    ids=["logits", "checkpointing", "layers", "states"],
)
def test_mixed_precision_against_the_allocator(shape: Shape, checkpointing: bool, instant: str) -> None:
    config, work = config_of("llama", shape), MIXED.but(checkpointing=checkpointing)
    plan = estimate(spec_of(config), work.but(transformers=transformers.__version__))
    assert plan.peak.name == instant
    if instant != "optimizer step":
        forward, backward = traced_halves(config, work)
        assert instant.endswith("forward" if forward > backward else "backward")
    real = allocator_peak(step_of(config, work))
    assert plan.peak_allocated - plan.steady == pytest.approx(real, rel=0.005)
    assert traced_peak(config, work) == pytest.approx(real, rel=0.001)


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
        ({}, "gpt2", "activations of gpt2 under autocast have"),
        ({"regime": "lora"}, "olmo2", "activations of olmo2 under autocast have"),
        (
            {"regime": "lora", "mixed_precision": False, "dora": True},
            "glm4",
            "activations of glm4 with DoRA have",
        ),
    ],
    ids=["gpt2", "olmo2", "dora"],
)
def test_what_was_not_compared_is_not_claimed(
    change: dict[str, Any], architecture: str, message: str
) -> None:
    spec = spec_of(config_of("llama", Shape(4, 128, 352, 4, 2, 1000)))
    with pytest.raises(NotModelledError, match=message):
        estimate(dataclasses.replace(spec, architecture=architecture), MIXED.but(**change))
