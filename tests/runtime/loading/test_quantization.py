"""Quantisation by name: the config object of the package that is there, and a clear error where it is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from telepathy_runtime import (
    ArgumentError,
    LoadReport,
    MissingPackageError,
    QuantizationError,
    load_model,
    plan_load,
)
from telepathy_runtime.checkpoint import stored
from telepathy_runtime.loading import quantization
from telepathy_runtime.loading.planning import weight_bytes
from telepathy_runtime.loading.quantization import QUANTIZATIONS
from tests.runtime.conftest import Checkpoints
from tests.runtime.machines import cuda


def report_of(model: Any) -> LoadReport:
    found = LoadReport.of(model)
    assert found is not None
    return found


@pytest.fixture
def all_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization, "_installed", lambda package: True)


def fake(monkeypatch: pytest.MonkeyPatch, config: Any) -> None:
    """The config of transformers 4 asks which version of the package is there."""
    monkeypatch.setattr(quantization, "need", lambda name: SimpleNamespace(BitsAndBytesConfig=config))


@pytest.mark.parametrize("name", sorted(QUANTIZATIONS))
def test_a_missing_package_is_named_with_its_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization, "_installed", lambda package: False)
    distribution = QUANTIZATIONS[name].distribution
    with pytest.raises(
        MissingPackageError, match=f"{distribution} is not installed; pip install {distribution}"
    ):
        load_model("org/name", quantization=name)


def test_whether_a_package_is_there() -> None:
    found = [
        quantization._installed(name)
        for name in ("json", "json.decoder", "no_such_package", "no_such.package")
    ]
    assert found == [True, True, False, False]


def test_a_name_that_is_none(all_installed: None) -> None:
    with pytest.raises(ArgumentError, match="quantization='nf5': it is not a valid value; pass \"nf4\""):
        load_model("org/name", quantization="nf5")
    with pytest.raises(ValueError, match='"quanto-int4"'):
        load_model("org/name", quantization="no such thing")


@pytest.mark.parametrize("other", [{"quantization_config": {"load_in_4bit": True}}, {"load_in_8bit": True}])
def test_two_ways_at_once(other: dict[str, Any], all_installed: None) -> None:
    with pytest.raises(ArgumentError, match="is given as well"):
        load_model("org/name", quantization="nf4", **other)


def test_a_checkpoint_that_is_quantised_already(
    all_installed: None, checkpoints: Checkpoints, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoints("llama"), tmp_path / "quantised"))
    content = json.loads((folder / "config.json").read_text())
    content["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(QuantizationError, match=r"already quantised \(gptq\)"):
        load_model(folder, quantization="nf4")


@pytest.mark.parametrize(
    ("capability", "arguments", "expected"),
    [
        ((9, 0), {}, torch.bfloat16),
        ((7, 5), {}, torch.float16),
        ((9, 0), {"dtype": "float16"}, torch.float16),
        ((9, 0), {"dtype": None}, torch.bfloat16),
        ((7, 5), {"dtype": "auto"}, torch.float16),
    ],
)
def test_four_bits_compute_in_the_dtype_of_the_load(
    capability: tuple[int, int], arguments: dict[str, Any], expected: Any, all_installed: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    made: list[Any] = []
    fake(monkeypatch, lambda **keywords: made.append(keywords) or {})
    plan = plan_load("org/name", quantization="nf4", machine=cuda(capability=capability), **arguments)
    assert made == [{"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": expected}]
    assert plan.request.quantization == plan.to_dict()["quantization"] == "nf4"


def test_the_size_counts_as_quantised(
    all_installed: None, checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What decides whether one GPU is enough."""
    fake(monkeypatch, lambda **keywords: {})
    folder = checkpoints("llama")
    matrices = 2 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 32 * 64)  # of two layers, in weights
    sizes = {
        name: weight_bytes(plan_load(folder, quantization=name, machine=cuda()).request, cuda())
        for name in ("nf4", "int8")
    }
    plain = weight_bytes(plan_load(folder, machine=cuda()).request, cuda())
    assert plain is not None
    assert sizes == {"nf4": plain - matrices * 3 // 2, "int8": plain - matrices}


def test_a_way_that_needs_a_gpu_is_explained(
    all_installed: None, checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing:
        @staticmethod
        def from_pretrained(*args: Any, **keywords: Any) -> Any:
            raise RuntimeError("No GPU found. A GPU is needed for quantization.")

    with pytest.raises(QuantizationError, match="needs a GPU, but there is none") as caught:
        load_model(checkpoints("llama"), model_class=Refusing, device_map=None)
    assert isinstance(caught.value, RuntimeError)


@pytest.mark.parametrize("name", sorted(QUANTIZATIONS))
def test_a_real_quantised_load(name: str, checkpoints: Checkpoints) -> None:
    """Where the packages are: they are in no extra of ours."""
    if not quantization._installed(QUANTIZATIONS[name].package):
        pytest.skip(f"{QUANTIZATIONS[name].distribution} is not installed")
    seen: list[LoadReport] = []
    try:
        model = load_model(checkpoints("llama"), quantization=name, report=seen.append)
    except (QuantizationError, MissingPackageError) as error:
        pytest.skip(f"this release cannot do it here: {error}")
    report = report_of(model)
    assert report.warnings == ()
    assert report.requested["quantization"] == name
    assert report.effective["quantization"] in {"bitsandbytes", "torchao", "quanto"}
    plain = report_of(load_model(checkpoints("llama")))
    assert report.parameters == plain.parameters
    assert report.parameter_bytes < plain.parameter_bytes
    assert model(torch.tensor([[1, 2, 3]])).logits.shape == (1, 3, 264)


class Wrapped(torch.Tensor):
    """As torchao stores a weight: called bfloat16, kept as int8 with a scale."""

    @staticmethod
    def __new__(cls, codes: torch.Tensor, scale: torch.Tensor) -> Any:
        made = torch.Tensor._make_wrapper_subclass(cls, codes.shape, dtype=torch.bfloat16)
        made.codes, made.scale = codes, scale
        return made

    def __tensor_flatten__(self) -> Any:
        return ["codes", "scale"], None

    @classmethod
    def __torch_dispatch__(cls, *args: Any, **keywords: Any) -> Any:
        raise AssertionError("nothing is computed to count bytes")


def test_bytes_are_those_that_are_stored() -> None:
    wrapped = Wrapped(torch.zeros(8, 4, dtype=torch.int8), torch.ones(8, 1, dtype=torch.float32))
    assert stored.size(wrapped) == 8 * 4 + 8 * 4
    assert wrapped.numel() * wrapped.element_size() == 64  # what it is called would be
    assert stored.numbers(wrapped) == 32
    plain = torch.zeros(3, dtype=torch.float16)
    assert (stored.size(plain), stored.numbers(plain)) == (6, 3)
