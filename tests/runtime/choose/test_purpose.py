"""What a load is for: dtype, placement, cache and gradients by purpose, and warnings that are true."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from telepathy_runtime import ArgumentError, LoadReport, load_model, load_tokenizer, resolve_dtype
from telepathy_runtime.choose.placement import choose_device_map
from telepathy_runtime.choose.precision import choose_dtype
from telepathy_runtime.machine.launcher import Launcher
from tests.runtime.conftest import Checkpoints
from tests.runtime.machines import CPU, GIB, cuda
from tests.sampling import only

RAW = {"dtype": None, "device_map": None, "attn_implementation": None, "generation_config": None}


def report_of(model: Any) -> LoadReport:
    found = LoadReport.of(model)
    assert found is not None
    return found


def test_training_keeps_float32_and_the_others_bfloat16(checkpoints: Checkpoints) -> None:
    folder = checkpoints("llama")
    found = {
        purpose: load_model(folder, purpose=purpose).dtype
        for purpose in (None, "inference", "training", "finetune-adapters")
    }
    assert found == {
        None: torch.bfloat16,
        "inference": torch.bfloat16,
        "training": torch.float32,
        "finetune-adapters": torch.bfloat16,
    }
    assert resolve_dtype(purpose="training") is torch.float32
    assert load_model(folder, purpose="training", dtype="bfloat16").dtype is torch.bfloat16
    assert choose_dtype(cuda(capability=(7, 5)), purpose="training").value == "float32"


def test_the_cache_is_off_for_training_and_generate_keeps_its_own(checkpoints: Checkpoints) -> None:
    folder, ids = checkpoints("llama"), torch.tensor([[72, 101]])
    model = load_model(folder, purpose="training")
    assert model(ids).past_key_values is None
    assert model(ids, use_cache=True).past_key_values is not None
    with torch.no_grad():
        assert model(ids).past_key_values is not None
    assert report_of(model).prepared == {"use_cache": [True, False]}
    seen = []
    model.register_forward_pre_hook(
        lambda module, inputs, keywords: seen.append(keywords["use_cache"]), with_kwargs=True
    )
    model.generate(ids, max_new_tokens=2)
    assert seen == [True, True]
    assert load_model(folder)(ids).past_key_values is not None
    assert report_of(load_model(folder)).prepared == {}


def test_training_saves_the_config_as_shipped(checkpoints: Checkpoints, tmp_path: Path) -> None:
    load_model(checkpoints("llama"), purpose="training").save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["use_cache"] is True


@pytest.mark.parametrize("name", only(("t5",), ["llama", "t5", "gptj", "vlm", "gemma2", "encoder"]))
def test_no_part_of_a_model_that_is_trained_makes_a_cache(name: str, checkpoints: Checkpoints) -> None:
    folder = checkpoints(name)
    own = json.loads((folder / "config.json").read_text())["architectures"][0]
    model = load_model(folder, purpose="training", model_class=getattr(transformers, own))
    ids = torch.tensor([[72, 101]])
    given = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    try:
        getattr(transformers, own).from_pretrained(folder)(input_ids=ids, **given)
    except AttributeError as error:
        pytest.skip(f"this release wants an image: {error}")
    assert getattr(model(input_ids=ids, **given), "past_key_values", None) is None
    pickle.loads(pickle.dumps(model))
    copy.deepcopy(model)(input_ids=ids, **given)
    torch.compile(model, backend="eager")(input_ids=ids, **given)


def test_training_with_gradient_checkpointing_moves_every_weight(checkpoints: Checkpoints) -> None:
    model = load_model(checkpoints("llama"), purpose="training").train()
    model.gradient_checkpointing_enable()
    ids = torch.tensor([[72, 101, 108]])
    model(ids, labels=ids).loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_adapters_get_gradients_under_reentrant_checkpointing(checkpoints: Checkpoints) -> None:
    """As a Trainer does it: peft first, checkpointing after. Without the purpose 4.46 and 4.57 cut the adapters off."""
    peft = pytest.importorskip("peft")
    model = load_model(checkpoints("llama"), purpose="finetune-adapters")
    wrapped = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"]))
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": True})
    wrapped.train()
    ids = torch.tensor([[72, 101, 108]])
    wrapped(input_ids=ids, labels=ids).loss.backward()
    trained = [parameter for parameter in wrapped.parameters() if parameter.requires_grad]
    assert trained
    assert all(parameter.grad is not None for parameter in trained)


def test_adapters_leave_the_loaded_weights_frozen(checkpoints: Checkpoints) -> None:
    model = load_model(checkpoints("llama"), purpose="finetune-adapters")
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert report_of(model).prepared["trainable_parameters"] == [report_of(model).parameters, 0]
    again = pickle.loads(pickle.dumps(model)).train()
    assert again(torch.tensor([[1, 2]])).logits.requires_grad
    again.eval()
    assert not again(torch.tensor([[1, 2]])).logits.requires_grad


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"purpose": "training", "dtype": "bfloat16"}, "steps below 1/256 of a weight"),
        ({"purpose": "training", "dtype": "float16"}, "Attempting to unscale FP16 gradients"),
        ({"purpose": "finetune-adapters", "dtype": "float16"}, "autocast_adapter_dtype"),
        ({"purpose": "training", **RAW, "dtype": "auto"}, "steps below 1/256 of a weight"),
    ],
)
def test_what_the_weights_will_meet_is_said(
    arguments: dict[str, Any], words: str, checkpoints: Checkpoints
) -> None:
    assert any(
        words in warning for warning in report_of(load_model(checkpoints("llama"), **arguments)).warnings
    )


def test_nothing_is_said_where_nothing_is_wrong(checkpoints: Checkpoints) -> None:
    for purpose in ("inference", "training", "finetune-adapters"):
        assert report_of(load_model(checkpoints("llama"), purpose=purpose)).warnings == ()


def test_the_warning_about_bfloat16_is_true() -> None:
    """AdamW at 1e-5 on weights as a checkpoint has them: most do not move in bfloat16, and all do in float32."""
    moved = {}
    for dtype in (torch.bfloat16, torch.float32):
        torch.manual_seed(0)
        weight = torch.nn.Parameter((torch.randn(1000) * 0.02).to(torch.bfloat16).to(dtype))
        before = weight.detach().clone()
        optimizer = torch.optim.AdamW([weight], lr=1e-5, weight_decay=0.0)
        weight.grad = torch.randn(1000).to(dtype)
        optimizer.step()
        moved[dtype] = (weight != before).float().mean().item()
    assert moved[torch.bfloat16] < 0.5 < 0.9 < moved[torch.float32]


def test_the_warning_about_float16_is_true() -> None:
    scaler = torch.amp.GradScaler("cpu")
    weight = torch.nn.Parameter(torch.ones(2, dtype=torch.float16))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    scaler.scale(weight.sum().float()).backward()
    with pytest.raises(ValueError, match="unscale FP16 gradients"):
        scaler.unscale_(optimizer)


@pytest.mark.parametrize(
    ("machine", "purpose", "size", "expected", "words"),
    [
        (cuda(4), "training", GIB, {"": 0}, "one of 4 cuda devices"),
        (cuda(1), "training", 60 * GIB, {"": 0}, None),
        (cuda(1), "training", 100 * GIB, {"": 0}, "FSDP or ZeRO-3"),
        (cuda(1), "training", None, {"": 0}, None),
        (cuda(4), "finetune-adapters", 10 * GIB, {"": 0}, "one of 4 cuda devices"),
        (cuda(4), "finetune-adapters", 100 * GIB, "auto", None),
        (cuda(4), "inference", 10 * GIB, "auto", None),
        (CPU, "training", GIB, None, None),
        (cuda(4, launcher=Launcher("torchrun", 4, 2, 2, 4)), "training", GIB, {"": "cuda:2"}, None),
        (cuda(4, sharding="fsdp"), "training", GIB, None, None),
    ],
)
def test_training_gets_a_whole_device(
    machine: Any, purpose: str, size: int | None, expected: Any, words: str | None
) -> None:
    choice = choose_device_map(machine, weight_bytes=size, purpose=purpose)
    assert choice.value == expected
    assert [words in warning for warning in choice.warnings] == ([True] if words else [])


def test_auto_asked_for_is_kept_and_warned_of() -> None:
    choice = choose_device_map(cuda(2), "auto", purpose="training")
    assert choice.value == "auto"
    assert "a Trainer refuses" in choice.warnings[0]
    assert not choose_device_map(cuda(2), "auto", purpose="inference").warnings


@pytest.mark.parametrize(
    ("kind", "purpose", "side"),
    [
        ("llama", "inference", "left"),
        ("llama", "training", "right"),
        ("llama", "finetune-adapters", "right"),
        ("t5", "inference", "right"),
    ],
)
def test_padding_side_by_purpose(kind: str, purpose: Any, side: str, checkpoints: Checkpoints) -> None:
    folder = checkpoints(kind, pad="present")
    assert load_tokenizer(folder, purpose=purpose).padding_side == side
    assert load_tokenizer(folder, purpose=purpose, padding_side="left").padding_side == "left"


def test_a_purpose_that_is_none_is_refused(checkpoints: Checkpoints) -> None:
    for load in (load_model, load_tokenizer):
        with pytest.raises(ArgumentError, match=r"purpose='train'.*\"finetune-adapters\""):
            load(checkpoints("llama"), purpose="train")


def test_a_trained_model_saves_and_trains_under_the_trainer(checkpoints: Checkpoints, tmp_path: Path) -> None:
    model = load_model(checkpoints("llama"), purpose="training")
    before = model.state_dict()["model.layers.0.mlp.up_proj.weight"].clone()
    data = [{"input_ids": [72, 101, 108], "labels": [72, 101, 108]}] * 4
    arguments = transformers.TrainingArguments(
        tmp_path, per_device_train_batch_size=2, num_train_epochs=1, learning_rate=1e-5, report_to=[],
        use_cpu=True, bf16=True, gradient_checkpointing=True, save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    transformers.Trainer(model, arguments, train_dataset=data).train()
    moved = (model.state_dict()["model.layers.0.mlp.up_proj.weight"] != before).float().mean()
    assert moved > 0.9
    model.save_pretrained(tmp_path / "saved")
    again = load_model(tmp_path / "saved")
    assert again.generate(torch.tensor([[72]]), max_new_tokens=2).shape[1] <= 3


def test_a_model_that_cannot_be_made_ready_is_still_returned(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Any) -> Any:
        raise RuntimeError("no embeddings today")

    monkeypatch.setattr(transformers.LlamaModel, "get_input_embeddings", refuse)
    monkeypatch.setattr(transformers.LlamaForCausalLM, "get_input_embeddings", refuse)
    model = load_model(checkpoints("llama", dtype="float32"), purpose="finetune-adapters")
    assert "was not prepared for finetune-adapters: no embeddings today" in report_of(model).warnings[0]
    assert report_of(model).prepared["use_cache"] == [True, False]
