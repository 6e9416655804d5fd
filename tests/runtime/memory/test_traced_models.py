"""Traces of transformers' own models: windows, latent attention, eager-only models, and what cannot run."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from telepathy_runtime.memory import TraceError, Workload, estimate  # noqa: E402
from telepathy_runtime.memory.standard_step import build_step, trace_workload, traced  # noqa: E402
from telepathy_runtime.memory.tracing import trace  # noqa: E402
from telepathy_runtime.models import registry  # noqa: E402
from telepathy_runtime.models.spec import UnknownOptionError  # noqa: E402

SMALL = {
    "num_hidden_layers": 2, "hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 8,
    "num_key_value_heads": 2, "vocab_size": 1000, "max_position_embeddings": 4096, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
LATENT = {
    "num_key_value_heads": 8, "moe_intermediate_size": 128, "n_routed_experts": 8, "n_group": 2, "topk_group": 1,
    "num_experts_per_tok": 2, "q_lora_rank": 64, "kv_lora_rank": 64, "qk_nope_head_dim": 32, "qk_rope_head_dim": 16,
    "v_head_dim": 32,
}  # fmt: skip


def config_of(model_type: str, **settings: Any) -> Any:
    if model_type not in transformers.CONFIG_MAPPING:
        pytest.skip(f"transformers {transformers.__version__} has no {model_type}")
    return transformers.AutoConfig.for_model(model_type, **{**SMALL, **settings})


def test_at_its_window_a_model_builds_a_mask_and_repeats_keys() -> None:
    """Like a real run: below the window there is no mask, and attention takes keys and values as they are."""
    work = Workload(regime="frozen_grad", batch=2, seq_len=512, keep_outputs=False)
    below, at, none = (
        traced(config_of("mistral", sliding_window=window), work).peak_allocated
        for window in (513, 512, None)
    )
    assert below == none
    # Of each layer: the copies of keys and values for four query heads each, less the originals, and a mask.
    copies = 2 * 2 * 2 * 1024 * (256 - 64)
    mask = 2 * 512 * 512 * 2
    assert at - below == pytest.approx(copies + 2 * mask, rel=0.35)
    assert at - below >= copies


def test_the_value_heads_of_latent_attention_may_be_narrower() -> None:
    config = config_of("deepseek_v3", **LATENT)
    seen = trace_workload_of(config, Workload(regime="full", seq_len=64))
    assert seen.peak_allocated > 4 * seen.built * 0.75


def trace_workload_of(config: Any, work: Workload) -> Any:
    return traced(config, work)


@pytest.mark.parametrize("model_type", ["gemma2", "gpt_oss"])
def test_a_model_without_sdpa_is_traced_as_it_loads(model_type: str, tmp_path: Any) -> None:
    extra = {"num_local_experts": 4, "intermediate_size": 256} if model_type == "gpt_oss" else {}
    config = config_of(model_type, head_dim=32, **extra)
    if transformers.AutoModelForCausalLM._model_mapping[type(config)]._supports_sdpa:
        pytest.skip(f"this release runs {model_type} with sdpa")
    config.save_pretrained(tmp_path)
    result = trace_workload(tmp_path, Workload(regime="full", seq_len=64))
    assert any("traced with attn='eager'" in note for note in result.notes)
    assert result.workloads[0].attn == "eager"


def test_whatever_a_models_code_raises_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from telepathy_runtime.memory import standard_step

    config = config_of("llama")

    def fails() -> Any:
        raise KeyError("sinks")

    monkeypatch.setattr(standard_step, "build_step", lambda *_: fails)
    with pytest.raises(TraceError, match=r"cannot run llama on the meta device: KeyError: 'sinks'$"):
        traced(config, Workload())
    monkeypatch.setattr(standard_step, "_version", lambda: (4, 48))
    with pytest.raises(TraceError, match=r"traces are tested from transformers 4\.57 on"):
        traced(config, Workload())


def test_a_users_own_step_raises_its_own_errors() -> None:
    def fails() -> Any:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        trace(fails)
    assert callable(build_step(config_of("llama"), Workload()))


#: Kinds of models that the fallback traces, with their dimensions, and what its notes say.
KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "mpnet": ({"num_key_value_heads": None}, ""),
    "mt5": ({"d_model": 64, "d_ff": 128, "num_layers": 2, "num_heads": 4}, "the encoder reads 64 tokens, the decoder 64"),
    "bloom": ({"n_layer": 2, "n_head": 4}, ""),
}  # fmt: skip


@pytest.mark.parametrize("model_type", KINDS)
def test_a_model_without_a_closed_form_is_traced_by_itself(model_type: str, tmp_path: Any) -> None:
    from telepathy_runtime.memory.fallback import estimate_or_trace
    from telepathy_runtime.models.lookup import from_config

    settings, said = KINDS[model_type]
    config = config_of(model_type, **settings)
    config.save_pretrained(tmp_path)
    spec, work = from_config(tmp_path), Workload(regime="full", seq_len=64)
    result = estimate_or_trace(spec, work, tmp_path)
    assert result.whole and result.peak.name.startswith("traced: ")
    assert (
        f"activations of {model_type} have no closed form: transformers' own step was traced"
        in result.notes[0]
    )
    assert not said or said in result.notes
    assert result.peak_allocated > 4 * 2 * spec.params


def test_an_encoder_reads_its_own_length(tmp_path: Any) -> None:
    config = config_of("t5", **KINDS["mt5"][0])
    config.save_pretrained(tmp_path)
    work = Workload(regime="full", seq_len=64)
    same, longer = (trace_workload(tmp_path, work.but(source_len=length)) for length in (64, 640))
    assert same.peak_allocated == trace_workload(tmp_path, work).peak_allocated < longer.peak_allocated
    assert "the encoder reads 640 tokens, the decoder 64" in longer.notes
    with pytest.raises(UnknownOptionError, match="source_len"):
        estimate(registry.get("meta-llama/Llama-3.2-1B"), work.but(source_len=64))
    config_of("bert", num_key_value_heads=None).save_pretrained(tmp_path)
    with pytest.raises(UnknownOptionError, match="source_len"):
        trace_workload(tmp_path, work.but(source_len=64))


@pytest.mark.parametrize(
    "change",
    [{"architectures": ["LlamaForSequenceClassification"]}, {"dtype": "float32"}],
    ids=["head", "float32"],
)
def test_what_would_be_traced_as_something_else_is_a_lower_bound(
    change: dict[str, Any], tmp_path: Any
) -> None:
    from telepathy_runtime.memory.fallback import estimate_or_trace
    from telepathy_runtime.models.lookup import from_config

    config = config_of("llama")
    config.architectures = change.get("architectures", ["LlamaForCausalLM"])
    config.save_pretrained(tmp_path)
    work = Workload(regime="full", seq_len=64, dtype=change.get("dtype", "bfloat16"))
    result = estimate_or_trace(from_config(tmp_path), work, tmp_path)
    assert result.whole is ("dtype" in change)  # float32 weights are traced as such
