"""Errors that say what to write instead: ids that are none, unfetched files, arguments of another release."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from telepathy_runtime import (
    CorruptCheckpointError,
    LoadError,
    ModelClassError,
    ModelMissingError,
    load_model,
    load_tokenizer,
)
from telepathy_runtime.failures import hints
from tests.runtime.conftest import Checkpoints
from tests.runtime.failures.test_failures import cut, failure, lfs_pointer


@pytest.fixture
def copy(checkpoints: Checkpoints, tmp_path: Path) -> Callable[..., Path]:
    """A checkpoint that the test may damage."""

    def make(kind: str = "llama", **options: Any) -> Path:
        return Path(shutil.copytree(checkpoints(kind, **options), tmp_path / "copy"))

    return make


def test_an_lfs_pointer_is_called_one(copy: Callable[..., Path]) -> None:
    folder = copy()
    lfs_pointer(folder)
    failure(CorruptCheckpointError, lambda: load_model(folder), "Git LFS pointer", "git lfs pull")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    error = failure(
        CorruptCheckpointError, lambda: load_model(folder), "pytorch_model.bin is a Git LFS pointer"
    )
    assert "weights_only" not in str(error)


def test_a_damaged_pickle_does_not_repeat_torchs_advice(copy: Callable[..., Path]) -> None:
    folder = copy()
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"no pickle at all" * 9)
    error = failure(CorruptCheckpointError, lambda: load_model(folder), "torch cannot read a weight file")
    assert "weights_only" not in str(error)


def test_a_damaged_tokenizer_beside_damaged_weights(copy: Callable[..., Path]) -> None:
    folder = copy()
    cut(folder)
    (folder / "tokenizer_config.json").write_text("{")
    error = failure(
        CorruptCheckpointError, lambda: load_tokenizer(folder), "tokenizer_config.json is not JSON"
    )
    assert "safetensors" not in str(error)


def test_what_is_no_id_says_what_to_pass(checkpoints: Checkpoints) -> None:
    folder = checkpoints("llama")
    failure(ModelMissingError, lambda: load_model(folder / "config.json"), "it is a file", repr(str(folder)))
    failure(ModelMissingError, lambda: load_model("~/nothing/here"), "expanduser")
    url = "https://huggingface.co/nobody/nothing/tree/main"
    failure(ModelMissingError, lambda: load_model(url), "pass the id alone: 'nobody/nothing'")


def test_an_unknown_architecture_and_own_code(copy: Callable[..., Path]) -> None:
    folder = copy()
    config = folder / "config.json"
    content = json.loads(config.read_text())
    config.write_text(json.dumps(content | {"model_type": "brand_new"}))
    failure(ModelClassError, lambda: load_model(folder), "does not support model_type 'brand_new'", "update")
    own = {"AutoConfig": "configuration_mine.Mine", "AutoModelForCausalLM": "modeling_mine.Mine"}
    config.write_text(json.dumps(content | {"model_type": "brand_new", "auto_map": own}))
    failure(ModelClassError, lambda: load_model(folder), "its own code", "trust_remote_code=True and pin")


def test_an_old_argument_names_its_replacement() -> None:
    assert "BitsAndBytesConfig(load_in_8bit=True)" in hints.replacement("load_in_8bit")
    assert hints.replacement("nonsense") == "remove nonsense"


def test_an_adapter_without_its_base_names_it(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    content = {"peft_type": "LORA", "base_model_name_or_path": "nobody/base", "task_type": "CAUSAL_LM"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(content))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(LoadError, match="its base model is 'nobody/base'"):
        load_model(tmp_path)


@pytest.mark.parametrize("class_name", ["AutoModelForCausalLM", "LlamaForCausalLM"])
def test_other_shapes_name_the_tensors(class_name: str, checkpoints: Checkpoints) -> None:
    import transformers

    error = failure(
        ModelClassError,
        lambda: load_model(
            checkpoints("llama"), model_class=getattr(transformers, class_name), vocab_size=300
        ),
        "lm_head.weight is [264, 32] in the checkpoint and [300, 32] in the model",
    )
    assert "model.embed_tokens.weight is [264, 32]" in str(error)
    assert "norm" not in str(error)
