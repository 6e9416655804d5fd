"""Whether the weights arrived: counted in the report, explained in a warning, an error where hardly any did."""

from __future__ import annotations

import json
import logging
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from telepathy_runtime import LoadReport, ModelClassError, WeightsError, load_model
from tests.runtime.conftest import Checkpoints

RAW = {"dtype": None, "device_map": None, "attn_implementation": None, "generation_config": None}
Rewrite = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
def rewritten(checkpoints: Checkpoints, tmp_path: Path) -> Callable[..., Path]:
    """A checkpoint with other keys in its weights, or other values in its config."""

    def make(rewrite: Rewrite | None = None, kind: str = "llama", **config: Any) -> Path:
        folder = Path(shutil.copytree(checkpoints(kind), tmp_path / "rewritten"))
        file = folder / "model.safetensors"
        if rewrite is not None:
            save_file(rewrite(load_file(file)), file, metadata={"format": "pt"})
        content = json.loads((folder / "config.json").read_text()) | config
        content.pop("layer_types", None)
        (folder / "config.json").write_text(json.dumps(content))
        return folder

    return make


def prefixed(prefix: str) -> Rewrite:
    return lambda weights: {prefix + name: tensor for name, tensor in weights.items()}


def report_of(model: Any) -> LoadReport:
    found = LoadReport.of(model)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("prefix", "cause"),
    [
        ("module.", "DistributedDataParallel"),
        ("_orig_mod.", "torch.compile"),
        ("base_model.model.", "merge_and_unload"),
    ],
)
def test_a_wrapper_saved_in_place_of_its_model(
    prefix: str, cause: str, rewritten: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    folder = rewritten(prefixed(prefix))
    with pytest.raises(WeightsError) as caught:
        load_model(folder)
    for words in ("0 of 21 weights", f"begin with {prefix!r}", cause, 'weights="partial"'):
        assert words in str(caught.value)
    assert isinstance(caught.value, (ModelClassError, ValueError))
    for arguments in ({"weights": "partial"}, RAW):
        caplog.clear()
        found = report_of(load_model(folder, **arguments))
        assert (found.weights["arrived"], found.weights["missing"]["count"]) == (0, 21)
        assert found.weights["newly_initialised"]["count"] == 21
        assert found.weights["unexpected"]["count"] == 21
        assert f"the keys begin with {prefix!r}" in caplog.text


def test_the_cure_for_a_prefix_works(rewritten: Callable[..., Path], checkpoints: Checkpoints) -> None:
    weights = load_file(rewritten(prefixed("module.")) / "model.safetensors")
    bare = {name.removeprefix("module."): tensor for name, tensor in weights.items()}
    config = transformers.AutoConfig.from_pretrained(checkpoints("llama"))
    model = load_model(None, model_class=transformers.LlamaForCausalLM, config=config, state_dict=bare)
    assert report_of(model).weights == {"parameters": 21, "arrived": 21}
    right = load_model(checkpoints("llama"))
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in right.state_dict().items())


@pytest.mark.parametrize("raw", [False, True], ids=["resolved", "four-nones"])
def test_weights_and_config_without_an_id(raw: bool, checkpoints: Checkpoints) -> None:
    """`from_pretrained(None, config=, state_dict=)` runs, and a fix writes the same call for load_model."""
    folder = checkpoints("encoder")
    arguments = {
        "config": transformers.AutoConfig.from_pretrained(folder),
        "state_dict": load_file(folder / "model.safetensors"),
    }
    try:
        expected = transformers.BertModel.from_pretrained(None, **arguments)
    except AttributeError:
        pytest.skip(f"transformers {transformers.__version__} cannot either")
    model = load_model(None, model_class=transformers.BertModel, **arguments, **(RAW if raw else {}))
    for name, tensor in expected.state_dict().items():
        assert torch.equal(model.state_dict()[name].float(), tensor.float()), name
    assert "given weights" in report_of(model).describe()
    try:
        transformers.BertModel.from_pretrained(None, device_map="cpu", **arguments)
    except AttributeError:
        return  # nor can 4.46
    on_cpu = load_model(None, model_class=transformers.BertModel, device_map="cpu", **arguments)
    assert report_of(on_cpu).effective["device_map"] == "cpu"


def test_a_missing_layer_and_a_missing_head(rewritten: Callable[..., Path]) -> None:
    folder = rewritten(lambda weights: {name: t for name, t in weights.items() if ".layers.1." not in name})
    (warning,) = report_of(load_model(folder)).warnings
    assert warning.startswith("9 of 21 weights are not in the checkpoint")
    assert "fewer layers than the config says" in warning


