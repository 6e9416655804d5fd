"""Which launcher, which process, which local rank: from variables as the launchers set them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from telepathy_runtime.errors import LauncherError
from telepathy_runtime.machine import launcher
from telepathy_runtime.machine.launcher import Launcher

TORCHRUN = {
    "WORLD_SIZE": "16",
    "RANK": "11",
    "LOCAL_RANK": "3",
    "LOCAL_WORLD_SIZE": "8",
    "TORCHELASTIC_RUN_ID": "x",
}
SRUN = {
    "SLURM_JOB_ID": "7",
    "SLURM_NTASKS": "16",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "16",
    "SLURM_PROCID": "11",
    "SLURM_LOCALID": "3",
}
SBATCH = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "16", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
MPIRUN = {
    "OMPI_COMM_WORLD_SIZE": "16",
    "OMPI_COMM_WORLD_RANK": "11",
    "OMPI_COMM_WORLD_LOCAL_RANK": "3",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "8",
}
INTEL = {"PMI_SIZE": "16", "PMI_RANK": "11", "MPI_LOCALRANKID": "3", "MPI_LOCALNRANKS": "8"}

CASES = {
    "nothing": ({}, Launcher()),
    "torchrun on the second node": (TORCHRUN, Launcher("torchrun", 16, 11, 3, 8)),
    "accelerate": (
        {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1", "ACCELERATE_MIXED_PRECISION": "no"},
        Launcher("accelerate launch", 2, 1, 1, None),
    ),
    "deepspeed": (
        {
            "WORLD_SIZE": "16",
            "RANK": "11",
            "LOCAL_RANK": "3",
            "CROSS_RANK": "1",
            "CROSS_SIZE": "2",
            "LOCAL_SIZE": "8",
        },
        Launcher("deepspeed", 16, 11, 3, None),
    ),
    "srun": (SRUN, Launcher("slurm", 16, 11, 3, None)),
    "batch script of a job with 16 tasks": (SBATCH, Launcher()),
    "srun of one task": (
        {**SRUN, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"},
        Launcher("slurm"),
    ),
    "mpirun": (MPIRUN, Launcher("openmpi", 16, 11, 3, 8)),
    "mpirun inside SLURM, whose step counts daemons": (
        {**SRUN, **MPIRUN, "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "0"},
        Launcher("openmpi", 16, 11, 3, 8),
    ),
    "intel mpi": (INTEL, Launcher("mpich", 16, 11, 3, 8)),
    "mvapich2": (
        {"MV2_COMM_WORLD_SIZE": "4", "MV2_COMM_WORLD_RANK": "2", "MV2_COMM_WORLD_LOCAL_RANK": "0"},
        Launcher("mvapich2", 4, 2, 0, None),
    ),
    "srun --mpi=pmi2": ({**SRUN, "PMI_SIZE": "16", "PMI_RANK": "11"}, Launcher("slurm", 16, 11, 3, None)),
    "pmi alone says no local rank": (
        {"PMI_SIZE": "16", "PMI_RANK": "11"},
        Launcher("pmi", 16, 11, None, None),
    ),
    "torchrun inside srun": ({**SRUN, **TORCHRUN, "SLURM_LOCALID": "0"}, Launcher("torchrun", 16, 11, 3, 8)),
    "script under srun that sets RANK itself": (
        {**SRUN, "WORLD_SIZE": "16", "RANK": "11"},
        Launcher("WORLD_SIZE", 16, 11, 3, None),
    ),
    "RANK alone, nobody knows the local one": (
        {"WORLD_SIZE": "16", "RANK": "11"},
        Launcher("WORLD_SIZE", 16, 11, None, None),
    ),
    "world of one": ({"WORLD_SIZE": "1", "RANK": "0"}, Launcher("WORLD_SIZE", 1, 0, 0, None)),
    "WORLD_SIZE alone is no launcher": ({"WORLD_SIZE": "4"}, Launcher()),
}
# One process of one task has local size None or 1; what matters is that it is not distributed.
CASES["srun of one task"] = (CASES["srun of one task"][0], Launcher("slurm", 1, 0, 0, None))


@pytest.mark.parametrize(("environ", "expected"), CASES.values(), ids=CASES)
def test_detect(environ: dict[str, str], expected: Launcher) -> None:
    assert launcher.detect(environ) == expected


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({**TORCHRUN, "WORLD_SIZE": "many"}, "WORLD_SIZE"),
        ({**TORCHRUN, "WORLD_SIZE": "0"}, "WORLD_SIZE"),
        ({**TORCHRUN, "LOCAL_RANK": "x"}, "LOCAL_RANK"),
        ({**TORCHRUN, "RANK": "16"}, "RANK"),
        ({**TORCHRUN, "LOCAL_RANK": "-1"}, "LOCAL_RANK"),
    ],
)
def test_nonsense_is_refused_by_name(environ: dict[str, str], named: str) -> None:
    with pytest.raises(LauncherError, match=named) as caught:
        launcher.detect(environ)
    assert environ[named] in str(caught.value)


DEEPSPEED = {"ACCELERATE_USE_DEEPSPEED": "true"}


def test_sharding_from_the_environment(tmp_path: Path) -> None:
    config = tmp_path / "ds.json"
    config.write_text(json.dumps({"zero_optimization": {"stage": 3}}))
    damaged = tmp_path / "damaged.json"
    damaged.write_text("{")
    file = {"ACCELERATE_DEEPSPEED_CONFIG_FILE": str(config)}
    assert launcher.sharding({}) is None
    assert launcher.sharding({**DEEPSPEED, "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3"}) == "zero3"
    assert launcher.sharding({**DEEPSPEED, "ACCELERATE_DEEPSPEED_ZERO_STAGE": "2"}) is None
    assert launcher.sharding({**DEEPSPEED, "ACCELERATE_DEEPSPEED_ZERO_STAGE": "2", **file}) == "zero3"
    assert launcher.sharding({**DEEPSPEED, "ACCELERATE_DEEPSPEED_CONFIG_FILE": str(damaged)}) is None
    assert (
        launcher.sharding({"ACCELERATE_USE_DEEPSPEED": "false", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3"})
        is None
    )
    assert launcher.sharding({"ACCELERATE_USE_FSDP": "True"}) == "fsdp"
    assert launcher.sharding({"ACCELERATE_USE_MEGATRON_LM": "1"}) == "megatron"
