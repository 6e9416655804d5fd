"""Runs a step of real code on the meta device: counts every allocation, computes nothing, needs no GPU.

The tracer observes each tensor that PyTorch creates and frees, including those saved by autograd, and keeps
the peak. Scaled dot product attention has no meta kernel, so calls are replaced by the operators that CUDA
would choose (flash without a mask, memory-efficient with one), whose saved tensors have the same shapes as on
CUDA.

Not counted: workspaces of kernels (cuBLAS, the backward of flash attention, NCCL), the CUDA context,
fragmentation, torch.compile. Code that reads values (`.item()`, `if tensor > 0`) raises TraceError.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from telepathy_runtime.memory.autocasting import autocast_on_meta
from telepathy_runtime.memory.repeated import Repeated

BLOCK = 512
"""CUDA's caching allocator rounds every tensor up to this many bytes."""


class TraceError(RuntimeError):
    """The step reads tensor values, which do not exist on the meta device."""


@dataclass(frozen=True)
class Trace:
    """Bytes of a traced run; each tensor is rounded up as by CUDA's allocator."""

    built: int  # alive after building, before the first step
    peak_allocated: int  # highest over all steps
    end: int  # alive after the last step
    step_peaks: tuple[int, ...]
    peak_at: str  # operator and autograd node at the peak


class Counter(TorchDispatchMode):  # type: ignore[misc, unused-ignore]
    """Counts the bytes of live storages; `peak` is the maximum since the last `reset_peak`."""

    def __init__(self, block: int = BLOCK) -> None:
        super().__init__()
        self._block = block
        self.current = 0
        self.peak = 0
        self.peak_at = ""
        self._live: dict[int, tuple[weakref.ref[Any], int]] = {}
        self._operators = Repeated()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = self._operators.run(func, args, kwargs or {})
        for leaf in [out] if isinstance(out, torch.Tensor) else tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self._see(leaf, func)
        return out

    def reset_peak(self) -> None:
        """Forget the peak so far."""
        self.peak, self.peak_at = self.current, ""

    def _see(self, tensor: torch.Tensor, func: Any) -> None:
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self._live:
            return
        size = -(-storage.nbytes() // self._block) * self._block

        def forget(_: Any, key: int = key, size: int = size) -> None:
            del self._live[key]
            self.current -= size

        self._live[key] = (weakref.ref(storage, forget), size)
        self.current += size
        if self.current > self.peak:
            self.peak = self.current
            node = torch._C._current_autograd_node()
            self.peak_at = f"{func}" + (f" in {node.name()}" if node is not None else "")


def _fit_bias(mask: torch.Tensor | None, query: torch.Tensor) -> torch.Tensor | None:
    """A mask as PyTorch passes it to the kernel: additive, padded to a multiple of 8, expanded to the heads."""
    if mask is None:
        return None
    if mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=query.dtype).masked_fill_(mask.logical_not(), float("-inf"))
    width = mask.shape[-1]
    if width % 8:
        mask = torch.nn.functional.pad(mask, (0, 8 - width % 8))[..., :width]
    return mask.expand(*query.shape[:2], query.shape[2], width)


def _cuda_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """The operators with meta kernels that CUDA runs for scaled_dot_product_attention."""
    aten = torch.ops.aten
    half = query.dtype in (torch.float16, torch.bfloat16)
    # The flash kernel needs equal head sizes of at most 256; latent attention has narrower values.
    if attn_mask is None and half and query.shape[-1] == value.shape[-1] <= 256:
        flash = aten._scaled_dot_product_flash_attention
        return flash(query, key, value, dropout_p, is_causal, False, scale=scale)[0]
    if enable_gqa:
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    bias = _fit_bias(attn_mask, query)
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in (query, key, value))
    efficient = aten._scaled_dot_product_efficient_attention
    return efficient(query, key, value, bias, keep, dropout_p, is_causal, scale=scale)[0]


