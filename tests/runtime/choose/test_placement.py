"""The device map for each kind of machine and launcher, all of them simulated."""

from __future__ import annotations

from typing import Any

import pytest

from telepathy_runtime.choose.choice import Choice
from telepathy_runtime.choose.placement import choose_device_map
from telepathy_runtime.errors import DeviceMapError
from telepathy_runtime.machine.environment import Device, Machine
from telepathy_runtime.machine.launcher import Launcher
from tests.runtime.machines import CPU, GIB, cuda

MPS = Machine(accelerator="mps", devices=(Device("mps", 0),))
XPU = Machine(accelerator="xpu", devices=(Device("xpu", 0, total_bytes=16 * GIB),))
# Six processes on each node of eight GPUs: no arithmetic on the global rank happens to give the local one.
NODE_2 = Launcher("torchrun", world_size=12, rank=7, local_rank=1, local_size=6)

CASES: dict[str, tuple[Machine, dict[str, Any], Any]] = {
    "cpu": (CPU, {}, None),
    "cpu, two processes (gloo)": (Machine(launcher=Launcher("torchrun", 2, 1, 1, 2)), {}, None),
    "one GPU, weights fit": (cuda(free=80 * GIB), {"weight_bytes": 16 * GIB}, {"": 0}),
    "one GPU, size unknown": (cuda(), {}, "auto"),
    "one GPU, offload": (cuda(), {"weight_bytes": 1, "offload": True}, "auto"),
    "one GPU, room for the largest layer too": (cuda(free=10 * GIB), {"weight_bytes": 9 * GIB // 2}, {"": 0}),
    "one GPU, perhaps no room for it": (cuda(free=10 * GIB), {"weight_bytes": 9 * GIB // 2 + 1}, "auto"),
    "one GPU, exactly at the share that auto would use": (
        cuda(free=10 * GIB),
        {"weight_bytes": 9 * GIB},
        "auto",
    ),
    "one GPU, one byte too many": (cuda(free=10 * GIB), {"weight_bytes": 9 * GIB + 1}, "auto"),
    "one GPU and max_memory": (cuda(), {"weight_bytes": 1, "max_memory": {0: "4GiB"}}, "auto"),
    "two GPUs": (cuda(2), {"weight_bytes": GIB}, "auto"),
    "mps": (MPS, {"weight_bytes": 99 * GIB}, {"": "mps"}),
    "mps and max_memory": (MPS, {"weight_bytes": 1, "max_memory": {"mps": "4GiB"}}, "auto"),
    "mps, offload": (MPS, {"weight_bytes": 1, "offload": True}, "auto"),
    "xpu": (XPU, {"weight_bytes": GIB}, {"": "xpu:0"}),
    "second node: local rank, not global": (cuda(8, launcher=NODE_2), {}, {"": "cuda:1"}),
    "launcher that binds: every process sees one": (
        cuda(1, launcher=Launcher("slurm", 16, 11, 3, None)),
        {},
        {"": "cuda:0"},
    ),
    "xpu, distributed": (
        Machine(accelerator="xpu", devices=tuple(Device("xpu", i) for i in range(8)), launcher=NODE_2),
        {},
        {"": "xpu:1"},
    ),
    "mps, distributed": (Machine(accelerator="mps", devices=MPS.devices, launcher=NODE_2), {}, {"": "mps"}),
    "ZeRO-3": (cuda(8, launcher=NODE_2, sharding="zero3"), {}, None),
    "FSDP": (cuda(8, launcher=NODE_2, sharding="fsdp"), {}, None),
    "FSDP, one process": (cuda(1, sharding="fsdp"), {}, None),
    "Megatron": (cuda(8, launcher=NODE_2, sharding="megatron"), {}, None),
    "tensor parallel": (cuda(8, launcher=NODE_2), {"tensor_parallel": True}, None),
    "explicit": (cuda(2), {"asked": "balanced"}, "balanced"),
    "explicit under FSDP": (cuda(2, sharding="fsdp"), {"asked": {"": 0}}, {"": 0}),
    "left to transformers": (cuda(2), {"asked": None}, None),
}


@pytest.mark.parametrize(("machine", "arguments", "expected"), CASES.values(), ids=CASES)
def test_choice(machine: Machine, arguments: dict[str, Any], expected: Any) -> None:
    choice = choose_device_map(machine, **arguments)
    assert choice.value == expected
    assert choice.because


def warning(choice: Choice[Any]) -> str:
    assert len(choice.warnings) == 1, choice
    return choice.warnings[0]


def test_a_spill_is_announced_with_its_size() -> None:
    said = warning(choose_device_map(cuda(free=10 * GIB), weight_bytes=16 * GIB))
    assert "7.00 GiB of 16.00 GiB" in said
    assert "spill to CPU memory or disk" in said


def test_unknown_local_rank_is_never_the_global_one() -> None:
    choice = choose_device_map(cuda(8, launcher=Launcher("pmi", 16, 11, None, None)))
    assert choice.value == {"": "cuda:3"}
    assert "LOCAL_RANK" in warning(choice)


def test_more_processes_than_gpus_is_said() -> None:
    choice = choose_device_map(cuda(2, launcher=Launcher("torchrun", 4, 3, 3, 4)))
    assert choice.value == {"": "cuda:1"}
    assert "4 processes on this node see 2 cuda devices" in warning(choice)
    assert not choose_device_map(cuda(1, launcher=Launcher("openmpi", 4, 3, 3, 4))).warnings


def test_auto_in_several_processes_is_kept_and_said() -> None:
    choice = choose_device_map(cuda(8, launcher=NODE_2), "auto")
    assert choice.value == "auto"
    assert "12 processes" in warning(choice)


@pytest.mark.parametrize("asked", ["auto", {"": 0}, 0, "cuda"])
def test_explicit_map_under_zero3_is_an_error(asked: Any) -> None:
    with pytest.raises(DeviceMapError, match="ZeRO-3"):
        choose_device_map(cuda(sharding="zero3"), asked)
    # transformers takes tp_plan="auto" beside a map where nothing is distributed: the refusal is its own.
    assert choose_device_map(cuda(), asked, tensor_parallel=True).value == asked


def test_a_mac_that_is_too_small_is_warned_of() -> None:
    """Metal never refuses an allocation, but swaps."""
    mac = Machine(accelerator="mps", devices=(Device("mps", 0, total_bytes=10 * GIB),))
    assert not choose_device_map(mac, weight_bytes=9 * GIB).warnings
    choice = choose_device_map(mac, weight_bytes=9 * GIB + 1)
    assert choice.value == {"": "mps"}
    assert "9.00 GiB that Metal recommends" in choice.warnings[0]
