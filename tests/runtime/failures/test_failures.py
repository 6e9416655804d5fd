"""Loads that fail: the right LoadError with a remedy, and the original exception as its cause."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers

import telepathy_runtime
from telepathy_runtime import (
    ArgumentError,
    AttentionError,
    CorruptCheckpointError,
    DeviceMapError,
    LoadError,
    MissingPackageError,
    ModelClassError,
    ModelMissingError,
    OfflineError,
    WeightsError,
    load_model,
    load_tokenizer,
)
from tests.runtime.conftest import Checkpoints

ROOT = Path(telepathy_runtime.__file__).parent.parent


@pytest.fixture
def copy(checkpoints: Checkpoints, tmp_path: Path) -> Callable[..., Path]:
    """A checkpoint that the test may damage."""

    def make(kind: str = "llama", **options: Any) -> Path:
        return Path(shutil.copytree(checkpoints(kind, **options), tmp_path / "copy"))

    return make


def failure(cls: type[LoadError], call: Callable[[], Any], *said: str, cause: bool = True) -> LoadError:
    with pytest.raises(LoadError) as caught:
        call()
    error = caught.value
    assert isinstance(error, cls), repr(error)
    assert type(error).__name__ == cls.__name__, error  # the nearest cause, not a class that it derives from
    for words in said:
        assert words in str(error), error
    assert error.remedy
    if cause:
        assert error.__cause__ is not None
        assert not isinstance(error.__cause__, LoadError)
    return error


def cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def html(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"<html>not found</html>" * 9)


def lfs_pointer(folder: Path) -> None:
    (folder / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    )


def empty(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def bad_header(folder: Path) -> None:
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[8:12] = b"####"
    file.write_bytes(bytes(content))


def bad_config(folder: Path) -> None:
    (folder / "config.json").write_text("{ not json")


@pytest.mark.parametrize(
    "damage", [cut, html, lfs_pointer, empty, bad_header, bad_config], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("raw", [False, True], ids=["resolved", "four-nones"])
def test_a_damaged_file_is_named(
    damage: Callable[[Path], None], raw: bool, copy: Callable[..., Path]
) -> None:
    folder = copy()
    damage(folder)
    arguments: dict[str, Any] = (
        {"dtype": None, "device_map": None, "attn_implementation": None, "generation_config": None}
        if raw
        else {}
    )
    named = "config.json" if damage is bad_config else "model.safetensors"
    failure(CorruptCheckpointError, lambda: load_model(folder, **arguments), named, "download the file again")


def test_a_cut_file_says_how_much_is_missing(copy: Callable[..., Path]) -> None:
    folder = copy()
    size = (folder / "model.safetensors").stat().st_size
    cut(folder)
    failure(CorruptCheckpointError, lambda: load_model(folder), f"it has {size - 100} of {size} bytes")


def test_a_corrupt_shard_is_named(copy: Callable[..., Path]) -> None:
    folder = copy(sharded=True)
    shard = sorted(folder.glob("model-*.safetensors"))[1]
    shard.write_bytes(shard.read_bytes()[:50])
    failure(CorruptCheckpointError, lambda: load_model(folder), shard.name)


def test_a_missing_shard_is_named(copy: Callable[..., Path]) -> None:
    folder = copy(sharded=True)
    shard = sorted(folder.glob("model-*.safetensors"))[1]
    shard.unlink()
    failure(CorruptCheckpointError, lambda: load_model(folder), shard.name, "is missing", "copy or download")


def test_a_damaged_index(copy: Callable[..., Path]) -> None:
    folder = copy(sharded=True)
    (folder / "model.safetensors.index.json").write_text("{")
    failure(CorruptCheckpointError, lambda: load_model(folder), "model.safetensors.index.json is not JSON")


@pytest.mark.parametrize("spelled", ["./no/such/folder", "/no/such/folder", "checkpoints/run-1/step-100"])
def test_a_missing_folder_is_called_a_folder(spelled: str) -> None:
    error = failure(
        ModelMissingError, lambda: load_model(spelled), "there is no folder", spelled.lstrip("./")
    )
    assert isinstance(error, type(error.__cause__)), "handlers of transformers' own error keep working"
    failure(ModelMissingError, lambda: load_tokenizer(spelled), "there is no folder")


def test_an_empty_folder_and_one_without_weights(copy: Callable[..., Path], tmp_path: Path) -> None:
    void = tmp_path / "void"
    void.mkdir()
    failure(ModelMissingError, lambda: load_model(void), "the folder contains nothing")
    folder = copy()
    (folder / "model.safetensors").unlink()
    failure(ModelMissingError, lambda: load_model(folder), "the folder contains config.json")
    failure(ModelMissingError, lambda: load_model(folder, subfolder="inner"), "subfolder=")


def test_offline_without_cache_names_the_switch_and_the_cache(tmp_path: Path) -> None:
    error = failure(
        OfflineError,
        lambda: load_model("nobody/nothing", cache_dir=tmp_path),
        "HF_HUB_OFFLINE forbids the network",
        str(tmp_path),
        "hf download nobody/nothing",
    )
    assert isinstance(error, OSError)
    failure(OfflineError, lambda: load_tokenizer("nobody/nothing", cache_dir=tmp_path), "HF_HUB_OFFLINE")


def test_wrong_auto_class_names_the_right_one(checkpoints: Checkpoints) -> None:
    error = failure(
        ModelClassError,
        lambda: load_model(checkpoints("t5")),
        "AutoModelForCausalLM",
        "T5 checkpoint",
        "model_class=T5ForConditionalGeneration",
    )
    assert isinstance(error, ValueError)


def test_a_concrete_class_of_another_architecture_is_not_random_numbers(checkpoints: Checkpoints) -> None:
    """from_pretrained initialises such a model randomly and only logs it."""
    folder = checkpoints("llama")
    failure(
        WeightsError,
        lambda: load_model(folder, model_class=transformers.T5ForConditionalGeneration),
        "weights are in the checkpoint",
        "it is a llama checkpoint",
        "weights='partial'".replace("'", '"'),
        cause=False,
    )


def test_another_head_is_said(checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture) -> None:
    load_model(checkpoints("llama"), model_class=transformers.AutoModelForSequenceClassification)
    assert "weights are not in the checkpoint and hold random numbers (score.weight)" in caplog.text
    assert "train it before you use it" in caplog.text
    caplog.clear()
    load_model(checkpoints("llama"), model_class=transformers.AutoModel)  # the body alone is all there
    # transformers logs what it left out; the loader has nothing to say.
    assert not [each for each in caplog.records if each.name.startswith("telepathy_runtime")]


def test_other_shapes(checkpoints: Checkpoints) -> None:
    failure(ModelClassError, lambda: load_model(checkpoints("llama"), vocab_size=300), "other shapes")


def test_unknown_keyword(checkpoints: Checkpoints) -> None:
    error = failure(ArgumentError, lambda: load_model(checkpoints("llama"), nonsense=3), "accepts nonsense=")
    assert isinstance(error, TypeError)


def test_flash_attention_by_name_on_a_cpu(checkpoints: Checkpoints) -> None:
    error = failure(
        AttentionError,
        lambda: load_model(checkpoints("llama"), attn_implementation="flash_attention_2"),
        "runs on CUDA devices, not on cpu",
        cause=False,
    )
    assert isinstance(error, ImportError)


def test_an_attention_name_that_does_not_exist(checkpoints: Checkpoints) -> None:
    failure(AttentionError, lambda: load_model(checkpoints("llama"), attn_implementation="sdpaa"), "sdpaa")


@pytest.mark.skipif(transformers.utils.is_torch_cuda_available(), reason="here the device exists")
def test_a_gpu_map_on_a_machine_without_gpu(checkpoints: Checkpoints) -> None:
    failure(
        DeviceMapError,
        lambda: load_model(checkpoints("llama"), device_map={"": 0}),
        "no such device",
        "{'': 0}",
    )


def test_a_missing_quantisation_package(checkpoints: Checkpoints) -> None:
    pytest.importorskip("torch")
    if transformers.utils.is_bitsandbytes_available():
        pytest.skip("bitsandbytes is installed")
    config = transformers.BitsAndBytesConfig(load_in_8bit=True)
    failure(
        MissingPackageError,
        lambda: load_model(checkpoints("llama"), quantization_config=config),
        "bitsandbytes",
    )


def test_an_unknown_cause_is_left_alone(checkpoints: Checkpoints) -> None:
    class Broken:
        @staticmethod
        def from_pretrained(*args: Any, **kwargs: Any) -> Any:
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        load_model(checkpoints("llama"), model_class=Broken)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"offload": "maybe"}, "offload='maybe'"),
        ({"generation_config": "greedy"}, "generation_config='greedy'"),
        ({"weights": "some"}, "weights='some'"),
        ({"dtype": "bogus"}, "dtype='bogus'"),
    ],
)
def test_nonsense_settings(arguments: dict[str, Any], said: str, checkpoints: Checkpoints) -> None:
    with pytest.raises(ValueError, match=said):
        load_model(checkpoints("llama"), **arguments)


def in_subprocess(code: str, **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=600,
        env={**os.environ, **environ},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


HIDE = """
    import sys
    class Hidden:
        def find_spec(self, name, path=None, target=None):
            if name.split('.')[0] == {name!r}:
                raise ModuleNotFoundError(f"No module named '{{name}}'", name=name)
    sys.meta_path.insert(0, Hidden())
    from importlib import metadata
    version = metadata.version
    def hidden_version(name):
        if name == {name!r}:
            raise metadata.PackageNotFoundError(name)
        return version(name)
    metadata.version = hidden_version
    import importlib.util
    find_spec = importlib.util.find_spec
    importlib.util.find_spec = lambda name, package=None: None if name == {name!r} else find_spec(name, package)
