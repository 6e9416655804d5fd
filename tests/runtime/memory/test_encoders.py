"""Encoders without a head, and discriminators, of drawn shapes: the estimate equals the trace of their own step."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.memory_families import spec_of
from telepathy_runtime.memory import Workload, estimate
from telepathy_runtime.models import registry
from telepathy_runtime.models.spec import NotModelledError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from telepathy_runtime.memory.standard_step import _autocast, _with_lora, optimizers_of  # noqa: E402
from telepathy_runtime.memory.tracing import trace  # noqa: E402
from tests.runtime.memory.test_programs import TRAINER, encoder, error  # noqa: E402

BASES = {
    "bert": "BertModel",
    "roberta": "RobertaModel",
    "xlm-roberta": "XLMRobertaModel",
    "distilbert": "DistilBertModel",
    "electra": "ElectraModel",
}
REGIMES: tuple[dict[str, Any], ...] = (
    {},
    {"padded": True},
    TRAINER,
    TRAINER | {"checkpointing": True},
    TRAINER | {"mixed_precision": True},
    {"regime": "lora", "keep_outputs": False},
    {"regime": "lora", "keep_outputs": False, "checkpointing": True},
    {"regime": "lora", "keep_outputs": False, "mixed_precision": True},
)


def step_of(config: Any, work: Workload) -> Callable[[], Callable[[], object]]:
    """A forward, or a step whose loss reads one token of a sequence, or all of a discriminator."""

    def build() -> Callable[[], object]:
        model = getattr(transformers, config.architectures[0])._from_config(
            config, dtype=getattr(torch, work.held_dtype), attn_implementation=work.attn
        )
        ids = torch.zeros(work.batch, work.seq_len, dtype=torch.long)
        mask, labels = torch.ones_like(ids), torch.zeros_like(ids)
        model.train(work.trains)
        if work.regime == "lora":
            model = _with_lora(model, work)
        if work.checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        trained = [(name, each) for name, each in model.named_parameters() if each.requires_grad]
        optimizers = optimizers_of(trained, work) if work.trains else []

        def loss() -> Any:
            with _autocast(model, work):
                if config.architectures[0] == "ElectraForPreTraining":
                    return model(input_ids=ids, labels=labels).loss
                outputs = model(input_ids=ids, attention_mask=mask)
                pooled = getattr(outputs, "pooler_output", None)
                return (outputs.last_hidden_state[:, 0] if pooled is None else pooled).sum()

        def step() -> None:
            if not work.trains:
                with torch.no_grad():
                    loss()
                return
            loss().backward()
            for optimizer in optimizers:
                optimizer.step()
            for optimizer in optimizers:
                optimizer.zero_grad()

        return step

    return build


def drawn(draw: random.Random, model_type: str) -> tuple[Any, Workload]:
    """A base model's config, and a job."""
    sizes = draw.randint(1, 6), draw.choice([4, 8, 12]), draw.choice([32, 64]), 64 * draw.randint(4, 50)
    config = encoder(model_type, *sizes, draw.randint(300, 40000))
    config.architectures = [BASES[model_type]]
    how = draw.choice(REGIMES)
    work = Workload(
        batch=draw.randint(1, 6),
        seq_len=draw.randint(8, 900),
        attn=draw.choice(["sdpa", "eager"]),
        dtype="bfloat16" if how.get("mixed_precision") else draw.choice(["bfloat16", "float32"]),
        opt_impl="fused",
        transformers=transformers.__version__,
        **how,
    )
    return config, work


def differs(config: Any, work: Workload) -> float:
    if work.regime == "lora":
        pytest.importorskip("peft")
    seen = trace(step_of(config, work), padded=work.padded).peak_allocated
    return abs(estimate(spec_of(config), work).peak_allocated / seen - 1)


@pytest.mark.parametrize("model_type", BASES)
def test_an_encoder_without_a_head(model_type: str) -> None:
    assert differs(*drawn(random.Random(f"{model_type} 1"), model_type)) < 0.002


@pytest.mark.slow
@pytest.mark.parametrize("number", range(2, 12))
@pytest.mark.parametrize("model_type", BASES)
def test_drawn_encoders_without_a_head(model_type: str, number: int) -> None:
    assert differs(*drawn(random.Random(f"{model_type} {number}"), model_type)) < 0.005


@pytest.mark.parametrize("regime", ["full", "lora"])
def test_a_discriminator(regime: str) -> None:
    config = encoder("electra", 3, 8, 64, 1536, 5000)
    config.architectures = ["ElectraForPreTraining"]
    how = {"regime": regime, "keep_outputs": False, "opt_impl": "fused"}
    work = Workload(batch=4, seq_len=300, dtype="float32", transformers=transformers.__version__, **how)
    assert differs(config, work) < 0.002


@pytest.mark.parametrize("model_type", ["distilbert", "electra"])
def test_a_language_model_of_another_kind(model_type: str) -> None:
    """DistilBERT's attention holds its inputs to its end, and ELECTRA's tables are narrower than its layers."""
    work = Workload(batch=6, seq_len=562, dtype="float32", use_cache=False)
    assert abs(error(encoder(model_type, 3, 8, 48, 320, 1762), work)) < 0.001
    work = Workload(batch=3, seq_len=203, **TRAINER, checkpointing=True)
    assert abs(error(encoder(model_type, 2, 8, 64, 1536, 5000), work)) < 0.001


def test_adapters_of_a_classifier_are_not_claimed() -> None:
    spec = registry.get("distilbert/distilbert-base-uncased-finetuned-sst-2-english")
    assert estimate(spec, Workload(seq_len=64, regime="full", keep_outputs=False)).whole
    with pytest.raises(NotModelledError, match="beside which PEFT trains a head"):
        estimate(spec, Workload(seq_len=64, regime="lora"))
    for name in ("distilbert/distilbert-base-uncased", "google/electra-small-discriminator"):
        assert estimate(registry.get(name), Workload(seq_len=64, regime="lora")).whole
