"""Encoders without a head, and discriminators, of drawn shapes: the estimate equals the trace of their own step."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.memory_families import spec_of
from telepathy_runtime.memory import Workload, estimate
from telepathy_runtime.models import registry

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from telepathy_runtime.memory.peft_adapters import with_lora  # noqa: E402
from telepathy_runtime.memory.standard_step import _autocast, optimizers_of  # noqa: E402
from telepathy_runtime.memory.tracing import trace  # noqa: E402
from tests.runtime.memory.test_programs import TRAINER, encoder, error  # noqa: E402
from tests.sampling import first  # noqa: E402

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
            model = with_lora(model, work)
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


@pytest.mark.parametrize("number", first(0, 5, range(2, 12)))
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


CLASSIFIERS = {
    "bert": "BertFor{}Classification",
    "roberta": "RobertaFor{}Classification",
    "xlm-roberta": "XLMRobertaFor{}Classification",
    "distilbert": "DistilBertFor{}Classification",
    "electra": "ElectraFor{}Classification",
}


def classifying(config: Any, work: Workload, task: str) -> Callable[[], Callable[[], object]]:
    """A step of a classifier with PEFT's adapters for its task, beside which the head is trained."""
    peft = pytest.importorskip("peft")

    def build() -> Callable[[], object]:
        model = getattr(transformers, config.architectures[0])._from_config(
            config, dtype=getattr(torch, work.held_dtype), attn_implementation=work.attn
        )
        names = ["q_lin", "v_lin"] if config.model_type == "distilbert" else None
        adapters = peft.LoraConfig(
            r=work.lora_rank, target_modules=names, lora_dropout=0.1 * work.lora_dropout, task_type=task
        )
        model = peft.get_peft_model(model.train(), adapters)
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.data = parameter.data.to(getattr(torch, work.lora_dtype))
        if work.checkpointing:
            model.enable_input_require_grads()
            model.gradient_checkpointing_enable({"use_reentrant": False})
        ids = torch.zeros(work.batch, work.seq_len, dtype=torch.long)
        given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        given["labels"] = ids if task == "TOKEN_CLS" else torch.zeros(work.batch, dtype=torch.long)
        trained = [(name, each) for name, each in model.named_parameters() if each.requires_grad]
        assert any("modules_to_save" in name for name, _ in trained)
        optimizers = optimizers_of(trained, work)

        def step() -> None:
            for _ in range(work.grad_accum):
                with _autocast(model, work):
                    loss = model(**given).loss
                loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            for optimizer in optimizers:
                optimizer.zero_grad()

        return step

    return build


def drawn_classifier(model_type: str, number: int) -> float:
    """How far the estimate of a drawn classifier with adapters is from its trace."""
    draw = random.Random(f"classifier {model_type} {number}")
    task = draw.choice(["SEQ_CLS", "SEQ_CLS", "TOKEN_CLS"])
    sizes = draw.randint(1, 6), draw.choice([4, 8, 12]), draw.choice([32, 64]), 64 * draw.randint(4, 50)
    config = encoder(model_type, *sizes, draw.choice([300, 3000, 30000]))
    config.architectures = [CLASSIFIERS[model_type].format("Token" if task == "TOKEN_CLS" else "Sequence")]
    config.num_labels = draw.choice([2, 3, 77])
    mixed = draw.random() < 0.3
    work = Workload(
        batch=draw.randint(1, 8),
        seq_len=draw.choice([8, 40, draw.randint(8, 700)]),
        attn=draw.choice(["sdpa", "eager"]),
        dtype="bfloat16" if mixed else draw.choice(["bfloat16", "float32"]),
        mixed_precision=mixed,
        regime="lora",
        lora_rank=draw.choice([4, 16, 128]),
        lora_dtype=draw.choice(["float32", "bfloat16"]),
        optimizer=draw.choice(["adamw", "adamw", "sgd_momentum"]),
        opt_impl=draw.choice(["foreach", "single", "fused"]),
        checkpointing=draw.random() < 0.3,
        padded=draw.random() < 0.3,
        grad_accum=draw.choice([1, 1, 2]),
        keep_outputs=False,
        transformers=transformers.__version__,
        lora_dropout=draw.random() < 0.5,
    )
    seen = trace(classifying(config, work, task), padded=work.padded).peak_allocated
    return estimate(spec_of(config), work).peak_allocated / seen - 1


@pytest.mark.parametrize("model_type", CLASSIFIERS)
def test_adapters_beside_a_classifier(model_type: str) -> None:
    assert abs(drawn_classifier(model_type, 0)) < 0.005


@pytest.mark.parametrize("number", first(0, 4, range(1, 26)))
@pytest.mark.parametrize("model_type", CLASSIFIERS)
def test_drawn_adapters_beside_a_classifier(model_type: str, number: int) -> None:
    assert abs(drawn_classifier(model_type, number)) < 0.005


@pytest.mark.parametrize("model_type", CLASSIFIERS)
def test_the_head_beside_adapters_is_a_copy(model_type: str) -> None:
    """It has its own weights and states: a head of many labels is most of a small model."""
    config = encoder(model_type, 1, 4, 32, 256, 300)
    config.architectures = [CLASSIFIERS[model_type].format("Sequence")]
    config.num_labels = 50_000
    for opt_impl in ("foreach", "single"):
        for lora_dtype in ("bfloat16", "float32"):
            how = {"opt_impl": opt_impl, "lora_dtype": lora_dtype, "lora_rank": 256, "keep_outputs": False}
            work = Workload(seq_len=8, regime="lora", transformers=transformers.__version__, **how)
            seen = trace(classifying(config, work, "SEQ_CLS")).peak_allocated
            assert estimate(spec_of(config), work).peak_allocated == pytest.approx(seen, rel=0.005)


def test_a_listed_classifier_with_adapters() -> None:
    spec = registry.get("distilbert/distilbert-base-uncased-finetuned-sst-2-english")
    for regime in ("full", "lora"):
        assert estimate(spec, Workload(seq_len=64, regime=regime, keep_outputs=False)).whole
    for name in ("distilbert/distilbert-base-uncased", "google/electra-small-discriminator"):
        assert estimate(registry.get(name), Workload(seq_len=64, regime="lora")).whole
