"""Recomputes the two memory tables of the hand-written review; each row has its regime and errors.

The review gave batch sizes that are "memory-safe" on an 80 GB H100 for training a bridge between two models
(one model in both roles for "Single"), and a parameter and an activation size for six models. It gave neither
sequence length nor regime for the batches; its script assumes 1536 tokens and frozen models.
"""

from __future__ import annotations

from dataclasses import dataclass

from telepathy_runtime.memory.blocks import block
from telepathy_runtime.memory.estimate import estimate
from telepathy_runtime.memory.gpus import Gpu, gpu
from telepathy_runtime.memory.pair import PerceiverBridge, estimate_pair
from telepathy_runtime.memory.plan import max_batch_pair
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models import registry
from telepathy_runtime.models.spec import ModelSpec

LLAMA_1B, LLAMA_3B = "meta-llama/Llama-3.2-1B", "meta-llama/Llama-3.2-3B"
LLAMA_8B, MISTRAL_7B = "meta-llama/Llama-3.1-8B", "mistralai/Mistral-7B-v0.3"
QWEN_1B, QWEN_3B, QWEN_7B = "Qwen/Qwen2.5-1.5B", "Qwen/Qwen2.5-3B", "Qwen/Qwen2.5-7B"

# (row of the review, source, target, batch size, gradient accumulation), as in the review.
BATCHES = (
    ("Llama-8B + Mistral-7B", LLAMA_8B, MISTRAL_7B, 2, 4),
    ("Llama-3B + Mistral-7B", LLAMA_3B, MISTRAL_7B, 3, 3),
    ("Llama-3B + Qwen-3B", LLAMA_3B, QWEN_3B, 6, 2),
    ("Llama-1B + Qwen-1.5B", LLAMA_1B, QWEN_1B, 12, 1),
    ("Single Llama-8B", LLAMA_8B, LLAMA_8B, 6, 2),
    ("Single Mistral-7B", MISTRAL_7B, MISTRAL_7B, 6, 2),
    ("Single Llama-3B", LLAMA_3B, LLAMA_3B, 12, 1),
)

# (model, parameter GB, activation GB with batch 1 and 1536 tokens), as in the review; None: not in the
# review.
MEMORY = (
    (LLAMA_1B, 2.48, 2.5),
    (LLAMA_3B, 6.42, 5.2),
    (LLAMA_8B, 16.06, 12.3),
    (MISTRAL_7B, 14.48, 12.3),
    (QWEN_1B, 3.08, 2.3),
    (QWEN_3B, 6.18, 3.5),
    (QWEN_7B, None, None),
)


@dataclass(frozen=True)
class Regime:
    """Sequence lengths and freezing for which a batch size is judged."""

    key: str
    source_tokens: int
    target_tokens: int
    frozen: bool
    says: str


REGIMES = (
    Regime(
        "assumed",
        1536,
        1536,
        True,
        "the table's own assumption: 1536 tokens on both sides, both models frozen",
    ),
    Regime(
        "coded", 1024, 643, False, "the training script: 1024 and 128 + 3 + 512 tokens, target never frozen"
    ),
    Regime("frozen", 1024, 643, True, "the script's lengths, target really frozen"),
)


@dataclass(frozen=True)
class Judged:
    """One batch size in one regime, in bytes."""

    regime: Regime
    peak_allocated: int
    most: int  # largest batch without a reserve
    safe: int  # largest batch with the reserve for fragmentation
    verdict: str


@dataclass(frozen=True)
class BatchRow:
    """One row of the review's batch table, judged."""

    label: str
    batch: int
    grad_accum: int
    judged: tuple[Judged, ...]


@dataclass(frozen=True)
class MemoryRow:
    """One row of the review's memory table with the computed values, in bytes; batch 1, 1536 tokens, bfloat16."""

    spec: ModelSpec
    said_params: int | None
    said_activations: int | None
    layers_full: int  # saved by the layers when all weights are trained
    layers_frozen: int  # saved when gradients only pass through
    logits: int  # alive in the backward of the loss
    peak_frozen: int  # peak minus weights, gradients pass through frozen weights
    prefill: int  # maximum without gradients, minus weights and cache
    kv_cache: int

    @property
    def params_error(self) -> float | None:
        """The relative error of the review's parameter size."""
        return None if self.said_params is None else self.said_params / self.spec.params_bytes - 1

    @property
    def activations_ratio(self) -> float | None:
        """The review's activation size divided by that of full training, including logits."""
        true = self.layers_full + self.logits
        return None if self.said_activations is None else self.said_activations / true


def jobs(regime: Regime, batch: int, grad_accum: int) -> tuple[Workload, Workload]:
    """The jobs of source and target in a regime; the step function returns only the loss."""
    read = Workload(seq_len=regime.source_tokens, batch=batch, hidden_states=True)
    write = Workload(
        seq_len=regime.target_tokens,
        batch=batch,
        regime="frozen_grad",
        grad_accum=grad_accum,
        keep_outputs=False,
    )
    return read, write


def batch_table(device: str = "H100-80GB") -> tuple[BatchRow, ...]:
    """The review's batch table on `device`, each row in each regime.

    The bridge's gradients count as kept between steps (grad_accum of at least 2), as in all rows of the table
    except two.
    """
    return tuple(_batch_row(*row, card=gpu(device)) for row in BATCHES)


def _batch_row(
    label: str, source_id: str, target_id: str, batch: int, grad_accum: int, card: Gpu
) -> BatchRow:
    source, target = registry.get(source_id), registry.get(target_id)
    bridge = PerceiverBridge(source.hidden, target.hidden)
    judged = []
    for regime in REGIMES:
        read, write = jobs(regime, batch, max(grad_accum, 2))
        how = {"target_frozen": regime.frozen, "share_weights": source_id == target_id}
        peak = estimate_pair(source, target, read, write, bridge, **how).peak_allocated
        most, safe = (
            max_batch_pair(source, target, read, write, bridge, device=card, reserve=reserve, **how).batch
            for reserve in (0.0, 0.10)
        )
        judged.append(Judged(regime, peak, most, safe, _verdict(batch, most, safe)))
    return BatchRow(label, batch, grad_accum, tuple(judged))


def _verdict(batch: int, most: int, safe: int) -> str:
    if batch > most:
        return "does not fit"
    if batch > safe:
        return "no margin"
    return "half of what fits" if batch * 2 <= safe else "fits"


def memory_table() -> tuple[MemoryRow, ...]:
    """The review's memory table including the missing row, computed."""
    return tuple(_memory_row(*row) for row in MEMORY)


def _memory_row(model_id: str, params_gb: float | None, activations_gb: float | None) -> MemoryRow:
    spec = registry.get(model_id)
    full = Workload(seq_len=1536, regime="full")
    frozen = full.but(regime="frozen_grad")
    prefill = full.but(regime="inference")
    without = estimate(spec, prefill).peak
    return MemoryRow(
        spec=spec,
        said_params=None if params_gb is None else round(params_gb * 10**9),
        said_activations=None if activations_gb is None else round(activations_gb * 10**9),
        layers_full=spec.layers * block(spec, full).saved,
        layers_frozen=spec.layers * block(spec, frozen).saved,
        logits=14 * full.tokens * spec.vocab,
        peak_frozen=estimate(spec, frozen).peak_allocated - spec.params_bytes,
        prefill=without.total - without.weights - without.kv_cache,
        kv_cache=spec.kv_bytes(1, 1536),
    )
