"""Every architecture that is read from a config.json, held against the model transformers builds from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import memory_review as review
from telepathy_runtime.models import lookup, registry
from telepathy_runtime.models.architectures import READERS, ConfigError, spec_from_config
from telepathy_runtime.models.spec import UnknownOptionError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SMALL: dict[str, Any] = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "vocab_size": 101,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
MHA = {**SMALL, "num_key_value_heads": 6}
GPT2: dict[str, Any] = {"n_embd": 48, "n_layer": 3, "n_head": 6, "n_positions": 40, "vocab_size": 101}
GPT2 |= {"bos_token_id": 1, "eos_token_id": 2}
OPT: dict[str, Any] = {"hidden_size": 48, "ffn_dim": 80, "num_hidden_layers": 3, "num_attention_heads": 6}
OPT |= {"vocab_size": 101, "max_position_embeddings": 40, "word_embed_proj_dim": 48}
OPT |= {"pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 2}
T5: dict[str, Any] = {
    "d_model": 48,
    "d_ff": 80,
    "d_kv": 10,
    "num_layers": 3,
    "num_heads": 4,
    "vocab_size": 101,
}


def builds_bare_norms() -> bool:
    config = transformers.AutoConfig.for_model("opt", **OPT, layer_norm_elementwise_affine=False)
    try:
        transformers.AutoModelForCausalLM.from_config(config)
    except AttributeError:
        return False
    return True


BARE_NORMS = pytest.mark.skipif(
    not builds_bare_norms(), reason="this transformers cannot initialise a LayerNorm without weights"
)

# (model_type, settings): every branch of every reader; ids say what differs.
CASES = [
    pytest.param("llama", SMALL | {"tie_word_embeddings": True}, id="llama-tied"),
    pytest.param("llama", SMALL | {"tie_word_embeddings": False}, id="llama-untied"),
    pytest.param("llama", SMALL | {"attention_bias": True, "mlp_bias": True}, id="llama-biases"),
    pytest.param("llama", SMALL | {"head_dim": 16}, id="llama-wide-heads"),
    pytest.param("llama", MHA | {"num_key_value_heads": None}, id="llama-no-gqa"),
    pytest.param("mistral", SMALL | {"sliding_window": None}, id="mistral"),
    pytest.param("mistral", SMALL | {"sliding_window": 8, "head_dim": 12}, id="mistral-window"),
    pytest.param("qwen2", SMALL | {"tie_word_embeddings": True}, id="qwen2-tied"),
    pytest.param("qwen2", SMALL | {"tie_word_embeddings": False}, id="qwen2-untied"),
    pytest.param("qwen3", SMALL | {"head_dim": 16, "attention_bias": False}, id="qwen3"),
    pytest.param("qwen3", SMALL | {"head_dim": 16, "attention_bias": True}, id="qwen3-biases"),
    pytest.param("gemma", SMALL | {"head_dim": 16}, id="gemma"),
    pytest.param("gemma2", SMALL | {"head_dim": 16, "sliding_window": 8}, id="gemma2"),
    pytest.param("gemma3_text", SMALL | {"head_dim": 16, "sliding_window": 8}, id="gemma3"),
    pytest.param("phi", MHA, id="phi"),
    pytest.param("phi", SMALL | {"qk_layernorm": True}, id="phi-qk-norm"),
    pytest.param("phi3", SMALL, id="phi3"),
    pytest.param("gpt2", GPT2, id="gpt2"),
    pytest.param("gpt2", GPT2 | {"n_inner": 100, "tie_word_embeddings": False}, id="gpt2-untied"),
    pytest.param("gptj", GPT2 | {"rotary_dim": 4}, id="gptj"),
    pytest.param("gpt_neox", MHA, id="gpt-neox"),
    pytest.param("gpt_neox", MHA | {"attention_bias": False, "tie_word_embeddings": True}, id="gpt-neox-tied"),
    pytest.param("opt", OPT, id="opt"),
    pytest.param("opt", OPT | {"word_embed_proj_dim": 24, "do_layer_norm_before": False}, id="opt-350m"),
    pytest.param("opt", OPT | {"enable_bias": False}, id="opt-no-biases"),
    pytest.param("opt", OPT | {"layer_norm_elementwise_affine": False}, id="opt-bare-norms", marks=BARE_NORMS),
    pytest.param("t5", T5, id="t5"),
    pytest.param("t5", T5 | {"num_decoder_layers": 2, "feed_forward_proj": "gated-gelu"}, id="t5-gated"),
]  # fmt: skip


def configure(model_type: str, settings: dict[str, Any]) -> Any:
    if model_type not in transformers.CONFIG_MAPPING:
        pytest.skip(f"transformers {transformers.__version__} has no {model_type}")
    return transformers.AutoConfig.for_model(model_type, **settings)


def build(config: Any) -> Any:
    kind = transformers.T5ForConditionalGeneration if config.model_type == "t5" else None
    with torch.device("meta"):
        return kind(config) if kind else transformers.AutoModelForCausalLM.from_config(config)


@pytest.mark.parametrize(("model_type", "settings"), CASES)
def test_parameters_equal_what_transformers_builds(
    model_type: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    config = configure(model_type, settings)
    config.save_pretrained(tmp_path)  # what a checkpoint really carries, left-out defaults included
    spec = lookup.from_config(tmp_path)
    model = build(config)
    assert spec.params == sum(parameter.numel() for parameter in model.parameters())
    assert spec.architecture == model_type


def test_every_reader_has_a_case() -> None:
    assert {case.values[0] for case in CASES} == set(READERS)


@pytest.mark.parametrize(("model_type", "settings"), [case for case in CASES if case.values[0] != "t5"])
def test_cache_bytes_equal_what_transformers_keeps(
    model_type: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    config = configure(model_type, settings)
    config.save_pretrained(tmp_path)
    spec = lookup.from_config(tmp_path)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        cache = model(input_ids=torch.ones(2, 20, dtype=torch.long), use_cache=True).past_key_values
    if hasattr(cache, "layers"):
        layers = [(layer.keys, layer.values) for layer in cache.layers]
    else:
        layers = list(zip(cache.key_cache, cache.value_cache, strict=True))
    held = sum(tensor.numel() * tensor.element_size() for pair in layers for tensor in pair)
    assert spec.kv_bytes(2, 20, "float32") == held


CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "torch_dtype": "bfloat16", **SMALL}


def test_a_missing_dimension_is_named() -> None:
    with pytest.raises(ConfigError, match="vocab_size must be a positive integer, not None"):
        spec_from_config({key: value for key, value in CONFIG.items() if key != "vocab_size"})


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"model_type": "mixtral"},
            UnknownOptionError,
            "architecture 'mixtral' is not modelled; known model_type",
        ),
        ({"quantization_config": {"bits": 4}}, ConfigError, "quantised weights are not modelled"),
        ({"torch_dtype": "float8_e4m3fn"}, UnknownOptionError, "dtype 'float8_e4m3fn' is not modelled"),
        (
            {"num_local_experts": 8},
            ConfigError,
            "num_local_experts is 8, but model_type 'llama' has no experts",
        ),
        ({"num_hidden_layers": "3"}, ConfigError, "num_hidden_layers must be a positive integer, not '3'"),
        ({"num_hidden_layers": True}, ConfigError, "num_hidden_layers must be a positive integer, not True"),
        ({"rope_parameters": "default"}, ValueError, "rope_parameters must be an object, not 'default'"),
        (
            {"rotary_pct": [0.25]},
            ValueError,
            r"rotary_pct must be a number above 0 and at most 1, not \[0.25\]",
        ),
        (
            {"partial_rotary_factor": float("nan")},
            ValueError,
            "partial_rotary_factor must be a number above 0",
        ),
        (
            {"rope_parameters": {"partial_rotary_factor": -1}},
            ValueError,
            "partial_rotary_factor must be .* not -1",
        ),
    ],
    ids=["architecture", "quantised", "dtype", "experts", "text", "bool", "rope", "list", "nan", "share"],
)
def test_nothing_is_guessed(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        spec_from_config(CONFIG | change)


@pytest.mark.parametrize("turned", ["4", [1], -4, 4096, True])
def test_a_rotated_part_that_no_head_has_is_named(turned: Any) -> None:
    with pytest.raises(ValueError, match=r"config\.json: rotary_dim must be an integer from 1 to"):
        spec_from_config({"model_type": "gptj", **GPT2, "rotary_dim": turned})


def test_a_gptj_without_a_rotated_part_has_that_of_its_config_class() -> None:
    config = {"model_type": "gptj", **GPT2, "n_embd": 512, "n_head": 4}
    expected = transformers.GPTJConfig(n_embd=512, n_head=4).rotary_dim / 128
    assert spec_from_config(config).rotated == expected == 0.5


def test_gpt2_with_cross_attention_is_refused() -> None:
    with pytest.raises(ConfigError, match="add_cross_attention"):
        spec_from_config({"model_type": "gpt2", **GPT2, "add_cross_attention": True})


def test_a_config_that_is_not_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"config\.json: not valid JSON"):
        lookup.from_config(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps([1]))
    with pytest.raises(ConfigError, match="must contain a JSON object"):
        lookup.from_config(tmp_path)
    with pytest.raises(FileNotFoundError):
        lookup.from_config(tmp_path / "absent")


@pytest.mark.parametrize("spec", [registry.get(row[0]) for row in review.MEMORY], ids=lambda spec: spec.id)
def test_listed_models_equal_what_transformers_builds(spec: Any) -> None:
    from telepathy_runtime.memory.standard_step import hub_config

    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(hub_config(spec), dtype=torch.bfloat16)
    held = {id(parameter): parameter.numel() * parameter.element_size() for parameter in model.parameters()}
    assert sum(held.values()) == spec.params_bytes == 2 * registry.published_params(spec.id)


def test_every_layer_slides_from_layer_0_on() -> None:
    config = {**CONFIG, "model_type": "qwen2", "use_sliding_window": True, "sliding_window": 8}
    assert spec_from_config(config | {"max_window_layers": 0}).sliding_layers == 3
    assert spec_from_config(config | {"max_window_layers": 2}).sliding_layers == 1
    with pytest.raises(ConfigError, match="max_window_layers must be an integer of at least 0, not -1"):
        spec_from_config(config | {"max_window_layers": -1})
