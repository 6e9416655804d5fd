"""Computes how many tokens a server's key-value cache can hold, in the same way as vLLM.

vLLM takes a share of the GPU (`gpu_memory_utilization`); subtracts the weights, the peak of a forward pass
with the largest scheduled batch of tokens, and memory outside PyTorch; and divides the rest into blocks of a
few tokens for each layer.
"""

from __future__ import annotations

from dataclasses import dataclass

from telepathy_runtime.memory.gpus import Gpu
from telepathy_runtime.models.matrices import quantized_bytes
from telepathy_runtime.models.spec import ModelSpec, UnknownOptionError, element_size

UTILIZATION = 0.9
BLOCK_SIZE = 16
"""Tokens per block."""
SCHEDULED = 8192
"""Maximum number of tokens in a forward pass, in prefills and decodes (`max_num_batched_tokens`)."""
SEQUENCES = 256
"""Maximum number of sequences with logits in a forward pass (`max_num_seqs`)."""


@dataclass(frozen=True)
class Serving:
    """Bytes on one GPU, and the remaining cache."""

    gpu: Gpu
    budget: int  # the share of the whole card
    weights: int
    forward: int  # the peak of a forward pass, without weights and cache
    other: int  # memory outside PyTorch: context, communication, graphs
    block: int  # bytes of a block, for all layers of this rank
    blocks: int
    block_size: int
    max_len: int

    @property
    def cache(self) -> int:
        """Bytes of the cache."""
        return self.blocks * self.block

    @property
    def tokens(self) -> int:
        """Tokens that fit in the cache."""
        return self.blocks * self.block_size

    @property
    def concurrency(self) -> float:
        """Sequences of the maximum length that fit in the cache at the same time."""
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
    """The cache of a server for `spec` on each of `tensor_parallel` cards; `max_len` 0 is the model's own length.

    `cache_dtype` "fp8" uses one byte per element. `other` is memory outside PyTorch, by default the card's
    context. Raises UnknownOptionError for impossible values, or a model without a cache.
    """
    _check(spec, tensor_parallel, utilization, block_size, scheduled, sequences)
    length = max_len or spec.max_positions
    if length > spec.max_positions > 0:
        raise UnknownOptionError(f"max_len {length}: {spec.id} was made for {spec.max_positions} tokens")
    e = element_size(dtype)
    element = 1 if cache_dtype == "fp8" else element_size(cache_dtype or dtype)
    # If there are fewer key heads than ranks, each rank has one.
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
    """The peak of a forward pass without weights and cache: in a layer's feed-forward, or in the sampler's logits.

    A layer holds the residual stream, its input and output, and gate, up (in one matrix) and their product;
    the sampler converts logits to float32 and keeps their softmax.
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