"""


@pytest.mark.slow
def test_missing_accelerate(checkpoints: Checkpoints) -> None:
    out = in_subprocess(
        textwrap.dedent(HIDE.format(name="accelerate"))
        + textwrap.dedent(f"""
        import telepathy_runtime as t
        t.load_model({str(checkpoints("llama"))!r})
        try:
            t.load_model({str(checkpoints("llama"))!r}, device_map="cpu")
        except t.MissingAccelerateError as error:
            print(error, isinstance(error, ImportError), error.__cause__ is not None)
        """)
    )
    assert "a device map needs accelerate" in out
    assert "pip install -U accelerate" in out
    assert out.strip().endswith("True True")


@pytest.mark.parametrize("name", ["torch", "transformers"])
def test_missing_torch_or_transformers(name: str) -> None:
    out = in_subprocess(
        textwrap.dedent(HIDE.format(name=name))
        + textwrap.dedent("""
        import telepathy_runtime as t
        try:
            t.load_model("x/y")
        except t.MissingPackageError as error:
            print(error)
        """)
    )
    assert f"importing {name}: it is not installed; pip install 'telepathy-lint[runtime]'" in out


def test_errors_carry_their_parts(copy: Callable[..., Path]) -> None:
    folder = copy()
    cut(folder)
    error = failure(CorruptCheckpointError, lambda: load_model(folder))
    assert str(error) == f"{error.asked}: {error.found}; {error.remedy}"
    assert json.dumps([error.asked, error.found, error.remedy])
