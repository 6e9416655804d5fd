"""ZeRO-3 and FSDP seen through the objects that really announce them: accelerate's plugins, transformers' DeepSpeed config."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import transformers
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DeepSpeedPlugin, DistributedType, FullyShardedDataParallelPlugin
from accelerate.utils.deepspeed import HfDeepSpeedConfig
from transformers.integrations.deepspeed import set_hf_deepspeed_config, unset_hf_deepspeed_config

from telepathy_runtime import DeviceMapError, plan_load, resolve_device_map
from telepathy_runtime.machine import environment
from tests.runtime.conftest import Checkpoints


@pytest.fixture(autouse=True)
def fresh_accelerate() -> Iterator[None]:
    """accelerate keeps its state in classes and in the environment."""
    before = dict(os.environ)
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    unset_hf_deepspeed_config()
    AcceleratorState._reset_state(reset_partial_state=True)
    os.environ.clear()
    os.environ.update(before)


def transformers_config(stage: int) -> Any:
    """What transformers' own HfDeepSpeedConfig does once it has seen that deepspeed is installed."""
    config = HfDeepSpeedConfig({"zero_optimization": {"stage": stage}, "train_micro_batch_size_per_gpu": 1})
    set_hf_deepspeed_config(config)
    return config


def deepspeed_accelerator(stage: int) -> Any:
    """The state of an Accelerator(deepspeed_plugin=...), which itself can only be made where deepspeed is installed."""
    accelerator = Accelerator(cpu=True)
    plugin = DeepSpeedPlugin(zero_stage=stage)
    plugin._set_selected(True)
    for state in (PartialState, AcceleratorState):
        state._shared_state["distributed_type"] = DistributedType.DEEPSPEED
    AcceleratorState._shared_state["deepspeed_plugins"] = {"default": plugin}
    assert AcceleratorState().deepspeed_plugin is plugin
    return accelerator


def fsdp_accelerator() -> Any:
    """In one process accelerate shards nothing yet, and announces FSDP in the environment, as it does for children."""
    accelerator = Accelerator(cpu=True, fsdp_plugin=FullyShardedDataParallelPlugin())
    assert os.environ["ACCELERATE_USE_FSDP"] == "true"
    return accelerator


def fsdp_state() -> Any:
    """The live state of one of several processes: what is in it has to be enough, without the variable."""
    accelerator = fsdp_accelerator()
    for state in (PartialState, AcceleratorState):
        state._shared_state["distributed_type"] = DistributedType.FSDP
    del os.environ["ACCELERATE_USE_FSDP"]
    return accelerator


def announced_by_launch() -> None:
    """The variables of `accelerate launch --use_deepspeed --zero_stage 3`."""
    os.environ.update(ACCELERATE_USE_DEEPSPEED="true", ACCELERATE_DEEPSPEED_ZERO_STAGE="3")


CASES: dict[str, tuple[Callable[[], Any], str | None]] = {
    "transformers' ZeRO-3 config": (lambda: transformers_config(3), "zero3"),
    "transformers' ZeRO-2 config": (lambda: transformers_config(2), None),
    "accelerate's ZeRO-3 plugin": (lambda: deepspeed_accelerator(3), "zero3"),
    "accelerate's ZeRO-2 plugin": (lambda: deepspeed_accelerator(2), None),
    "accelerate's FSDP plugin": (fsdp_accelerator, "fsdp"),
    "accelerate's FSDP state": (fsdp_state, "fsdp"),
    "an Accelerator without either": (lambda: Accelerator(cpu=True), None),
    "accelerate launch announced it": (announced_by_launch, "zero3"),
    "nothing": (lambda: None, None),
}


@pytest.mark.parametrize(("set_up", "expected"), CASES.values(), ids=CASES)
def test_sharding(set_up: Callable[[], Any], expected: str | None, checkpoints: Checkpoints) -> None:
    kept = set_up()  # transformers holds its config weakly
    machine = environment.probe()
    assert machine.sharding == expected
    # As if eight GPUs were here: what decides is the sharding.
    gpus = tuple(environment.Device("cuda", index, capability=(9, 0)) for index in range(8))
    machine = dataclasses.replace(machine, accelerator="cuda", devices=gpus)
    chosen = plan_load(checkpoints("llama"), machine=machine).device_map.value
    assert chosen == (None if expected else "auto")
    del kept


def test_transformers_agrees_about_zero3(checkpoints: Checkpoints) -> None:
    """The counter-proof: in this state transformers refuses a device map, and the loader does with its reason."""
    kept = transformers_config(3)
    with pytest.raises(ValueError, match=r"(?i)zero-?3"):
        transformers.AutoModelForCausalLM.from_pretrained(checkpoints("llama"), device_map="cpu")
    with pytest.raises(
        DeviceMapError, match="device_map='cpu': DeepSpeed ZeRO-3 shards the weights while they load"
    ):
        plan_load(checkpoints("llama"), device_map="cpu")
    assert resolve_device_map() is None
    assert kept.is_zero3()
