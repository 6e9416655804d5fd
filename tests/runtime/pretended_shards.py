"""FSDP in one of several processes on a machine that is not here (tests/runtime/pretended.py).

While a process computes, it has the whole weights of a layer on its GPU. Here it has them all the time, and the other
processes are taken to have the same gradients. What FSDP refuses when it wraps a model is refused. How weights are
cut and gathered is PyTorch's own code only between real processes (tests/runtime/two_processes.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.distributed import fsdp
from torch.distributed.fsdp import fully_sharded_data_parallel as module_of_the_class


class WholeModel(torch.nn.Module):
    """A model on the GPU of its process, under the names that FSDP's wrapper has."""

    def __init__(
        self,
        module: torch.nn.Module,
        *_: Any,
        device_id: Any = None,
        sync_module_states: bool = False,
        param_init_fn: Callable[[torch.nn.Module], object] | None = None,
        **__: Any,
    ) -> None:
        super().__init__()
        found = {each.device for each in module.parameters()}
        if len(found - {torch.device("meta")}) > 1:
            raise RuntimeError(f"FSDP only supports single device modules but got params on {found}")
        device = next(iter(found)) if device_id is None else torch.device("cuda", _number(device_id))
        if others := found - {torch.device("cpu"), torch.device("meta"), device}:
            raise ValueError(f"Inconsistent compute device and `device_id`: {others} vs {device}")
        if torch.device("meta") in found:
            if param_init_fn is None or not sync_module_states:
                raise RuntimeError("FSDP does not know the weights of a module on the meta device")
            for each in module.modules():
                param_init_fn(each)
        self._fsdp_wrapped_module = module.to(device)

    @property
    def module(self) -> torch.nn.Module:
        return self._fsdp_wrapped_module

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("_fsdp_wrapped_module"), name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._fsdp_wrapped_module(*args, **kwargs)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return self._fsdp_wrapped_module.state_dict(*args, **kwargs)

    def clip_grad_norm_(self, max_norm: float, norm_type: float = 2.0) -> torch.Tensor:
        return torch.nn.utils.clip_grad_norm_(self.parameters(), max_norm, norm_type)

    @staticmethod
    def fsdp_modules(module: torch.nn.Module, root_only: bool = False) -> list[torch.nn.Module]:
        return [each for each in module.modules() if isinstance(each, WholeModel)]

    @staticmethod
    def set_state_dict_type(*_: Any, **__: Any) -> None: ...

    @staticmethod
    @contextlib.contextmanager
    def state_dict_type(*_: Any, **__: Any) -> Iterator[None]:
        yield

    summon_full_params = state_dict_type


def _number(device: Any) -> int:
    return device if isinstance(device, int) else torch.device(device).index or 0


def fully_sharded(patch: Any) -> None:
    for owner in (fsdp, module_of_the_class):
        patch(owner, "FullyShardedDataParallel", WholeModel)
