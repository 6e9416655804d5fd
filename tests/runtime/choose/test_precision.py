"""bfloat16 if the hardware supports it, another dtype with a warning otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from telepathy_runtime.choose.precision import choose_dtype
from telepathy_runtime.machine.environment import Device, Machine
from tests.runtime.machines import CPU, cuda

OLD_MAC = Machine(accelerator="mps", devices=(Device("mps", 0),), bfloat16=False)
V100 = cuda(capability=(7, 0))


class TorchDtype:
    """A substitute for torch.bfloat16 without torch: it must not be a string."""

    def __repr__(self) -> str:
        return "torch.bfloat16"


@pytest.mark.parametrize(
    ("machine", "asked", "model_type", "expected", "warned"),
    [
        (CPU, "bfloat16", None, "bfloat16", False),
        (cuda(capability=(8, 0)), "bfloat16", None, "bfloat16", False),
        (V100, "bfloat16", "llama", "float16", True),
        (V100, "bfloat16", "t5", "float32", True),
        (V100, "bfloat16", "gemma2", "float32", True),
        (OLD_MAC, "bfloat16", None, "float16", True),
        (replace(OLD_MAC, bfloat16=True), "bfloat16", None, "bfloat16", False),
        (V100, TorchDtype(), None, "bfloat16", True),
        (CPU, TorchDtype(), None, "bfloat16", False),
        (V100, "float32", None, "float32", False),
        (CPU, "auto", None, "auto", False),
        (CPU, None, None, None, False),
        (CPU, "bf16", None, "bfloat16", False),
        (CPU, "torch.float16", None, "float16", False),
        (CPU, "half", None, "float16", False),
        (
            CPU,
            {"": "bfloat16", "vision_config": "float32"},
            None,
            {"": "bfloat16", "vision_config": "float32"},
            False,
        ),
    ],
)
def test_choice(machine: Machine, asked: Any, model_type: str | None, expected: Any, warned: bool) -> None:
    choice = choose_dtype(machine, asked, model_type=model_type)
    assert choice.value == expected
    assert bool(choice.warnings) == warned


def test_the_warning_names_the_gpu_and_what_it_lacks() -> None:
    said = choose_dtype(V100).warnings[0]
    assert "GPU 0 has compute capability 7.0, bfloat16 needs 8.0" in said
