"""How many tokens a server's key and value cache holds, by vLLM's arithmetic.

vLLM takes a share of the GPU (`gpu_memory_utilization`), subtracts the weights, the peak of a forward over the largest batch
of tokens that it schedules, and what is not PyTorch's, and cuts the rest into blocks of a few tokens for every layer.
"""

from __future__ import annotations

from dataclasses import dataclass

from telepathy_runtime.memory.gpus import Gpu
from telepathy_runtime.models.matrices import quantized_bytes
from telepathy_runtime.models.spec import ModelSpec, UnknownOptionError, element_size

UTILIZATION = 0.9
BLOCK_SIZE = 16
"""Tokens in a block."""
SCHEDULED = 8192
"""Tokens of one forward at most, prefills and decodes together (`max_num_batched_tokens`)."""
SEQUENCES = 256
"""Sequences whose logits a forward makes at most (`max_num_seqs`)."""


@dataclass(frozen=True)
class Serving:
    """Bytes on one GPU, and the cache that is left."""

    gpu: Gpu
    budget: int  # the share of the whole card
    weights: int
    forward: int  # the peak of a forward, without weights and cache
    other: int  # context, communication, graphs: not PyTorch's
    block: int  # bytes of a block, all layers of this rank
    blocks: int
    block_size: int
    max_len: int

    @property
    def cache(self) -> int:
        """Bytes of the cache."""
        return self.blocks * self.block

    @property
    def tokens(self) -> int:
        """Tokens that the cache holds."""
        return self.blocks * self.block_size

    @property
    def concurrency(self) -> float:
        """Sequences of the greatest length that the cache holds at once."""
        return self.blocks / -(-self.max_len // self.block_size)


def serve(
    spec: ModelSpec,
    card: Gpu,
    *,
    tensor_parallel: int = 1,
    utilization: float = UTILIZATION,
    max_len: int = 0,
    dtype: str = "bfloat16",
    cache_dtype: str = "",
    quantized: str = "none",
    block_size: int = BLOCK_SIZE,
    scheduled: int = SCHEDULED,
    sequences: int = SEQUENCES,
    other: int | None = None,
) -> Serving:
    """The cache of a server of `spec` on each of `tensor_parallel` cards; `max_len` 0 is the model's own length.

    `cache_dtype` "fp8" takes one byte an element. `other` is what PyTorch does not know of, the card's context by default.
    Raises UnknownOptionError for values that cannot be, or a model without a cache.
    """
    _check(spec, tensor_parallel, utilization, block_size, scheduled, sequences)
    length = max_len or spec.max_positions
    if length > spec.max_positions > 0:
        raise UnknownOptionError(f"max_len {length}: {spec.id} was made for {spec.max_positions} tokens")
    e = element_size(dtype)
    element = 1 if cache_dtype == "fp8" else element_size(cache_dtype or dtype)
    # Where there are fewer key heads than ranks, each rank holds one.
    heads = max(spec.kv_heads // tensor_parallel, 1)
    layers = spec.layers if spec.cached_layers < 0 else spec.cached_layers
    block = layers * block_size * heads * (spec.head_dim + (spec.value_dim or spec.head_dim)) * element
    whole = spec.bytes_in(dtype) if quantized == "none" else quantized_bytes(spec, quantized, e)
    weights = -(-whole // tensor_parallel)
    budget = int(card.total_bytes * utilization)
    beside = card.context_bytes if other is None else other
    forward = forward_bytes(spec, scheduled, sequences, tensor_parallel, e)
    blocks = max((budget - weights - forward - beside) // block, 0)
    return Serving(card, budget, weights, forward, beside, block, blocks, block_size, length)


def forward_bytes(spec: ModelSpec, tokens: int, sequences: int, ranks: int, e: int) -> int:
    """The peak of a forward without weights and cache: the feed-forward of a layer, or the logits of the sampler.

    A layer holds the residual stream, its input and output, and gate, up and their product (merged in one matrix, the
    product beside it); the sampler turns logits to float32 and keeps their softmax.
    """
    widths = 4 * spec.hidden + (3 if spec.gated_mlp else 2) * spec.intermediate // ranks
    return max(e * tokens * widths, sequences * spec.vocab * (e + 8) + e * tokens * 2 * spec.hidden)


def _check(
    spec: ModelSpec, ranks: int, utilization: float, block_size: int, scheduled: int, sequences: int
) -> None:
    if not 0 < utilization <= 1:
        raise UnknownOptionError(f"utilization must be above 0 and at most 1, not {utilization!r}")
    for name, value in (
        ("tensor_parallel", ranks), ("block_size", block_size), ("scheduled", scheduled), ("sequences", sequences)
    ):  # fmt: skip
        if value < 1:
            raise UnknownOptionError(f"{name} must be at least 1, not {value!r}")
    if not spec.kv_dim or spec.cached_layers == 0:
        raise UnknownOptionError(f"{spec.id} keeps no keys and values, so there is no cache to plan")
    if spec.heads % ranks:
        raise UnknownOptionError(
            f"tensor_parallel {ranks} does not divide the {spec.heads} heads of {spec.id}"
        )
