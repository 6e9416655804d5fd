"""Configs that transformers cannot build or run are errors that name the setting; transformers' own models say which."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from benchmarks.memory_families import FAMILIES, Shape, config_of
from telepathy_runtime.memory import Workload, estimate
from telepathy_runtime.models import registry
from telepathy_runtime.models.consistency import ACTIVATIONS, SHARES, WHOLE
from telepathy_runtime.models.lookup import from_parsed
from telepathy_runtime.models.spec import ConfigError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SHAPE = Shape(2, 64, 96, 8, 4, 100)
ROTATED = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}
NEW = tuple(map(int, transformers.__version__.split(".")[:2])) >= (5, 24)

#: What is changed in the config, for which families, and the beginning of the error.
IMPOSSIBLE: list[tuple[str, dict[str, Any], str]] = [
    *(
        (family, {"layer_types": ["full_attention", "linear_attention"]}, f"layer_types: {family} has no layers of the kind 'linear_attention'")
        for family in ("llama", "qwen2", "smollm3", "granite", "cohere2", "gpt_oss", "opt")
    ),
    ("qwen2", {"layer_types": ["chunked_attention", "full_attention"]}, "layer_types: qwen2 has no layers of the kind 'chunked_attention'"),
    *(
        (family, {"rope_parameters": {"rope_type": "mrope", "rope_theta": 1e4}}, f"'mrope' is no kind of rotation of {family}")
        for family in ("phi", "qwen3", "llama", "gpt_neox")
    ),
    *((name, {"num_key_value_heads": 3}, "num_attention_heads 8 must be a multiple of num_key_value_heads 3")
      for name in ("llama", "qwen3", "gemma", "phi3", "granite", "cohere", "mixtral", "gpt_oss")),
    ("llama", {"num_key_value_heads": 16}, "num_attention_heads 8 must be a multiple"),
    ("llama", {"hidden_size": 66, "head_dim": 8}, "the hidden size 66 must be a multiple"),
    ("gpt2", {"n_head": 7}, "the hidden size 64 must be a multiple of the number of heads 7"),
    ("opt", {"num_attention_heads": 7}, "the hidden size 64 must be a multiple"),
    ("stablelm", {"head_dim": 16}, "head_dim must be 8, the hidden size for each head, not 16"),
    ("olmoe", {"head_dim": 16}, "the hidden size 64 must be that of all heads together"),
    *((name, {"head_dim": 7}, "the rotated part of a head must be an even number, not 7 of 7")
      for name in ("llama", "qwen2", "gemma2", "phi3")),
    ("phi", {"partial_rotary_factor": 0.4}, "the rotated part of a head must be an even number, not 3 of 8"),
    ("stablelm", {"partial_rotary_factor": 0.4}, "the rotated part of a head must be an even number, not 3 of 8"),
    ("phi", {"partial_rotary_factor": 1.5}, "partial_rotary_factor must be a number above 0 and at most 1"),
    ("gpt_neox", {"rotary_pct": -1.0}, "rotary_pct must be a number above 0 and at most 1"),
    ("gptj", {"rotary_dim": 5}, "rotary_dim must be even"),
    ("gptj", {"rotary_dim": None}, "rotary_dim must be an integer from 1 to 8"),
    *((name, {"rope_parameters": ROTATED | {"partial_rotary_factor": 0.5}}, "partial_rotary_factor 0.5 with the rotation 'linear'")
      for name in ("llama", "qwen2", "olmo2", "cohere", "starcoder2")),
    ("gpt_oss", {"partial_rotary_factor": 0.5}, "partial_rotary_factor 0.5 with the rotation 'yarn'"),
    ("llama", {"rope_parameters": {"rope_type": "nonsense", "rope_theta": 1e4}}, "'nonsense' is no kind of rotation"),
    ("phi3", {"rope_parameters": ROTATED}, "'linear' is no kind of rotation of phi3"),
    ("llama", {"rope_scaling": "linear"}, "rope_scaling must be an object"),
    ("llama", {"layer_types": ["full_attention"]}, "layer_types has 1 entries for 2 layers"),
    ("gemma2", {"layer_types": ["full_attention"] * 3}, "layer_types has 3 entries for 2 layers"),
    ("llama", {"layer_types": ["full_attention", "odd"]}, "layer_types: 'odd' is no kind of layer"),
    ("llama", {"layer_types": "full_attention"}, "layer_types must be a list"),
    *((name, {"layer_types": ["sliding_attention"] * 2, "sliding_window": None}, "sliding_window must be a positive integer")
      for name in ("llama", "qwen2", "qwen3", "gemma2", "olmo3", "phi")),
    ("gemma2", {"sliding_window": None}, "sliding_window must be a positive integer"),
    ("gpt_oss", {"sliding_window": None}, "sliding_window must be a positive integer"),
    *((name, {"sliding_window": window}, "sliding_window must be")
      for name in ("mixtral", "starcoder2", "cohere2", "gpt_oss") for window in (0, -1)),
    *((name, {"num_experts_per_tok": number}, "num_experts_per_tok must be from 1 to")
      for name in ("gpt_oss", "mixtral", "qwen2_moe", "qwen3_moe", "olmoe") for number in (99, -1)),
    ("mixtral", {"num_local_experts": 1}, "num_experts_per_tok must be from 1 to 1, the number of experts, not 2"),
    ("gpt_oss", {"num_local_experts": 0}, "num_local_experts must be a positive integer, not 0"),
    *((name, {"head_dim": None}, "head_dim must not be null")
      for name in ("gemma", "gemma2", "gemma3_text", "qwen2", "qwen3", "phi", "phi3")),
    *((name, {"num_key_value_heads": None}, "num_key_value_heads must not be null")
      for name in ("mistral", "gemma", "gemma2", "gemma3_text")),
    ("granite", {"hidden_size": 0}, "hidden_size must be a positive integer, not 0"),
    ("llama", {"hidden_act": "nonsense"}, "hidden_act 'nonsense' is no activation"),
    *((name, {"hidden_act": given}, f"hidden_act {given!r} is no activation") for name in ("llama", "phi") for given in ([1], {})),
    *((name, {"hidden_size": 3}, "the hidden size 3 must be") for name in ("qwen2", "granite", "cohere", "smollm3")),
    *((name, {"rope_theta": None}, "rope_theta must be a number, not None") for name in ("llama", "mistral", "qwen3", "gemma2", "phi", "phi3")),
    *((name, {"rope_parameters": ROTATED | {"rope_theta": None}}, "rope_theta must be a number, not None") for name in ("llama", "gpt_neox")),
    *((name, {"rope_scaling": {"type": kind, "factor": "2"}}, f"the rotation '{kind}' needs a number as factor, not '2'")
      for name in ("llama", "gemma", "gpt_neox") for kind in ("linear", "dynamic", "yarn")),
    *((name, {"rope_scaling": {"type": "yarn", "factor": 2.0, "original_max_position_embeddings": given}},
       f"original_max_position_embeddings must be a positive integer, not {given}") for name in ("llama", "phi", "opt") for given in (None, 0)),
    *((name, {"rope_scaling": {"type": "linear"}}, "the rotation 'linear' needs factor") for name in ("llama", "gpt2", "opt")),
    ("phi3", {"rope_scaling": {"type": "yarn", "factor": 2.0}}, "the rotation 'longrope' needs short_factor and long_factor"),
    ("phi", {"rope_scaling": {"type": "longrope", "short_factor": [1.0] * 4, "long_factor": [1.0] * 4}}, "short_factor must have 2 numbers"),
    ("phi", {"partial_rotary_factor": 0.25, "rope_scaling": {"type": "dynamic", "factor": 2.0}}, "the rotation 'dynamic' needs more than two"),
    ("gpt_neox", {"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "the rotation 'dynamic' needs more than two"),
    ("gpt_neox", {"rotary_pct": None}, "rotary_pct must not be null"),
    *((name, {"attention_dropout": None}, "attention_dropout must not be null") for name in ("llama", "gemma2", "cohere", "glm", "phi")),
    ("cohere", {"layer_norm_eps": None}, "layer_norm_eps must not be null"),
    ("cohere", {"logit_scale": None}, "logit_scale must not be null"),
    *((name, {"query_pre_attn_scalar": 0}, "query_pre_attn_scalar must be a positive integer") for name in ("gemma2", "gemma3_text")),
    *((name, {"partial_rotary_factor": None}, "partial_rotary_factor must not be null") for name in ("phi", "phi3")),
    *((name, {"head_dim": 48}, "head_dim must be 8") for name in ("gpt_neox", "stablelm")),
    ("gpt2", {"activation_function": "nonsense"}, "activation_function 'nonsense' is no activation"),
    ("llama", {"attention_dropout": 2.0}, "attention_dropout must be a number of at least 0 and at most 1"),
    ("gpt2", {"attn_pdrop": "x"}, "attn_pdrop must be a number"),
    ("llama", {"tie_word_embeddings": "no"}, "tie_word_embeddings must be true or false"),
]  # fmt: skip

#: What looks odd and runs.
POSSIBLE: list[tuple[str, dict[str, Any]]] = [
    ("phi", {"partial_rotary_factor": 0.125}),
    *((name, {"partial_rotary_factor": 0.5}) for name in ("llama", "qwen3", "gemma2", "gemma3_text", "olmo2", "cohere", "mixtral")),
    ("llama", {"partial_rotary_factor": 1, "rotary_pct": 0.3}),
    *((name, {"partial_rotary_factor": 0.4}) for name in ("phi3", "glm", "glm4")),
    ("gpt_neox", {"rotary_pct": 0.4}),
    ("gpt_neox", {"partial_rotary_factor": 0.5}),
    ("gpt2", {"rotary_dim": 99, "sliding_window": 0}),
    ("llama", {"sliding_window": 0}),
    ("mistral", {"sliding_window": None, "head_dim": None}),
    ("llama", {"head_dim": None, "num_key_value_heads": None}),
    ("qwen3", {"hidden_size": 66}),
    ("llama", {"rope_parameters": ROTATED}),
]  # fmt: skip


def raw(model_type: str, change: dict[str, Any]) -> dict[str, Any]:
    """The config.json of a small model, with a change; what transformers computes from it is left out."""
    computed = ("transformers_version", "rope_parameters", "layer_types", "architectures")
    config = config_of(
        model_type, SHAPE, **({"head_dim": 8} if "head_dim" in FAMILIES[model_type][1] else {})
    )
    return {key: value for key, value in config.to_dict().items() if key not in computed} | change


def runs(config: dict[str, Any]) -> str:
    """The error with which transformers builds or runs a model of this config; empty if it does both."""
    given = {key: value for key, value in config.items() if key != "model_type"}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = transformers.CONFIG_MAPPING[config["model_type"]].from_dict(given)
            model = transformers.AutoModelForCausalLM.from_config(parsed, dtype=torch.float32)
            ids = torch.ones(2, 8, dtype=torch.long)
            model(input_ids=ids, labels=ids).loss.backward()
            model.eval()(input_ids=ids)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


@pytest.mark.parametrize(("model_type", "change", "message"), IMPOSSIBLE, ids=str)
def test_what_transformers_cannot_run_is_an_error_that_names_the_setting(
    model_type: str, change: dict[str, Any], message: str
) -> None:
    if model_type not in transformers.CONFIG_MAPPING:
        pytest.skip(f"transformers {transformers.__version__} has no {model_type}")
    config = raw(model_type, change)
    if NEW:
        assert runs(config)
    with pytest.raises(ConfigError) as seen:
        from_parsed(config, "m")
    built = str(seen.value).startswith(f"transformers cannot build {model_type} from this config: ")
    assert built or str(seen.value).startswith(f"config.json: {message}")
    assert "\n" not in str(seen.value)


@pytest.mark.parametrize(("model_type", "change"), POSSIBLE, ids=str)
def test_what_transformers_runs_has_a_figure(model_type: str, change: dict[str, Any]) -> None:
    if not NEW:
        pytest.skip("older releases run other configs")
    config = raw(model_type, change)
    assert runs(config) == ""
    for regime in ("inference", "full"):
        assert estimate(from_parsed(config, "m"), Workload(batch=2, seq_len=8, regime=regime)).peak_allocated


ENCODER = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100,
    "max_position_embeddings": 64, "pad_token_id": 1,
}  # fmt: skip
OTHERS: dict[str, dict[str, Any]] = {
    "bert": ENCODER | {"architectures": ["BertForMaskedLM"]},
    "electra": ENCODER | {"architectures": ["ElectraForPreTraining"]},
    "distilbert": {"dim": 64, "hidden_dim": 96, "n_layers": 2, "n_heads": 4, "vocab_size": 100, "max_position_embeddings": 64,
                   "architectures": ["DistilBertForMaskedLM"]},
    "deberta-v2": ENCODER | {"architectures": ["DebertaV2Model"], "position_biased_input": False, "relative_attention": True},
    "t5": {"d_model": 64, "d_kv": 16, "d_ff": 96, "num_layers": 2, "num_heads": 4, "vocab_size": 100,
           "architectures": ["T5ForConditionalGeneration"], "decoder_start_token_id": 0, "pad_token_id": 0},
}  # fmt: skip


@pytest.mark.parametrize(
    ("model_type", "change", "message"),
    [
        ("bert", {"num_attention_heads": -1}, "num_attention_heads must be a positive integer, not -1"),
        ("bert", {"type_vocab_size": 0}, "type_vocab_size must be a positive integer, not 0"),
        ("bert", {"max_position_embeddings": 0}, "max_position_embeddings must be a positive integer, not 0"),
        ("bert", {"hidden_act": "nonsense"}, "hidden_act 'nonsense' is no activation"),
        (
            "electra",
            {"num_attention_heads": 7},
            "the hidden size 64 must be a multiple of the number of heads 7",
        ),
        ("distilbert", {"n_heads": -1}, "n_heads must be a positive integer, not -1"),
        ("deberta-v2", {"num_hidden_layers": 0}, "num_hidden_layers must be a positive integer, not 0"),
        ("deberta-v2", {"hidden_size": 0}, "hidden_size must be a positive integer, not 0"),
        (
            "t5",
            {"feed_forward_proj": "gated-nonsense"},
            "feed_forward_proj 'gated-nonsense' is no activation",
        ),
    ],
)
def test_other_models_that_cannot_run_are_errors_too(
    model_type: str, change: dict[str, Any], message: str
) -> None:
    config = {"model_type": model_type} | OTHERS[model_type] | change
    assert from_parsed({"model_type": model_type} | OTHERS[model_type], "m").params
    if NEW:
        given = {key: value for key, value in config.items() if key != "model_type"}
        ids = torch.ones(2, 8, dtype=torch.long)
        with pytest.raises(Exception, match=r"."):  # whatever it raises
            model = getattr(transformers, config["architectures"][0])(
                transformers.CONFIG_MAPPING[model_type].from_dict(given)
            )
            model(input_ids=ids, **({"labels": ids} if model_type == "t5" else {"attention_mask": ids}))
    with pytest.raises(ConfigError) as seen:
        from_parsed(config, "m")
    built = str(seen.value).startswith(f"transformers cannot build {model_type} from this config: ")
    assert built or str(seen.value).startswith(f"config.json: {message}")


def test_the_activations_are_those_of_transformers() -> None:
    from transformers.activations import ACT2FN

    assert set(ACT2FN) <= ACTIVATIONS


def test_each_family_rotates_whole_heads_a_share_or_nothing() -> None:
    assert set(FAMILIES) == (set(WHOLE) - {"qwen2_5_vl", "qwen2_5_vl_text"}) | set(SHARES) | {
        "gpt2",
        "gptj",
        "opt",
    }


def test_a_value_of_another_kind_is_an_error() -> None:
    config = raw("llama", {})
    for name, value, what in (
        ("model_type", ["llama"], "a string"),
        ("architectures", "LlamaForCausalLM", "a list of strings"),
        ("architectures", [5], "a list of strings"),
        ("quantization_config", "nf4", "an object"),
        ("rope_theta", "big", "a number"),
        ("id2label", 5, "an object"),
        ("num_labels", "x", "an integer"),
        ("text_config", "x", "an object"),
    ):
        with pytest.raises(ConfigError, match=rf"^config\.json: {name} must be {what}, not "):
            from_parsed(config | {name: value}, "m")
    for name, value in (
        ("bits", "x"),
        ("bits", -1),
        ("group_size", "x"),
        ("modules_to_not_convert", "lm_head"),
    ):
        quantised = {"quant_method": "gptq", "bits": 4} | {name: value}
        with pytest.raises(ConfigError, match=f"^quantization_config: {name} must be "):
            from_parsed(config | {"quantization_config": quantised}, "m")
    del config["model_type"]
    with pytest.raises(ConfigError, match=r"^m: config\.json has no model_type"):
        from_parsed(config, "m")


@pytest.mark.parametrize(
    ("name", "model_type"),
    [("num_experts_per_tok", "gpt_oss"), ("num_experts_per_tok", "mixtral"), ("num_key_value_heads", "mistral"),
     ("num_key_value_heads", "gemma2"), ("sliding_window", "mistral"), ("sliding_window", "gemma2"), ("sliding_window", "gpt_oss")],
)  # fmt: skip
def test_what_a_config_leaves_out_has_the_default_of_its_class(name: str, model_type: str) -> None:
    if model_type not in transformers.CONFIG_MAPPING:
        pytest.skip(f"transformers {transformers.__version__} has no {model_type}")
    config = raw(model_type, {})
    del config[name]
    default = getattr(transformers.CONFIG_MAPPING[model_type](), name)
    assert from_parsed(config, "m") == from_parsed(config | {name: default}, "m")
    assert from_parsed(config, "m") != from_parsed(config | {name: default // 2}, "m")


OWN = """
[[model]]
ids = ["me/x"]
architecture = "llama"
layers = 2
hidden = 256
intermediate = 512
heads = 4
kv_heads = 2
head_dim = 64
vocab = 1000
tied = false
max_positions = 128
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (OWN + "nonsense = 3", "model me/x has an unknown key nonsense; nearest: "),
        (OWN.replace("vocab = 1000", ""), "model me/x is incomplete .* it lacks vocab"),
        (OWN.replace("layers = 2", "layers = -2"), "model me/x: layers must be a positive integer, not -2"),
        (OWN.replace("tied = false", 'tied = "no"'), "model me/x: tied must be true or false, not 'no'"),
        (OWN + "dropout = 0.1", "model me/x: dropout must be true or false, not 0.1"),
        (OWN + "rotated = 7", "model me/x: rotated must be a number"),
        (OWN.replace("kv_heads = 2", "kv_heads = 3"), "model me/x: num_attention_heads 4 must be a multiple"),
        (
            OWN.replace('"llama"', '"mixtral"') + "experts = 4\nexperts_per_token = 9",
            "model me/x: num_experts_per_tok",
        ),
        (OWN.replace('["me/x"]', '"me/x"'), r"a \[\[model\]\] needs ids"),
        (OWN.replace('["me/x"]', "[5]"), r"a \[\[model\]\] needs ids"),
        (OWN.replace('ids = ["me/x"]', ""), r"a \[\[model\]\] needs ids"),
        (OWN.replace("[[model]]", "[model]"), r"each model must be a table under \[\[model\]\]"),
        ("model = 3", r"each model must be a table under \[\[model\]\]"),
        ("models = 3\n" + OWN, r"unknown models; known: \[\[model\]\]"),
        ('[[family]]\nname = "x"', r"a \[\[family\]\] is incomplete: it lacks members"),
        (OWN + 'dtype = "int3"', "dtype 'int3' is not modelled"),
    ],
)
def test_an_entry_of_a_registry_file_that_makes_no_model_is_an_error(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "models.toml"
    file.write_text(OWN)
    assert [spec.id for spec in registry.read_toml(file)[0]] == ["me/x"]
    file.write_text(text)
    with pytest.raises(ConfigError, match=f"models.toml: {message}"):
        registry.read_toml(file)


@pytest.mark.parametrize("model_type", ["llama", "cohere", "glm", "smollm3", "stablelm"])
def test_a_dense_model_with_experts_is_told_so(model_type: str) -> None:
    message = rf"num_experts is 4, but model_type '{model_type}' has no experts in transformers"
    with pytest.raises(ConfigError, match=message):
        from_parsed(raw(model_type, {"num_experts": 4}), "x")


@pytest.mark.parametrize("model_type", ["gpt2", "gptj"])
def test_two_values_for_one_dimension_are_an_error(model_type: str) -> None:
    config = raw(model_type, {"rotary_dim": 8})
    assert from_parsed(config | {"hidden_size": config["n_embd"]}, "x") == from_parsed(config, "x")
    with pytest.raises(ConfigError, match="n_embd is 64 and hidden_size, another name for it, is 32"):
        from_parsed(config | {"hidden_size": 32}, "x")
