"""Several processes for real, on gloo: torchrun, accelerate launch, and two nodes on one machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import telepathy_runtime
from telepathy_runtime import load_model
from telepathy_runtime.machine import environment
from tests.runtime.conftest import Checkpoints

ROOT = Path(telepathy_runtime.__file__).parent.parent
WORKER = str(ROOT / "tests" / "runtime" / "worker.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
ACCELERATE = [sys.executable, "-m", "accelerate.commands.launch"]


def free_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return str(taken.getsockname()[1])


def run(commands: list[list[str]], out: Path) -> list[dict[str, Any]]:
    """Run the commands side by side; the lines that their processes wrote, by global rank."""
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
    }
    running = [
        subprocess.Popen(
            command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for command in commands
    ]
    try:
        for process in running:
            output, _ = process.communicate(timeout=600)
            assert process.returncode == 0, output[-4000:]
    finally:
        for process in running:
            process.kill()
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    return sorted(lines, key=lambda line: int(line["rank"]))


def check_trained_together(lines: list[dict[str, Any]]) -> None:
    """Different batches, so different losses; averaged gradients, so equal ones."""
    assert lines[0]["loss"] != lines[1]["loss"]
    assert lines[0]["gradient"] == pytest.approx(lines[1]["gradient"])
    assert lines[0]["gradient"] > 0


@pytest.mark.slow
def test_torchrun(checkpoints: Checkpoints, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    command = [*TORCHRUN, "--nproc_per_node", "2", "--master_port", free_port(), WORKER]
    lines = run([[*command, str(checkpoints("llama")), str(out), "ddp"]], out)
    assert [line["launcher"] for line in lines] == ["torchrun", "torchrun"]
    assert [(line["rank"], line["local_rank"]) for line in lines] == [(0, 0), (1, 1)]
    assert [line["with_gpus"] for line in lines] == [{"": "cuda:0"}, {"": "cuda:1"}]
    assert {line["device"] for line in lines} == {"cpu"}
    assert [line["group"] for line in lines] == [
        f"torch.distributed: process {rank} of 2, local rank unknown" for rank in (0, 1)
    ]
    check_trained_together(lines)
    # Both processes appended to one report file, a whole line each.
    reports = [json.loads(line) for line in Path(f"{out}.reports").read_text().splitlines()]
    assert [report["effective"]["dtype"] for report in reports] == ["float32", "float32"]


@pytest.mark.slow
def test_accelerate_launch(checkpoints: Checkpoints, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    # --multi_gpu is what starts several processes; the worker's Accelerator(cpu=True) keeps them on the CPU.
    command = [
        *ACCELERATE,
        "--multi_gpu",
        "--num_processes",
        "2",
        "--num_machines",
        "1",
        "--mixed_precision",
        "no",
    ]
    command += ["--dynamo_backend", "no", "--main_process_port", free_port(), WORKER]
    lines = run([[*command, str(checkpoints("llama")), str(out), "accelerate"]], out)
    assert [line["launcher"] for line in lines] == ["accelerate launch", "accelerate launch"]
    assert [line["with_gpus"] for line in lines] == [{"": "cuda:0"}, {"": "cuda:1"}]
    assert [line["here"] for line in lines] == [None, None]
    check_trained_together(lines)


@pytest.mark.slow
def test_two_nodes_of_one_process(checkpoints: Checkpoints, tmp_path: Path) -> None:
    """Global rank 1 is local rank 0 of the second node: it gets that node's first GPU, not its second."""
    out, port = tmp_path / "out.jsonl", free_port()
    where = ["--nproc_per_node", "1", "--master_addr", "127.0.0.1", "--master_port", port]
    work = [WORKER, str(checkpoints("llama")), str(out), "ddp"]
    commands = [[*TORCHRUN, "--nnodes", "2", "--node_rank", node, *where, *work] for node in ("0", "1")]
    lines = run(commands, out)
    assert [(line["rank"], line["local_rank"]) for line in lines] == [(0, 0), (1, 0)]
    assert [line["with_gpus"] for line in lines] == [{"": "cuda:0"}, {"": "cuda:0"}]
    check_trained_together(lines)


@pytest.mark.parametrize(
    "environ",
    [
        {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"},
        {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_LOCAL_RANK": "1"},
        {"PMI_SIZE": "4", "PMI_RANK": "3", "MPI_LOCALRANKID": "1"},
    ],
    ids=["srun", "mpirun", "mpiexec"],
)
def test_a_load_under_other_launchers(
    environ: dict[str, str], checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As srun and mpirun start a process: without torch's variables, and with no process group yet."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    machine = environment.probe()
    assert (machine.launcher.world_size, machine.launcher.rank, machine.launcher.local_rank) == (4, 3, 1)
    model = load_model(checkpoints("llama"))
    if machine.accelerator == "cpu":
        assert str(model.device) == "cpu"