def test_fewer_layers_in_the_config_drop_weights(rewritten: Callable[..., Path]) -> None:
    found = report_of(load_model(rewritten(num_hidden_layers=1)))
    assert found.weights["unexpected"]["count"] == 9
    (warning,) = found.warnings
    assert "9 weights of the checkpoint are not used" in warning
    assert "more layers than the config says" in warning


def test_a_head_that_is_meant_to_be_new_is_said_once(
    checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    model = load_model(
        checkpoints("encoder"), model_class=transformers.AutoModelForSequenceClassification, num_labels=3
    )
    assert report_of(model).weights["missing"] == {
        "count": 2,
        "first": ["classifier.bias", "classifier.weight"],
    }
    warned = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len([record for record in warned if record.name == "telepathy_runtime"]) == 1
    assert "no such head" in caplog.text


def test_ignored_shapes_are_named(checkpoints: Checkpoints) -> None:
    model = load_model(checkpoints("llama"), ignore_mismatched_sizes=True, vocab_size=300)
    found = report_of(model)
    assert found.weights["mismatched"]["count"] == found.weights["newly_initialised"]["count"] == 2
    assert any(
        "lm_head.weight: " in warning and "(300, 32) in the model" in warning for warning in found.warnings
    )


def test_strict_refuses_anything_but_equality(
    checkpoints: Checkpoints, rewritten: Callable[..., Path]
) -> None:
    load_model(checkpoints("llama"), weights="strict")
    load_model(checkpoints("gemma2"), weights="strict")  # tied: its head is not in the checkpoint
    with pytest.raises(WeightsError, match=r"1 unexpected \(lm_head.weight\)"):
        load_model(checkpoints("llama"), model_class=transformers.AutoModel, weights="strict")
    folder = rewritten(lambda weights: {name: t for name, t in weights.items() if name != "lm_head.weight"})
    with pytest.raises(WeightsError, match=r"1 missing \(lm_head.weight\)"):
        load_model(folder, weights="strict", **RAW)


def test_no_false_alarm(checkpoints: Checkpoints) -> None:
    """A body alone, tied weights, and an architecture that has the weights of another under the same names."""
    for kind, name in (
        ("llama", "AutoModel"),
        ("gemma2", "AutoModelForCausalLM"),
        ("t5", "T5ForConditionalGeneration"),
        ("llama", "MistralForCausalLM"),
    ):
        found = report_of(load_model(checkpoints(kind), model_class=getattr(transformers, name)))
        assert found.weights["arrived"] == found.weights["parameters"] > 0
        assert [warning for warning in found.warnings if "soft cap" not in warning] == []


def test_no_false_alarm_for_an_adapter(checkpoints: Checkpoints, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    base = transformers.AutoModelForCausalLM.from_pretrained(checkpoints("llama"))
    adapted = peft.get_peft_model(base, peft.LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False))
    adapted.save_pretrained(tmp_path)
    config = tmp_path / "adapter_config.json"
    content = json.loads(config.read_text())
    config.write_text(json.dumps(content | {"base_model_name_or_path": str(checkpoints("llama"))}))
    for model_class in (transformers.AutoModelForCausalLM, transformers.LlamaForCausalLM):
        model = load_model(tmp_path, model_class=model_class, dtype="float32")
        assert report_of(model).warnings == ()
        raw = model_class.from_pretrained(tmp_path)
        for name, tensor in raw.state_dict().items():
            assert torch.equal(model.state_dict()[name].float(), tensor.float()), name


def test_the_caller_gets_what_from_pretrained_gives(checkpoints: Checkpoints) -> None:
    model, info = load_model(checkpoints("llama"), output_loading_info=True)
    assert report_of(model).weights["arrived"] == 21
    assert not info["missing_keys"]


def test_a_class_that_overrides_from_pretrained_is_not_asked(checkpoints: Checkpoints) -> None:
    class Mine(transformers.LlamaForCausalLM):  # type: ignore[misc]
        @classmethod
        def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
            model = super().from_pretrained(*args, **kwargs)
            model.extra = 1  # a pair has no attributes
            return model

    assert load_model(checkpoints("llama"), model_class=Mine).extra == 1


def test_the_error_can_be_sent_to_another_process(rewritten: Callable[..., Path]) -> None:
    with pytest.raises(WeightsError) as caught:
        load_model(rewritten(prefixed("module.")))
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is type(caught.value)
    assert str(again) == str(caught.value)
