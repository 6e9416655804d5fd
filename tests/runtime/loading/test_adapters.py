"""Adapters of PEFT: from a folder, on their base or by its name, merged or not, and what is said where they do not fit."""

from __future__ import annotations

import builtins
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from telepathy_runtime import (
    ArgumentError,
    LoadError,
    LoadReport,
    MissingPackageError,
    ModelClassError,
    ModelMissingError,
    WeightsError,
    load,
    load_model,
)
from tests.runtime.conftest import Checkpoints

peft = pytest.importorskip("peft")
IDS = torch.tensor([[72, 101, 108]])


def save_adapter(base: Path, folder: Path, **config: Any) -> Path:
    """A LoRA with random numbers in both of its factors, so that it changes what the model computes."""
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    wrapped = peft.get_peft_model(
        model, peft.LoraConfig(**{"task_type": "CAUSAL_LM", "target_modules": ["q_proj", "v_proj"], **config})
    )
    with torch.random.fork_rng():
        torch.manual_seed(3)
        for name, parameter in wrapped.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(parameter)
    wrapped.save_pretrained(folder)
    return folder


@pytest.fixture
def base(checkpoints: Checkpoints) -> Path:
    return checkpoints("llama", dtype="float32", pad="reserved")


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    return save_adapter(base, tmp_path / "adapter")


def expected(base: Path, adapter: Path) -> torch.Tensor:
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    return peft.PeftModel.from_pretrained(model, adapter)(IDS).logits


def report_of(model: Any) -> LoadReport:
    found = LoadReport.of(model)
    assert found is not None
    return found


def test_an_adapter_on_its_base(base: Path, adapter: Path) -> None:
    model = load_model(base, adapter=adapter, dtype="float32")
    assert isinstance(model, peft.PeftModel)
    assert torch.equal(model(IDS).logits, expected(base, adapter))
    report = report_of(model)
    assert report.adapter == {
        "adapter": str(adapter), "revision": None, "base": str(base), "kind": "LORA", "merged": False,
        "weights": 8, "arrived": 8,
    }  # fmt: skip
    assert report.warnings == ()
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert model.generate(IDS, max_new_tokens=2).shape[1] <= 5


@pytest.mark.parametrize("by_name", [False, True], ids=["on-its-base", "by-its-name"])
def test_a_merged_adapter_is_an_ordinary_model(
    by_name: bool, base: Path, adapter: Path, tmp_path: Path
) -> None:
    if by_name:
        model = load_model(adapter, merge_adapter=True, dtype="float32")
    else:
        model = load_model(base, adapter=adapter, merge_adapter=True, dtype="float32")
    assert type(model) is transformers.LlamaForCausalLM
    assert torch.allclose(model(IDS).logits, expected(base, adapter), atol=1e-4)
    assert report_of(model).adapter["merged"] is True
    model.save_pretrained(tmp_path / "merged")
    again = load_model(tmp_path / "merged", dtype="float32", weights="strict")
    assert torch.equal(again(IDS).logits, model(IDS).logits)


def test_an_adapter_goes_on_training_on_a_frozen_model(base: Path, adapter: Path) -> None:
    model = load_model(base, adapter=adapter, purpose="finetune-adapters")
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)
    assert model.dtype is torch.bfloat16


def test_a_model_an_adapter_and_a_tokenizer(base: Path, adapter: Path) -> None:
    model, tokenizer = load(base, adapter=adapter, dtype="float32")
    assert model.config.pad_token_id == tokenizer.pad_token_id is not None


def test_a_folder_that_holds_an_adapter_is_left_to_transformers(adapter: Path) -> None:
    model = load_model(adapter, dtype="float32")
    assert type(model) is transformers.LlamaForCausalLM
    assert any("lora_" in name for name, _ in model.named_parameters())


def test_the_base_and_its_revision_come_from_the_adapter(
    adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from telepathy_runtime.loading import adapters

    file = adapter / "adapter_config.json"
    content = json.loads(file.read_text()) | {"base_model_name_or_path": "org/base", "revision": "abc"}
    file.write_text(json.dumps(content))
    keywords = {"revision": "of-the-adapter", "subfolder": "x", "token": "t"}
    found = adapters.asked(adapter, None, None, True, keywords)
    assert found == (
        "org/base",
        adapters.Adapter(str(adapter), "of-the-adapter", True),
        {"revision": "abc", "token": "t"},
    )


def test_another_base_is_said(base: Path, adapter: Path, checkpoints: Checkpoints) -> None:
    content = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(
        json.dumps(content | {"base_model_name_or_path": "org/other"})
    )
    assert report_of(load_model(base, adapter=adapter)).warnings == (
        f"the adapter was trained on 'org/other' and is put on {str(base)!r}",
    )
    with pytest.raises(ModelClassError, match="modules that this model does not have"):
        load_model(
            checkpoints("gptj"), adapter=save_adapter(base, adapter.parent / "o", target_modules=["o_proj"])
        )


def test_other_shapes_name_the_tensor(base: Path, adapter: Path, tmp_path: Path) -> None:
    config = transformers.LlamaConfig(
        vocab_size=264, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2
    )
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path / "narrow")
    with pytest.raises(ModelClassError, match=r"lora_A.*is \[8, 32\] in the adapter and \[8, 16\]"):
        load_model(tmp_path / "narrow", adapter=adapter)


def test_weights_that_did_not_arrive(base: Path, adapter: Path) -> None:
    file = adapter / "adapter_model.safetensors"
    weights = load_file(file)
    some = {name: tensor for name, tensor in weights.items() if ".layers.0." in name}
    save_file(some, file, metadata={"format": "pt"})
    (warning,) = report_of(load_model(base, adapter=adapter)).warnings
    assert warning.startswith("4 of 8 weights of the adapter are not in its file and do nothing (")
    with pytest.raises(WeightsError, match="4 of 8"):
        load_model(base, adapter=adapter, weights="strict")
    save_file({f"module.{name}": tensor for name, tensor in weights.items()}, file, metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"8 of 8 .* 8 weights of its file have no place"):
        load_model(base, adapter=adapter)
    assert len(report_of(load_model(base, adapter=adapter, weights="partial")).warnings) == 2


def test_no_adapter_there(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match=r"no adapter_config\.json"):
        load_model(base, adapter=base)
    with pytest.raises(LoadError, match="there is no folder"):
        load_model(base, adapter=tmp_path / "gone" / "away")
    with pytest.raises(ArgumentError, match="there is no adapter;"):
        load_model(base, merge_adapter=True)
    with pytest.raises(ArgumentError, match="there is no adapter="):
        load_model(base, adapter_revision="main")
    with pytest.raises(LoadError, match="none of the files are in the cache"):
        load_model(base, adapter="org/adapter")


def test_without_peft(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def none(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "peft":
            raise ImportError("No module named 'peft'", name="peft")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", none)
    with pytest.raises(MissingPackageError, match="peft is not installed; pip install peft"):
        load_model(base, adapter="org/adapter")


def test_a_damaged_adapter(base: Path, adapter: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(adapter, tmp_path / "broken"))
    (broken / "adapter_model.safetensors").write_bytes(b"no weights")
    with pytest.raises(LoadError) as caught:
        load_model(base, adapter=broken)
    assert str(broken) in str(caught.value)
