"""Real processes of a launcher on the CPU: PyTorch's FSDP shards and gathers between them, with gloo.

Two things are not as on GPUs. The processes meet in a file, so that many scripts can run one after the other in one pair
of processes. And accelerate, which shards nothing on CPUs, is told that these are GPUs; the rest is its own code.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import torch

SIZE = 2
#: A process waits no longer for one whose script failed.
LONGEST = timedelta(seconds=60)


@contextlib.contextmanager
def launched(rank: int) -> Iterator[None]:
    """This process as one of torchrun's. `MEETING_FILE` in a script's environment is where its processes meet."""
    from accelerate.state import AcceleratorState, PartialState
    from accelerate.utils import DistributedType

    undo: list[tuple[Any, str, Any]] = []

    def patch(owner: Any, name: str, value: Any) -> Any:
        before = getattr(owner, name)
        undo.append((owner, name, before))
        setattr(owner, name, value)
        return before

    def init_process_group(backend: str | None = None, *_: Any, **__: Any) -> None:
        store = torch.distributed.FileStore(os.environ["MEETING_FILE"], SIZE)
        start_group("gloo", store=store, rank=rank, world_size=SIZE, timeout=LONGEST)

    def init_state(self: Any, *args: Any, **kwargs: Any) -> None:
        if os.environ.get("ACCELERATE_USE_FSDP") == "true":
            state = PartialState(cpu=True)
            if state.distributed_type == DistributedType.MULTI_CPU:
                told = {"distributed_type": DistributedType.MULTI_GPU, "device": torch.device("cpu")}
                PartialState._shared_state.update(told)
        start_state(self, *args, **kwargs)

    values = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": SIZE, "LOCAL_WORLD_SIZE": SIZE}
    os.environ.update({name: str(value) for name, value in values.items()})
    os.environ["TORCHELASTIC_RUN_ID"] = "two processes"
    start_group = patch(torch.distributed, "init_process_group", init_process_group)
    start_state = patch(AcceleratorState, "__init__", init_state)
    try:
        yield
    finally:
        for owner, name, before in reversed(undo):
            setattr(owner, name, before)
