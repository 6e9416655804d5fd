"""What PyTorch does between the copies of a model on a machine that is not here (tests/runtime/pretended.py)."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch.nn.parallel import _functions, comm


class _Stream(contextlib.nullcontext[None]):
    """A stream that is always done."""

    def is_capturing(self) -> bool:
        return False

    def wait_stream(self, other: Any) -> None: ...


def _on(device: Any) -> torch.device:
    return torch.device("cuda", device) if isinstance(device, int) else torch.device(device)


def broadcast_coalesced(
    tensors: Sequence[torch.Tensor], devices: Sequence[Any], *_: Any
) -> list[list[torch.Tensor]]:
    return [[each.to(_on(device)) for each in tensors] for device in devices]


def reduce_add_coalesced(
    inputs: Sequence[Sequence[torch.Tensor]], destination: Any = 0, *_: Any
) -> tuple[torch.Tensor, ...]:
    summed = []
    for parts in zip(*inputs, strict=True):
        total = parts[0].to(_on(destination))
        for part in parts[1:]:
            total = total + part.to(_on(destination))
        summed.append(total)
    return tuple(summed)


def scatter(
    tensor: torch.Tensor, devices: Sequence[Any], chunk_sizes: Any = None, dim: int = 0, *_: Any, **__: Any
) -> Any:
    chunks = tensor.chunk(len(devices), dim) if chunk_sizes is None else tensor.split(chunk_sizes, dim)
    return tuple(chunk.to(_on(device)) for chunk, device in zip(chunks, devices, strict=False))


def gather(tensors: Sequence[torch.Tensor], dim: int = 0, destination: Any = None, **_: Any) -> torch.Tensor:
    target = torch.device("cpu") if destination in (None, -1, "cpu") else _on(destination)
    return torch.cat([each.to(target) for each in tensors], dim)


def data_parallel(patch: Any, placing: Any) -> None:
    """Copies and sums are made in the memory of the CPU; each says on which GPU it would lie.

    `placing` is the mode that notes places. It is off during a backward pass, in which these functions are called too.
    """

    def noted(function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            with placing:
                return function(*args, **kwargs)

        return call

    for function in (broadcast_coalesced, reduce_add_coalesced, scatter, gather):
        patch(comm, function.__name__, noted(function))
    # The gradient of a gathered output is scattered, on streams unless this is said here.
    patch(
        _functions,
        "Scatter",
        SimpleNamespace(apply=lambda gpus, sizes, dim, tensor: noted(scatter)(tensor, gpus, sizes, dim)),
    )
    patch(torch.accelerator, "is_available", lambda: True)
    patch(torch.accelerator, "current_accelerator", lambda check_available=False: torch.device("cuda"))
    patch(torch.accelerator, "current_stream", lambda device=None: _Stream())
    patch(torch.accelerator, "device_index", lambda device: contextlib.nullcontext())


def distributed_data_parallel(patch: Any) -> None:
    """The other processes have the same gradients, so that their mean is that of this process."""
    cls = torch.nn.parallel.DistributedDataParallel
    start = cls.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        start(self, *args, **kwargs)
        self.register_comm_hook(None, lambda state, bucket: _done(bucket))

    patch(cls, "__init__", init)


def _done(bucket: torch.distributed.GradBucket) -> torch.futures.Future[torch.Tensor]:
    done: torch.futures.Future[torch.Tensor] = torch.futures.Future()
    done.set_result(bucket.buffer())
    return done
