"""`except` around a rewritten call catches what it caught around from_pretrained: the classes really raised, not a table."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers

from telepathy_runtime import CorruptCheckpointError, LoadError, errors, load_model
from tests.runtime.conftest import Checkpoints

RAW = {"dtype": None, "device_map": None, "attn_implementation": None, "generation_config": None}


def damaged(folder: Path) -> Path:
    (folder / "model.safetensors").write_bytes(b"12345678" * 4)
    return folder


def without_weights(folder: Path) -> Path:
    (folder / "model.safetensors").unlink()
    return folder


def broken_config(folder: Path) -> Path:
    (folder / "config.json").write_text("{")
    return folder


CASES: dict[str, tuple[Callable[[Path], Any], dict[str, Any]]] = {
    "damaged": (damaged, {}),
    "no weights": (without_weights, {}),
    "broken config": (broken_config, {}),
    "other shapes": (lambda folder: folder, {"vocab_size": 300}),
    "no such keyword": (lambda folder: folder, {"nonsense": 3}),
    "no such attention": (lambda folder: folder, {"attn_implementation": "sdpaa"}),
    "no CUDA": (lambda folder: folder, {"device_map": "cuda"}),
    "no such folder": (lambda folder: folder / "no" / "such", {}),
    "no such repository": (lambda folder: "nobody/nothing", {}),
    "empty id": (lambda folder: "", {}),
    "an int": (lambda folder: 3, {}),
    "None": (lambda folder: None, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_four_nones_raise_what_from_pretrained_raises(
    case: str, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    prepare, keywords = CASES[case]
    if case == "no CUDA" and transformers.utils.is_torch_cuda_available():
        pytest.skip("here the device exists")
    asked = prepare(Path(shutil.copytree(checkpoints("llama"), tmp_path / "copy")))
    with pytest.raises(Exception) as raw:
        transformers.AutoModelForCausalLM.from_pretrained(asked, **keywords)
    with pytest.raises(Exception) as ours:
        load_model(asked, **(RAW | keywords))
    assert isinstance(ours.value, type(raw.value)), (repr(raw.value), repr(ours.value))
    # ... and nothing that a handler in front of that one would catch.
    ordinary = {OSError, ValueError, RuntimeError, TypeError, AttributeError, KeyError, ImportError}
    if type(ours.value).__name__ not in {"DeviceMapError", "AttentionError"}:
        assert {kind for kind in ordinary if isinstance(ours.value, kind)} == {
            kind for kind in ordinary if isinstance(raw.value, kind)
        }


def test_a_fallback_around_the_call_still_runs(checkpoints: Checkpoints) -> None:
    """The program that such handlers are written for; transformers 5 raises RuntimeError here, 4 too."""
    folder = checkpoints("llama")
    try:
        model = load_model(folder, vocab_size=300, **RAW)
    except RuntimeError:
        model = load_model(folder, vocab_size=300, ignore_mismatched_sizes=True, **RAW)
    assert model.config.vocab_size == 300


def test_what_the_original_carries_is_carried_over() -> None:
    original = FileNotFoundError(2, "No such file", "weights.bin")
    error = errors.explaining(CorruptCheckpointError("a", "b", "c"), original)
    assert (error.errno, error.filename) == (2, "weights.bin")  # type: ignore[attr-defined]
    assert isinstance(error, FileNotFoundError)
    assert str(error) == "a: b; c"
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)


def test_two_classes_without_a_common_heir() -> None:
    error = errors.explaining(errors.ReadOnlyCacheError("a", "b", "c"), AttributeError("x"))
    assert type(error) is errors.ReadOnlyCacheError
    assert isinstance(error, LoadError)
