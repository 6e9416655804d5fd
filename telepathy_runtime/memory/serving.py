"""Computes how many tokens a server's key-value cache can hold, in the same way as vLLM.

vLLM takes a share of the GPU (`gpu_memory_utilization`); subtracts the weights, the peak of a forward pass
with the largest scheduled batch of tokens, and memory outside PyTorch; and divides the rest into blocks of a
few tokens for each layer.
"""

from __future__ import annotations

from dataclasses import dataclass

from telepathy_runtime.memory.gpus import GIB, Gpu
from telepathy_runtime.models.matrices import quantized_bytes
from telepathy_runtime.models.spec import ModelSpec, UnknownOptionError, element_size

UTILIZATION = 0.9
BLOCK_SIZE = 16
"""Tokens in a block."""
LARGE = 70 * GIB
"""From this size on, but for A100s, vLLM's server schedules more: its own defaults, as of 0.11."""
SCHEDULED = (2048, 8192)
"""Tokens of one forward at most, prefills and decodes together (`max_num_batched_tokens`); on large cards."""
SEQUENCES = (256, 1024)
"""Sequences whose logits a forward makes at most (`max_num_seqs`); on large cards."""
SAMPLER = 38
"""Bytes that the sampler needs for a logit when it is warmed up with all sequences; from measurements of 0.11 on H100s
(llm-d-planner, docs/empirical-vllm-memory-results.md: 37.9 to 38.2 for three models)."""
OTHER = (13 * GIB // 100, 55 * GIB // 100)
"""What is not PyTorch's, on one GPU and on each of several; from the same measurements. Graphs come on top: up to 1 GiB."""


@dataclass(frozen=True)
class Serving:
    """Bytes on one GPU, and the remaining cache."""

    gpu: Gpu
    budget: int  # the share of the whole card
    weights: int
    forward: int  # the peak of a forward, without weights and cache
    other: int  # not PyTorch's
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
    scheduled: int = 0,
    sequences: int = 0,
    other: int | None = None,
) -> Serving:
    """The cache of a server for `spec` on each of `tensor_parallel` cards; `max_len` 0 is the model's own length.

    `cache_dtype` "fp8" takes one byte an element. `scheduled` and `sequences` 0 are vLLM's defaults for the card. `other` is
    what PyTorch does not know of, as it was measured by default.
    Raises UnknownOptionError for values that cannot be, or a model without a cache.
    """
    large = card.total_bytes >= LARGE and not card.name.startswith("A100")
    scheduled, sequences = scheduled or SCHEDULED[large], sequences or SEQUENCES[large]
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
    beside = OTHER[tensor_parallel > 1] if other is None else other
    forward = forward_bytes(spec, scheduled, sequences, tensor_parallel, e)
    blocks = max((budget - weights - forward - beside) // block, 0)
    return Serving(card, budget, weights, forward, beside, block, blocks, block_size, length)


def forward_bytes(spec: ModelSpec, tokens: int, sequences: int, ranks: int, e: int) -> int:
    """The peak of a forward without weights and cache: the feed-forward of a layer, or the sampler.

    A layer holds the residual stream, its input and output, and gate, up and their product.
    """
    widths = 4 * spec.hidden + (3 if spec.gated_mlp else 2) * spec.intermediate // ranks
    return max(e * tokens * widths, sequences * spec.vocab * SAMPLER + e * tokens * 2 * spec.hidden)


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
