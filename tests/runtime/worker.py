"""Run by a launcher in every process: loads for real, trains a step on gloo, and writes down what it saw.

torchrun --nproc_per_node 2 tests/runtime/worker.py CHECKPOINT OUT.jsonl ddp
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

from telepathy_runtime import LoadReport, load_model, plan_load, resolve_device_map
from telepathy_runtime.machine import environment
from telepathy_runtime.machine.environment import Device


def train_ddp(model: Any, batch: dict[str, Any]) -> float:
    torch.distributed.init_process_group("gloo")
    wrapped = torch.nn.parallel.DistributedDataParallel(model)
    loss = wrapped(**batch).loss
    loss.backward()
    return float(loss)


def train_accelerate(model: Any, batch: dict[str, Any]) -> float:
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    loss = wrapped(**batch).loss
    accelerator.backward(loss)
    optimizer.step()
    return float(loss)


def main(checkpoint: str, out: str, way: str) -> None:
    machine = environment.probe()
    # As if this node had eight GPUs: which of them would be this process's own?
    gpus = tuple(Device("cuda", index, capability=(9, 0)) for index in range(8))
    with_gpus = dataclasses.replace(machine, accelerator="cuda", devices=gpus)
    model = load_model(checkpoint, dtype="float32", report=f"{out}.reports")
    ids = torch.tensor([[int(os.environ["RANK"]) + 1, 2, 3, 4]])
    batch = {"input_ids": ids, "labels": ids}
    loss = (train_ddp if way == "ddp" else train_accelerate)(model, batch)
    gradient = next(parameter.grad for parameter in model.parameters() if parameter.grad is not None)
    seen = {
        "launcher": machine.launcher.name,
        "world_size": machine.launcher.world_size,
        "rank": machine.launcher.rank,
        "local_rank": machine.launcher.local_rank,
        "here": resolve_device_map(),
        "with_gpus": plan_load(checkpoint, machine=with_gpus).device_map.value,
        "loss": loss,
        "gradient": float(gradient.double().abs().sum()),
        "device": str(model.device),
        "reported": LoadReport.of(model) is not None,
    }
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        os.environ.pop(name, None)
    seen["group"] = environment.probe().launcher.describe()  # only the running process group is left to tell
    with Path(out).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(seen) + "\n")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
