"""Calls that few write: load_model works where from_pretrained works, and explains where it does not."""

from __future__ import annotations

import os
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import telepathy_runtime
from telepathy_runtime import (
    ArgumentError,
    DeviceMapError,
    LoadError,
    LoadReport,
    ModelClassError,
    OfflineError,
    WeightsError,
    load_model,
    load_tokenizer,
)
from telepathy_runtime.errors import explaining, of_kind
from tests.runtime.conftest import Checkpoints

NONE = {"dtype": None, "device_map": None, "attn_implementation": None, "generation_config": None}
LLAMA = transformers.LlamaForCausalLM


def warnings_of(model: Any) -> str:
    report = LoadReport.of(model)
    assert report is not None
    return "\n".join(report.warnings)


# ---- classes with a from_pretrained of their own


class Narrow(LLAMA):  # type: ignore[misc,valid-type]
    @classmethod
    def from_pretrained(cls, path: Any) -> Any:
        return super().from_pretrained(path)


class OldName(LLAMA):  # type: ignore[misc,valid-type]
    @classmethod
    def from_pretrained(cls, path: Any, torch_dtype: Any = None, device_map: Any = None) -> Any:
        return super().from_pretrained(path, torch_dtype=torch_dtype, device_map=device_map)


class HandsOn(LLAMA):  # type: ignore[misc,valid-type]
    @classmethod
    def from_pretrained(cls, path: Any, **kwargs: Any) -> Any:
        return cls._made(path, **kwargs)

    @classmethod
    def _made(cls, path: Any) -> Any:
        return super().from_pretrained(path)


class NoModel:
    @classmethod
    def from_pretrained(cls, path: Any) -> Any:
        return {"path": str(path)}


@pytest.mark.parametrize("model_class", [Narrow, HandsOn])
def test_a_class_that_takes_none_of_the_settings(model_class: Any, checkpoints: Checkpoints) -> None:
    folder = checkpoints("llama", dtype="float32")
    model = load_model(folder, model_class=model_class)
    assert model.dtype is model_class.from_pretrained(folder).dtype
    assert "loaded without dtype=" in warnings_of(model)


def test_what_was_stated_is_not_dropped(checkpoints: Checkpoints) -> None:
    with pytest.raises(ArgumentError, match="dtype"):
        load_model(checkpoints("llama"), model_class=Narrow, dtype="float32")


@pytest.mark.parametrize("dtype", ["float16", "resolve"])
def test_a_class_that_knows_the_old_name_of_dtype(dtype: str, checkpoints: Checkpoints) -> None:
    model = load_model(checkpoints("llama", dtype="float32"), model_class=OldName, dtype=dtype)
    assert model.dtype is (torch.float16 if dtype == "float16" else torch.bfloat16)
    assert "loaded without" not in warnings_of(model)


def test_a_class_that_gives_no_model(checkpoints: Checkpoints) -> None:
    folder = checkpoints("llama")
    assert load_model(folder, model_class=NoModel) == {"path": str(folder)}


def test_an_error_of_the_classs_own_code_stays(checkpoints: Checkpoints) -> None:
    class Broken(LLAMA):  # type: ignore[misc,valid-type]
        @classmethod
        def from_pretrained(cls, path: Any, **kwargs: Any) -> Any:
            return int("x", fase=16)  # type: ignore[call-overload]

    with pytest.raises(TypeError, match="fase"):
        load_model(checkpoints("llama"), model_class=Broken)


# ---- places


@pytest.mark.parametrize("name", ["with space", "ünïcode", "a.b", "100%", "brackets[1]", "quote'"])
def test_folders_with_unusual_names(name: str, checkpoints: Checkpoints, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoints("llama"), tmp_path / name / "inner part"))
    expected = LLAMA.from_pretrained(checkpoints("llama"), dtype=torch.bfloat16) if _new() else None
    for found in (
        load_model(folder),
        load_model(f"{folder}/"),
        load_model(os.path.relpath(folder)),
        load_model(folder.parent, subfolder="inner part"),
        load_model(str(folder), revision="main", local_files_only=True, cache_dir=tmp_path / "cache"),
    ):
        assert found.dtype is torch.bfloat16
        if expected is not None:
            assert torch.equal(found.lm_head.weight, expected.lm_head.weight)


def _new() -> bool:
    return int(transformers.__version__.partition(".")[0]) >= 5


