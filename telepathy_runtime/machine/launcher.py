"""Detects the launcher of this process, and its rank; pure functions of the environment variables.

The local rank selects the device. It is never replaced by the global rank, which on a second node would
select a GPU that does not exist (huggingface/trl issue 3748). The hint that transformers prints is wrong
about this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from telepathy_runtime.errors import LauncherError

Sharding = Literal["zero3", "fsdp", "megatron", "tensor-parallel"]


@dataclass(frozen=True)
class Launcher:
    """`world_size` processes; this one has rank `rank`, and rank `local_rank` on its node (None: unknown)."""

    name: str = "none"
    world_size: int = 1
    rank: int = 0
    local_rank: int | None = 0
    local_size: int | None = 1

    @property
    def distributed(self) -> bool:
        return self.world_size > 1

    @property
    def binds_devices(self) -> bool:
        """Whether this launcher can give each process its own device, as srun and mpirun do if configured so."""
        return self.name in _BINDING

    def describe(self) -> str:
        if not self.distributed:
            return "one process" if self.name == "none" else f"one process ({self.name})"
        local = "unknown" if self.local_rank is None else str(self.local_rank)
        return f"{self.name}: process {self.rank} of {self.world_size}, local rank {local}"


@dataclass(frozen=True)
class _Variables:
    name: str
    world_size: str
    rank: str
    local_rank: str
    local_size: str | None


_TORCH = _Variables("torchrun", "WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
# mpirun starts its daemons with srun, so SLURM's variables then count the daemons: check MPI first. A process
# started with `srun --mpi=pmi2` has PMI_SIZE but no MPI local rank; then use SLURM's variables.
_OTHERS = (
    _Variables(
        "openmpi",
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
    ),
    _Variables(
        "mvapich2",
        "MV2_COMM_WORLD_SIZE",
        "MV2_COMM_WORLD_RANK",
        "MV2_COMM_WORLD_LOCAL_RANK",
        "MV2_COMM_WORLD_LOCAL_SIZE",
    ),
    _Variables("mpich", "PMI_SIZE", "PMI_RANK", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    # Only count the tasks of a *step*: a batch script of a job with 8 tasks has SLURM_NTASKS=8 but is one
    # process.
    _Variables("slurm", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_LOCALID", None),
)
_BINDING = {variables.name for variables in _OTHERS}
_LOCAL_RANKS = tuple(variables.local_rank for variables in (_TORCH, *_OTHERS))


def detect(environ: Mapping[str, str]) -> Launcher:
    """The launcher according to `environ`: torchrun (or anything that sets its variables), mpirun, srun, or none.

    Raises LauncherError if a variable is not a number or a rank is not below the world size.
    """
    if _TORCH.world_size in environ and (_TORCH.rank in environ or _TORCH.local_rank in environ):
        return _read(environ, _TORCH, _torch_style_name(environ))
    for variables in _OTHERS:
        if variables.world_size in environ and variables.local_rank in environ:
            return _read(environ, variables, variables.name)
    if "PMI_SIZE" in environ and "PMI_RANK" in environ:
        return _read(environ, _OTHERS[2], "pmi")
    return Launcher()


def _torch_style_name(environ: Mapping[str, str]) -> str:
    if any(name.startswith("ACCELERATE_") for name in environ):
        return "accelerate launch"
    if "TORCHELASTIC_RUN_ID" in environ:
        return "torchrun"
    if "CROSS_RANK" in environ:
        return "deepspeed"
    return "WORLD_SIZE"


def _read(environ: Mapping[str, str], variables: _Variables, name: str) -> Launcher:
    world_size = _number(environ, variables.world_size)
    if world_size is None or world_size < 1:
        raise _misread(variables.world_size, environ)
    local_rank = _number(environ, variables.local_rank)
    if local_rank is None:
        # A script may set WORLD_SIZE and RANK itself under srun or mpirun; the local rank then comes from
        # them.
        known = [_number(environ, other) for other in _LOCAL_RANKS if other in environ]
        local_rank = known[0] if known else (0 if world_size == 1 else None)
    rank = _number(environ, variables.rank)
    if rank is None:
        rank = local_rank or 0
    if not 0 <= rank < world_size:
        raise _misread(variables.rank, environ, f"outside a world of {world_size}")
    if local_rank is not None and not 0 <= local_rank < world_size:
        raise _misread(variables.local_rank, environ, f"outside a world of {world_size}")
    local_size = _number(environ, variables.local_size) if variables.local_size else None
    return Launcher(name, world_size, rank, local_rank, local_size)


def _number(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name, "").strip()
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise _misread(name, environ) from None


def _misread(name: str, environ: Mapping[str, str], what: str = "not a usable number") -> LauncherError:
    return LauncherError(
        f"reading the launcher from {name}",
        f"{name}={environ.get(name)!r} is {what}",
        f"unset or correct {name}",
    )


def sharding(environ: Mapping[str, str]) -> Sharding | None:
    """The sharding that `accelerate launch` or the Trainer set in the environment, which then places the weights."""
    if _true(environ, "ACCELERATE_USE_DEEPSPEED") and _zero_stage(environ) == 3:
        return "zero3"
    if _true(environ, "ACCELERATE_USE_FSDP"):
        return "fsdp"
    if _true(environ, "ACCELERATE_USE_MEGATRON_LM"):
        return "megatron"
    return None


def _true(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").strip().lower() in {"1", "true", "yes", "on", "y", "t"}


def _zero_stage(environ: Mapping[str, str]) -> int | None:
    config = environ.get("ACCELERATE_DEEPSPEED_CONFIG_FILE", "none")
    if config.lower() not in {"", "none"}:
        return zero_stage_of_file(config)
    stage = environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE", "")
    return int(stage) if stage.isdigit() else None


def zero_stage_of_file(path: str) -> int | None:
    """The ZeRO stage in a DeepSpeed JSON config; None if it is not set or the file cannot be read."""
    import json
    from pathlib import Path

    try:
        stage = json.loads(Path(path).read_text(encoding="utf-8"))["zero_optimization"]["stage"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return stage if isinstance(stage, int) else None
