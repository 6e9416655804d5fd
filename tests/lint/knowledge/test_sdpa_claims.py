"""What `knowledge/sdpa.py` says of transformers' classes, asked of the installed release."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

transformers = pytest.importorskip("transformers")

from telepathy_lint.knowledge import sdpa  # noqa: E402


@pytest.mark.parametrize("architecture", sdpa.ARCHITECTURES)
def test_the_classes_of_these_architectures_have_sdpa(architecture: str) -> None:
    names = (f"{architecture}ForCausalLM", f"{architecture}ForConditionalGeneration")
    classes = [found for name in names if (found := getattr(transformers, name, None)) is not None]
    if not classes:
        pytest.skip("not in this release")
    assert all(each._supports_sdpa for each in classes)
    assert all(sdpa.always("", [each.__name__]) for each in classes)


@pytest.mark.parametrize(
    ("model_id", "expected"),
    [
        ("meta-llama/Llama-3.1-8B", True),
        ("Qwen/Qwen2.5-Coder-7B-Instruct", True),
        ("google/gemma-2b-it", True),
        ("google/gemma-2-2b-it", False),
        ("EleutherAI/gpt-j-6b", False),
        ("somebody/Llama-3.1-8B", False),
        ("gpt2", False),
    ],
)
def test_ids_are_known_or_not(model_id: str, expected: bool) -> None:
    assert sdpa.always(model_id, ()) is expected
    if expected:
        assert not sdpa.varies(model_id, ())


def test_releases_differ_for_gemma_2() -> None:
    assert sdpa.varies("google/gemma-2-2b-it", ())
    assert sdpa.varies("", ["transformers.Gemma2ForCausalLM"])


@pytest.mark.parametrize("architecture", sdpa.WITHOUT_ATTENTION)
def test_these_architectures_have_no_attention(architecture: str) -> None:
    torch = pytest.importorskip("torch")
    config = getattr(transformers, f"{architecture}Config", None)
    if config is None:
        pytest.skip("not in this release")
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(config())
    names = {type(module).__name__ for module in model.modules()}
    names |= {name.rpartition(".")[2] for name, _ in model.named_modules()}
    assert not [name for name in names if re.search(r"(?i)att|qkv|q_proj|query", name)]
    assert sdpa.has_no_attention("", [type(model).__name__, f"transformers.{architecture}ForSomething"])


@pytest.mark.parametrize(
    "name", ["JambaModel", "BambaForCausalLM", "MambaSomething", "BitNetForCausalLM", "LlamaModel"]
)
def test_these_may_have_attention(name: str) -> None:
    assert not sdpa.has_no_attention("", [name])
    assert not sdpa.has_no_attention("ai21labs/Jamba-v0.1", ())
    assert sdpa.has_no_attention("state-spaces/mamba-130m-hf", ["transformers.AutoModelForCausalLM"])


def test_sdpa_leaves_out_the_soft_capping_of_gemma_2(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    sizes = {"vocab_size": 99, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "query_pre_attn_scalar": 1}
    config = transformers.Gemma2Config(**sizes, **heads, attn_logit_softcapping=0.01, initializer_range=1.0)
    torch.manual_seed(0)
    transformers.Gemma2ForCausalLM(config).save_pretrained(tmp_path)
    load = transformers.Gemma2ForCausalLM.from_pretrained
    picked, eager = load(tmp_path), load(tmp_path, attn_implementation="eager")
    ids = torch.arange(20)[None]
    with torch.no_grad():
        same = torch.allclose(picked(ids).logits, eager(ids).logits, atol=1e-3)
    release = tuple(int(each) for each in transformers.__version__.split(".")[:2])
    assert same is (picked.config._attn_implementation == "eager")
    assert same is not sdpa.picks_it(release)


def test_from_then_on_it_is_not_picked() -> None:
    assert sdpa.drops_soft_capping("google/gemma-2-2b-it", (), None)
    assert sdpa.drops_soft_capping("", ["transformers.Gemma2ForCausalLM"], (4, 57))
    assert not sdpa.drops_soft_capping("google/gemma-2-2b-it", (), sdpa.PICKED[-1][1])
    assert not sdpa.drops_soft_capping("google/gemma-2b-it", (), None)