@contextmanager
def _meta_attention() -> Iterator[None]:
    """Replace attention on meta tensors by CUDA's operators instead of the S x S fallback.

    A TorchFunctionMode would not work: it is inactive while checkpointing recomputes a layer in backward.
    """
    functional = torch.nn.functional
    shipped = functional.scaled_dot_product_attention

    def attention(query: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        run = _cuda_attention if query.device.type == "meta" else shipped
        return run(query, *args, **kwargs)

    functional.scaled_dot_product_attention = attention
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = shipped


@contextmanager
def _meta_dropout() -> Iterator[None]:
    """Replace dropout on meta tensors by CUDA's kernel, which keeps a mask of one byte an element, not a tensor of noise."""
    functional = torch.nn.functional
    shipped = functional.dropout

    def dropout(
        input: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> torch.Tensor:
        if input.device.type != "meta" or not training or not 0 < p < 1 or inplace:
            return shipped(input, p, training, inplace)
        return torch.native_dropout(input, p, True)[0]

    functional.dropout = dropout  # type: ignore[assignment, unused-ignore]
    try:
        yield
    finally:
        functional.dropout = shipped


@contextmanager
def _masks(padded: bool) -> Iterator[None]:
    """Tell transformers whether a batch is padded; it reads the mask's values, which a meta tensor does not have."""
    try:
        from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    except ImportError:  # transformers < 4.53 passes no mask if it gets none
        yield
        return
    table = ALL_MASK_ATTENTION_FUNCTIONS
    shipped = dict(table)
    eager = shipped["eager"]

    def whole(kwargs: dict[str, Any]) -> bool:
        # A model that needs the mask itself says so: for images, which see all of each other, or to select keys.
        skips = kwargs.get("allow_is_causal_skip", True) or kwargs.get("allow_is_bidirectional_skip", False)
        window = kwargs.get("local_size")
        return skips and not padded and not (window and kwargs.get("kv_length", 0) >= window)

    def always(kwargs: dict[str, Any]) -> dict[str, Any]:
        skips = ("allow_is_causal_skip", "allow_is_bidirectional_skip")
        return kwargs | {"allow_is_causal_skip": False} | {name: False for name in skips if name in kwargs}

    def sdpa(*args: Any, **kwargs: Any) -> Any:
        return None if whole(kwargs) else shipped["sdpa"](*args, **always(kwargs))

    def eager_mask(*args: Any, **kwargs: Any) -> Any:
        # Where every token sees every other one, transformers needs no mask for eager attention either.
        if kwargs.get("allow_is_bidirectional_skip") and whole(kwargs):
            return None
        return eager(*args, **always(kwargs))

    table["sdpa"] = sdpa
    table["eager"] = eager_mask
    try:
        yield
    finally:
        for name in ("sdpa", "eager"):
            table[name] = shipped[name]


@contextmanager
def _answers(padded: bool) -> Iterator[None]:
    """Answer code that asks whether all of a tensor is true (a mask: no padding), and leave out a distribution's own checks."""
    shipped, checked = torch.all, torch.distributions.Distribution._validate_args

    def every(input: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if args or kwargs or input.device.type != "meta":
            return shipped(input, *args, **kwargs)
        return torch.tensor(not padded, device="cpu")

    torch.all = every  # type: ignore[assignment, unused-ignore]
    torch.distributions.Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        torch.all = shipped
        torch.distributions.Distribution.set_default_validate_args(checked)


def trace(build: Callable[[], Callable[[], object]], *, steps: int = 2, padded: bool = False) -> Trace:
    """Build on the meta device, run `steps` steps, and return the bytes.

    `build` creates models, optimizers and inputs and returns the step, a function without arguments. Two
    steps are the minimum that shows optimizer states and activations together. The result of a step stays
    alive until the next result replaces it, as in a training loop that keeps `outputs`.

    Raises TraceError if the step reads tensor values.
    """
    counter = Counter()
    peaks: list[int] = []
    try:
        with (
            torch.device("meta"),
            _masks(padded),
            _answers(padded),
            _meta_attention(),
            _meta_dropout(),
            autocast_on_meta(),
            counter,
        ):
            step = build()
            if not callable(step):
                raise TraceError(f"build must return the step, a function without arguments, not {step!r}")
            built = counter.current
            counter.reset_peak()
            best, best_at = 0, ""
            kept: object = None
            for _ in range(steps):
                counter.reset_peak()
                kept = step()
                peaks.append(counter.peak)
                if counter.peak > best:
                    best, best_at = counter.peak, counter.peak_at
            del kept
            end = counter.current
    except TraceError:
        raise
    except (RuntimeError, NotImplementedError) as error:
        if "meta" in str(error).lower():
            raise TraceError(
                f"the step cannot run on the meta device: {error}; code that reads tensor values "
                "(.item(), .tolist(), a condition on a tensor) has none to read; use the closed form"
            ) from error
        raise
    return Trace(built, best, end, tuple(peaks), best_at)
