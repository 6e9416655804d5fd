"""What only a real GPU can show. `pytest -m gpu`; skipped where there is none."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import telepathy_runtime
from telepathy_runtime import AttentionError, LoadReport, load_model, resolve_device_map, resolve_dtype
from tests.runtime.conftest import Checkpoints

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
ROOT = Path(telepathy_runtime.__file__).parent.parent


def installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def report_of(model: Any) -> LoadReport:
    report = LoadReport.of(model)
    assert report is not None
    return report


def test_the_weights_are_on_the_gpu_and_counted(checkpoints: Checkpoints) -> None:
    report = report_of(load_model(checkpoints("llama")))
    assert set(report.bytes_by_device) <= {f"cuda:{index}" for index in range(torch.cuda.device_count())}
    assert sum(report.device_bytes.values()) >= report.parameter_bytes
    assert not report.warnings


@pytest.mark.skipif(torch.cuda.device_count() != 1, reason="for one GPU")
def test_one_gpu_gets_the_whole_model(checkpoints: Checkpoints) -> None:
    assert resolve_device_map(checkpoints("llama")) == {"": 0}
    assert report_of(load_model(checkpoints("llama"))).effective["device_map"] in ("0", "cuda:0")


def test_bfloat16_by_capability() -> None:
    expected = torch.bfloat16 if torch.cuda.get_device_capability() >= (8, 0) else torch.float16
    assert resolve_dtype() is expected


def test_sdpa_and_eager_agree_on_the_gpu(checkpoints: Checkpoints) -> None:
    ids = torch.tensor([[1, 2, 3, 4]], device="cuda")
    logits = []
    for name in ("sdpa", "eager"):
        model = load_model(checkpoints("llama"), dtype="float32", attn_implementation=name)
        assert report_of(model).effective["attn_implementation"] == name
        with torch.no_grad():
            logits.append(model(ids).logits)
    torch.testing.assert_close(logits[0], logits[1], atol=1e-3, rtol=1e-3)


@pytest.mark.skipif(not installed("flash-attn"), reason="flash-attn is not installed")
def test_flash_attention_2_is_chosen_and_runs(checkpoints: Checkpoints) -> None:
    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("capability below 8.0")
    model = load_model(checkpoints("llama"))
    assert str(report_of(model).effective["attn_implementation"]).startswith("flash_attention_")
    with torch.no_grad():
        assert torch.isfinite(model(torch.tensor([[1, 2, 3, 4]], device="cuda")).logits).all()


@pytest.mark.skipif(installed("flash-attn") or installed("kernels"), reason="for a machine without them")
def test_flash_attention_by_name_without_its_package(checkpoints: Checkpoints) -> None:
    with pytest.raises(AttentionError, match="package flash-attn is not installed"):
        load_model(checkpoints("llama"), attn_implementation="flash_attention_2")


def test_flash_attention_refuses_float32_by_name(checkpoints: Checkpoints) -> None:
    with pytest.raises(AttentionError):
        load_model(checkpoints("llama"), attn_implementation="flash_attention_2", dtype="float32")


def test_a_spill_to_the_cpu_is_reported(checkpoints: Checkpoints) -> None:
    model = load_model(checkpoints("llama"), device_map="auto", max_memory={0: 40_000, "cpu": "1GiB"})
    assert any("spilled" in warning for warning in report_of(model).warnings)


def test_planning_with_four_nones_does_not_start_cuda(checkpoints: Checkpoints) -> None:
    code = (
        "import torch, telepathy_runtime as t\n"
        f"t.load_model({str(checkpoints('llama'))!r}, dtype=None, device_map=None, attn_implementation=None, "
        "generation_config=None)\nprint(torch.cuda.is_initialized())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.stdout.split()[-1] == "False", done.stderr
