"""The names of matrices with adapters: those that transformers' layers have, and errors that list them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.memory_families import FAMILIES, Shape, config_of, spec_of
from telepathy_runtime.memory import Workload, estimate
from telepathy_runtime.memory.fallback import estimate_or_trace
from telepathy_runtime.memory.shapes import matrices
from telepathy_runtime.memory.targets import EVERY, UnknownTargetError, names_of
from telepathy_runtime.models import registry
from telepathy_runtime.models.lookup import from_config
from telepathy_runtime.models.spec import NotModelledError, UnknownOptionError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SMALL = Shape(2, 64, 96, 4, 2, 100)
ENCODERS = {
    "bert": "google-bert/bert-base-uncased",
    "roberta": "FacebookAI/roberta-base",
    "xlm-roberta": "FacebookAI/xlm-roberta-base",
    "electra": "google/electra-small-discriminator",
    "deberta-v2": "microsoft/deberta-v3-base",
    "distilbert": "distilbert/distilbert-base-uncased",
}


def linear_names(model: Any) -> set[str]:
    """The names of the linear layers inside the model's layers, but for those of experts, which have their own path."""
    kinds = (torch.nn.Linear, transformers.pytorch_utils.Conv1D)
    inside = [name for name, module in model.named_modules() if isinstance(module, kinds) and ".0." in name]
    return {name.rpartition(".")[2] for name in inside if "shared" not in name}


@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_familys_matrices_have_the_names_of_transformers(model_type: str) -> None:
    if model_type not in transformers.CONFIG_MAPPING:
        pytest.skip(f"transformers {transformers.__version__} has no {model_type}")
    config = config_of(model_type, SMALL)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    spec = spec_of(config)
    if spec.experts and int(transformers.__version__.split(".")[0]) < 5:
        pytest.skip("experts were linear layers before transformers 5")
    assert set(names_of(model_type, matrices(spec)).values()) == linear_names(model)


@pytest.mark.parametrize("model_type", ENCODERS)
def test_an_encoders_matrices_have_the_names_of_transformers(model_type: str) -> None:
    spec = registry.get(ENCODERS[model_type])
    config = transformers.AutoConfig.for_model(**registry.listed_config(spec.id))
    config.num_hidden_layers = config.n_layers = 1
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(config)
    assert set(names_of(model_type, matrices(spec)).values()) == linear_names(model)


@pytest.mark.parametrize(
    ("model", "name", "known"),
    [
        ("Qwen/Qwen2.5-1.5B", "fc1", "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, all-linear"),
        ("Qwen/Qwen2.5-1.5B", "wq", "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, all-linear"),
        ("openai-community/gpt2", "q_proj", "c_attn, c_proj, c_fc, all-linear"),
        ("EleutherAI/gpt-j-6b", "dense", "q_proj, k_proj, v_proj, out_proj, fc_in, fc_out, all-linear"),
        ("EleutherAI/pythia-160m", "o_proj", "query_key_value, dense, dense_h_to_4h, dense_4h_to_h, all-linear"),
        ("mistralai/Mixtral-8x7B-v0.1", "up_proj", "q_proj, k_proj, v_proj, o_proj, all-linear"),
        ("google-bert/bert-base-uncased", "q_proj", "query, key, value, dense, all-linear"),
        ("llava-hf/llava-1.5-7b-hf", "wq", "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, out_proj, fc1, fc2, linear_1, linear_2, all-linear"),
        ("Qwen/Qwen2.5-VL-3B-Instruct", "fc1", "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, qkv, proj, 0, 2, all-linear"),
    ],
)  # fmt: skip
def test_an_error_lists_the_names_that_the_model_has(model: str, name: str, known: str) -> None:
    work = Workload(regime="lora", seq_len=64, lora_targets=("all-linear", name))
    with pytest.raises(
        UnknownTargetError, match=rf"^lora_targets {name} \(--lora-targets\): .*known: {known}$"
    ):
        estimate(registry.get(model), work)


def test_the_usual_targets_of_an_encoder_are_its_own_names() -> None:
    spec = registry.get("google-bert/bert-base-uncased")
    work = Workload(regime="lora", seq_len=64)
    own = work.but(lora_targets=("query", "value"))
    assert estimate(spec, own).instants == estimate(spec, work).instants
    with pytest.raises(NotModelledError, match="other adapters of bert"):
        estimate(spec, work.but(lora_targets=("query", "key")))


@pytest.mark.parametrize("name", [EVERY, "gate_proj", "shared_expert_gate"])
def test_adapters_on_an_expert_that_reads_every_token_are_not_left_out(name: str) -> None:
    work = Workload(regime="lora", seq_len=64, lora_targets=("q_proj", name))
    with pytest.raises(NotModelledError, match="adapters on the shared expert of qwen2_moe"):
        estimate(registry.get("Qwen/Qwen1.5-MoE-A2.7B"), work)


def test_no_name_at_all_is_an_error() -> None:
    with pytest.raises(UnknownOptionError, match=r"lora_targets \(--lora-targets\) must be names"):
        Workload(regime="lora", lora_targets=())


def test_the_error_of_a_model_that_is_traced_lists_its_own_names(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    config = transformers.FalconConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=4, vocab_size=100, architectures=["FalconForCausalLM"]
    )  # fmt: skip
    config.save_pretrained(tmp_path)
    spec = from_config(tmp_path)
    work = Workload(regime="lora", seq_len=32, lora_targets=("q_proj", "query_key_value"))
    known = "dense, dense_4h_to_h, dense_h_to_4h, query_key_value, all-linear"
    with pytest.raises(
        UnknownTargetError, match=re.escape(f"falcon has no such matrix in its layers; known: {known}")
    ):
        estimate_or_trace(spec, work, tmp_path)
    assert estimate_or_trace(spec, work.but(lora_targets=("query_key_value",)), tmp_path).whole