@pytest.mark.parametrize(
    "model_id", ["x" * 300, "a/" + "b" * 5000, "nul\0byte", 5, ["x"], b"bytes", object()]
)
@pytest.mark.parametrize("settings", [{}, NONE])
def test_ids_that_are_none(model_id: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(Exception) as raw:
        transformers.AutoModelForCausalLM.from_pretrained(model_id)
    with pytest.raises(type(raw.value)):
        load_model(model_id, **settings)


@pytest.mark.parametrize("loading", [load_model, load_tokenizer])
def test_an_empty_id_is_said_to_be_one(loading: Any) -> None:
    for model_id in ("", "  "):
        with pytest.raises(ArgumentError, match="it is empty; pass a hub id") as caught:
            loading(model_id)
        assert isinstance(caught.value, OSError) and isinstance(caught.value, ValueError)


@pytest.mark.parametrize("loading", [load_model, load_tokenizer])
def test_a_relative_folder_that_is_not_there(
    loading: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OfflineError, match=re.escape(f"there is no folder {tmp_path / 'checkpoints/last'}")):
        loading("checkpoints/last", local_files_only=True, cache_dir=tmp_path)


def test_a_model_in_place_of_an_id(checkpoints: Checkpoints) -> None:
    with pytest.raises(LoadError):
        load_model(load_model(checkpoints("llama")))  # type: ignore[arg-type]


# ---- arguments that contradict each other, or the model


def test_a_generation_config_for_what_does_not_generate(checkpoints: Checkpoints) -> None:
    given = transformers.GenerationConfig(max_new_tokens=3)
    for settings in ({}, {**NONE, "generation_config": given}):
        model = load_model(
            checkpoints("encoder"),
            model_class=transformers.AutoModel,
            **{"generation_config": given, **settings},
        )
        assert "the generation config is not used, BertModel cannot generate" in warnings_of(model)


@pytest.mark.parametrize(
    ("arguments", "kind", "says"),
    [
        ({"device_map": "bogus"}, DeviceMapError, "a dict of devices"),
        ({"device_map": {"model": "cpu"}}, DeviceMapError, "stands for the rest"),
        ({"dtype": torch.int8}, ArgumentError, "pass a floating-point dtype"),
        ({"return_unused_kwargs": True}, ArgumentError, "transformers sets return_unused_kwargs= itself"),
        ({"config": transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=9)}, ModelClassError, ""),
    ],
)  # fmt: skip
def test_failures_name_cause_and_remedy(
    arguments: dict[str, Any], kind: type[LoadError], says: str, checkpoints: Checkpoints
) -> None:
    folder = checkpoints("llama")
    stated = {"torch_dtype" if name == "dtype" else name: value for name, value in arguments.items()}
    try:
        transformers.AutoModelForCausalLM.from_pretrained(folder, **stated)
    except Exception as error:
        raw = error
    else:
        pytest.skip("this transformers accepts it")
    for settings in ({}, NONE):
        with pytest.raises(kind, match=says) as caught:
            load_model(folder, **{**settings, **arguments})
        assert isinstance(caught.value, type(raw))


@pytest.mark.parametrize(
    "kind", [OSError, ValueError, ImportError, KeyError, UnicodeError, FileNotFoundError]
)
def test_an_error_of_any_kind_can_be_explained_by_any(kind: type[Exception]) -> None:
    """The built-in errors have objects of different sizes, and LoadErrors are both."""
    raised = kind("why")
    public = [
        getattr(telepathy_runtime, name) for name in telepathy_runtime.__all__ if name.endswith("Error")
    ]
    for cls in public:
        made = explaining(of_kind(cls("asked", "found", "remedy"), ValueError), raised)
        assert str(made) == "asked: found; remedy"
        assert isinstance(made, cls)
        assert isinstance(pickle.loads(pickle.dumps(made)), cls)


def test_weights_given_to_an_auto_class(checkpoints: Checkpoints) -> None:
    model = LLAMA.from_pretrained(checkpoints("llama"))
    given = {"config": model.config, "state_dict": model.state_dict()}
    if _new():  # transformers 4.46 finds the class by the config
        with pytest.raises(ArgumentError, match="pass model_class= of the model itself"):
            load_model(None, **given)
    again = load_model(None, model_class=LLAMA, **given, dtype="float32")
    assert torch.equal(again.lm_head.weight, model.lm_head.weight.float())


def test_no_weights_given_at_all(checkpoints: Checkpoints) -> None:
    config = transformers.AutoConfig.from_pretrained(checkpoints("llama"))
    with pytest.raises(WeightsError, match="it holds none of the others; save the whole model"):
        load_model(None, model_class=LLAMA, config=config, state_dict={})


def test_a_missing_shard_is_named(checkpoints: Checkpoints, tmp_path: Path) -> None:
    folder = tmp_path / "sharded"
    LLAMA.from_pretrained(checkpoints("llama")).save_pretrained(folder, max_shard_size="30KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 2
    assert torch.equal(load_model(folder).lm_head.weight, load_model(checkpoints("llama")).lm_head.weight)
    shards[1].unlink()
    for settings in ({}, NONE):
        with pytest.raises(LoadError, match=shards[1].name):
            load_model(folder, **settings)
