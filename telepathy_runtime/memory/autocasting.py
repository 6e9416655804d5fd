"""Autocast for the tracer: PyTorch's own does not act on the meta device, so its casts are repeated here.

CUDA's autocast runs products in 16 bits and some other functions in float32. It keeps the 16-bit copy of each trained
weight until its context ends. The functions are replaced by ones that cast first; what they save for the backward follows
from that. `tests/runtime/memory/test_mixed.py` compares the result with PyTorch's autocast on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

functional, tensor = torch.nn.functional, torch.Tensor
HALF = (
    *(
        (functional, name)
        for name in ("linear", "conv1d", "conv2d", "conv3d", "scaled_dot_product_attention")
    ),
    *((torch, name) for name in ("matmul", "mm", "bmm", "addmm", "baddbmm", "einsum", "conv1d", "conv2d")),
    *((tensor, name) for name in ("matmul", "__matmul__", "mm", "bmm")),
)
"""Functions that autocast runs in 16 bits."""
SINGLE = (
    *((functional, name) for name in ("layer_norm", "group_norm", "cosine_similarity", "cross_entropy")),
    *((torch, name) for name in ("pow", "rsqrt", "exp", "log", "reciprocal")),
    *((tensor, name) for name in ("pow", "__pow__", "rsqrt", "exp", "log", "reciprocal")),
    (torch.linalg, "norm"),
)
"""Functions that autocast runs in float32."""
ANY = (
    *((functional, name) for name in ("softmax", "log_softmax")),
    *((torch, name) for name in ("softmax", "log_softmax", "sum", "cumsum", "prod")),
    *((tensor, name) for name in ("softmax", "log_softmax", "sum", "cumsum", "prod")),
)
"""Functions that autocast gives dtype=float32, if the call has no dtype."""


class _Casts:
    """Whether autocast is on, in which dtype, and the copies of trained weights that it keeps."""

    def __init__(self) -> None:
        self._dtypes: list[torch.dtype | None] = []
        self._repeated: torch.dtype | None = None
        self._copies: dict[int, torch.Tensor] = {}

    @property
    def dtype(self) -> torch.dtype | None:
        """None while autocast is off. A forward that checkpointing repeats in the backward is as it was at first."""
        if self._dtypes:
            return self._dtypes[-1]
        return self._repeated if torch._C._current_graph_task_id() != -1 else None

    @contextmanager
    def context(self, dtype: torch.dtype | None) -> Iterator[None]:
        """Autocast to `dtype`, or none at all."""
        self._dtypes.append(dtype)
        self._repeated = dtype or self._repeated
        try:
            yield
        finally:
            self._dtypes.pop()
            if not self._dtypes:
                self._copies.clear()

    def cast(self, value: Any, dtype: torch.dtype) -> Any:
        """The value in `dtype`, if it is a tensor that autocast converts."""
        if isinstance(value, (list, tuple)):
            return type(value)(self.cast(each, dtype) for each in value)
        if (
            not isinstance(value, torch.Tensor)
            or not value.is_floating_point()
            or value.device.type != "meta"
            or value.dtype in (dtype, torch.float64)
        ):
            return value
        trained = value.is_leaf and value.requires_grad and not value._is_view()
        if not (trained and value.dtype == torch.float32 and self._dtypes):
            return value.to(dtype)
        if id(value) not in self._copies:
            self._copies[id(value)] = value.to(dtype)
        return self._copies[id(value)]


@contextmanager
def autocast_on_meta() -> Iterator[None]:
    """Let `torch.autocast` act on meta tensors, whatever device it names."""
    casts, shipped = _Casts(), torch.autocast

    def autocast(device_type: str, dtype: Any = None, enabled: bool = True, *args: Any, **kwargs: Any) -> Any:
        if not enabled and device_type not in ("meta", "cuda"):
            return nullcontext()
        return casts.context((dtype or _usual(device_type)) if enabled else None)

    replaced = [
        *((*where, _casting(casts, getattr(*where), half=True)) for where in HALF),
        *((*where, _casting(casts, getattr(*where), half=False)) for where in SINGLE),
        *((*where, _wide(casts, getattr(*where))) for where in ANY),
    ]
    own = [(owner, name, owner.__dict__.get(name)) for owner, name, _ in replaced]  # None: inherited
    torch.autocast = autocast  # type: ignore[assignment, misc, unused-ignore]
    for owner, name, function in replaced:
        setattr(owner, name, function)
    try:
        yield
    finally:
        torch.autocast = shipped  # type: ignore[misc, unused-ignore]
        for owner, name, function in own:
            delattr(owner, name) if function is None else setattr(owner, name, function)


def _usual(device_type: str) -> torch.dtype:
    return torch.bfloat16 if device_type == "cpu" else torch.float16


def _casting(casts: _Casts, function: Callable[..., Any], half: bool) -> Callable[..., Any]:
    """The function with its tensors cast to autocast's dtype, or to float32."""

    def run(*args: Any, **kwargs: Any) -> Any:
        dtype = casts.dtype
        if dtype is None:
            return function(*args, **kwargs)
        to = dtype if half else torch.float32
        return function(
            *casts.cast(args, to), **{name: casts.cast(each, to) for name, each in kwargs.items()}
        )

    return run


def _wide(casts: _Casts, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with dtype=float32, if it is given 16-bit numbers and no dtype."""

    def run(input: Any, *args: Any, **kwargs: Any) -> Any:
        named = kwargs.get("dtype") or any(isinstance(each, torch.dtype) for each in args)
        if casts.dtype is not None and not named and input.dtype in (torch.float16, torch.bfloat16):
            kwargs["dtype"] = torch.float32
        return function(input, *args, **kwargs)

    return run
