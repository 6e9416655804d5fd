"""DeBERTa v2 and v3, counted operation by operation: the estimate equals the trace of transformers' own step."""

from __future__ import annotations

import random
from typing import Any

import pytest

from benchmarks.memory_families import spec_of
from telepathy_runtime.memory import Workload, estimate
from telepathy_runtime.models import registry
from telepathy_runtime.models.spec import NotModelledError, UnknownOptionError
from tests.runtime.memory.test_encoders import step_of
from tests.runtime.memory.test_programs import TRAINER, error, only_since

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from telepathy_runtime.memory.tracing import trace  # noqa: E402

PUBLISHED: dict[str, Any] = {
    "type_vocab_size": 0, "relative_attention": True, "position_buckets": 256, "norm_rel_ebd": "layer_norm",
    "share_att_key": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False, "max_relative_positions": -1,
    "max_position_embeddings": 512,
}  # fmt: skip
V2 = {"conv_kernel_size": 3, "conv_act": "gelu"}
"""What DeBERTa v2 adds."""
REGIMES: tuple[dict[str, Any], ...] = (
    {"use_cache": False},
    TRAINER,
    TRAINER | {"checkpointing": True},
    TRAINER | {"mixed_precision": True},
    TRAINER | {"mixed_precision": True, "checkpointing": True},
    TRAINER | {"keep_outputs": True},
    TRAINER | {"grad_accum": 2, "padded": True},
    TRAINER | {"optimizer": "adafactor"},
    TRAINER | {"opt_impl": "single"},
)


def deberta(layers: int, heads: int, width: int, wide: int, vocab: int, **more: Any) -> Any:
    only_since((5, 0), "an encoder reads the values of its mask, which a trace does not have")
    return transformers.AutoConfig.for_model(
        "deberta-v2", num_hidden_layers=layers, num_attention_heads=heads, hidden_size=heads * width,
        intermediate_size=wide, vocab_size=vocab, architectures=["DebertaV2ForMaskedLM"], **(PUBLISHED | more),
    )  # fmt: skip


def drawn(number: int) -> tuple[Any, Workload]:
    """A config and a job."""
    draw = random.Random(f"deberta {number}")
    sizes = draw.randint(1, 5), draw.choice([4, 8, 12]), draw.choice([32, 64]), 64 * draw.randint(4, 50)
    more = {"position_buckets": draw.choice([32, 128, 256]), **draw.choice([{}, {}, V2])}
    how = {"opt_impl": "fused"} | draw.choice(REGIMES)
    dtype = "bfloat16" if how.get("mixed_precision") else draw.choice(["bfloat16", "float32"])
    work = Workload(
        batch=draw.randint(1, 6), seq_len=draw.randint(5, 512), attn="eager", dtype=dtype,
        transformers=transformers.__version__, **how,
    )  # fmt: skip
    return deberta(*sizes, draw.choice([300, 3000, 40000]), **more), work


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(
            each, marks=[] if each <= 7 else pytest.mark.slow if each % 2 else pytest.mark.exhaustive
        )
        for each in range(40)
    ],
)
def test_drawn_jobs(number: int) -> None:
    assert abs(error(*drawn(number))) < 0.005


def test_a_convolution_is_many_small_matrices_to_adafactor() -> None:
    config = deberta(2, 8, 64, 768, 300, **V2)
    work = Workload(batch=2, seq_len=48, attn="eager", **TRAINER, optimizer="adafactor")
    assert abs(error(config, work)) < 0.003


@pytest.mark.parametrize("architecture", ["DebertaV2Model", "DebertaV2ForSequenceClassification"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_another_head(architecture: str, checkpointing: bool) -> None:
    config = deberta(2, 8, 64, 1536, 3000)
    config.architectures = [architecture]
    how = TRAINER | {"checkpointing": checkpointing, "opt_impl": "fused"}
    work = Workload(batch=3, seq_len=300, attn="eager", transformers=transformers.__version__, **how)
    spec = spec_of(config)
    if architecture == "DebertaV2Model":
        seen = trace(step_of(config, work)).peak_allocated
    else:
        seen = trace(classified(config, work)).peak_allocated
    assert estimate(spec, work).peak_allocated == pytest.approx(seen, rel=0.005)


def classified(config: Any, work: Workload) -> Any:
    """A step of a classifier of sequences."""
    import torch

    from telepathy_runtime.memory.standard_step import optimizers_of

    def build() -> Any:
        model = transformers.DebertaV2ForSequenceClassification._from_config(
            config, dtype=torch.bfloat16
        ).train()
        if work.checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        optimizers = optimizers_of(list(model.named_parameters()), work)
        ids = torch.zeros(work.batch, work.seq_len, dtype=torch.long)
        labels = torch.zeros(work.batch, dtype=torch.long)

        def step() -> None:
            outputs = model(input_ids=ids, attention_mask=torch.ones_like(ids))
            torch.nn.functional.cross_entropy(outputs.logits, labels).backward()
            for optimizer in optimizers:
                optimizer.step()
            for optimizer in optimizers:
                optimizer.zero_grad()

        return step

    return build


def test_sdpa_is_counted_as_it_runs() -> None:
    spec = registry.get("microsoft/deberta-v3-base")
    work = Workload(seq_len=512, regime="full", keep_outputs=False)
    asked, run = estimate(spec, work), estimate(spec, work.but(attn="eager"))
    assert asked.whole and asked.peak_allocated == run.peak_allocated
    assert any("no sdpa for deberta-v2" in note for note in asked.notes)


def test_flash_attention_is_an_error() -> None:
    work = Workload(seq_len=512, regime="full", attn="flash_attention_2")
    for how in (work, work.but(packed=True)):
        with pytest.raises(UnknownOptionError, match="no flash_attention_2 for deberta-v2; known: eager"):
            estimate(registry.get("microsoft/deberta-v3-base"), how)


@pytest.mark.parametrize(
    "other",
    [
        {"position_biased_input": True}, {"share_att_key": False}, {"pos_att_type": ["c2p"]}, {"type_vocab_size": 2},
        {"norm_rel_ebd": "none"}, {"legacy": False}, V2 | {"conv_act": "tanh"}, {"hidden_act": "relu"},
    ],
    ids=str,
)  # fmt: skip
def test_other_attention_than_published_has_no_closed_form(other: dict[str, Any]) -> None:
    with pytest.raises(NotModelledError, match="deberta-v2 with other positions than published"):
        estimate(spec_of(deberta(1, 4, 32, 256, 300, **other)), Workload(seq_len=32))


def test_adapters_are_not_counted() -> None:
    with pytest.raises(NotModelledError, match="deberta-v2 in the regime lora"):
        estimate(registry.get("microsoft/deberta-v3-base"), Workload(seq_len=32, regime="lora"))
