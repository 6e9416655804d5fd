"""Bytes of the logits and of the loss."""

from __future__ import annotations

from typing import NamedTuple

from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import element_size

TILE = (4096, 32768)
"""Tokens and entries of the vocabulary whose logits TRL computes at a time (trl 1.16)."""


class Logits(NamedTuple):
    """Bytes of logits at the instants around the loss."""

    held: int  # by the caller's `outputs`, during backward and the next forward
    forward: int  # in the loss's forward, including the model's own logits
    backward: int  # in the loss's backward
    gradient: int  # of the logits, which the head's backward reads


def logits_bytes(work: Workload, vocab: int, hidden: int = 0, softcap: bool = False) -> Logits:
    """The logits of a job; each byte is counted once.

    The loss computes in float32: a copy, the log-softmax, then two gradients of that size. A fused kernel
    keeps only the copy and overwrites it with the gradient. A linear loss never has all logits: it computes a
    chunk, and already in the forward the gradient of the hidden states; the chunk size is Liger's. A softcap keeps
    the tanh of the logits.
    """
    e, size = element_size(work.dtype), work.tokens * vocab
    if work.objective != "lm":
        return _log_probabilities(work, vocab, hidden)
    if work.loss == "linear":
        factor = -(-vocab // max(hidden, 1))
        rows = min(_power_of_two(-(-work.tokens // factor)), work.tokens)
        gradient = e * work.tokens * hidden + e * vocab * hidden * (work.regime == "full")
        return Logits(0, gradient + e * rows * vocab, gradient, 0)
    # Before 4.46 the model returns float32 logits; since then, its call keeps its own until it returns.
    own = 4 if work.version < (4, 46) else e
    held = own * size * work.keep_outputs
    copy = 0 if work.version < (4, 46) else 4 * size
    # Before 4.50 the loss also copies the shifted logits.
    shift = 4 * size if work.version < (4, 50) and work.batch > 1 else 0
    capped = e * size * softcap
    if work.loss == "fused":
        return Logits(
            held, own * size + copy + shift + capped, held + 4 * size + (shift or e * size) + capped, e * size
        )
    return Logits(held, own * size + copy + shift + capped + 4 * size, held + 12 * size + capped, e * size)


def _log_probabilities(work: Workload, vocab: int, hidden: int) -> Logits:
    """TRL's log-probabilities of each token, as if all tokens were completions: a copy of their hidden states is kept.

    The backward computes each tile of the logits again, and adds up the gradients in float32 before it converts them.
    """
    e, full = element_size(work.dtype), work.regime == "full"
    rows = work.tokens * hidden
    tile = e * min(work.tokens, TILE[0]) * TILE[1]
    head = full * vocab * hidden
    return Logits(0, e * rows + tile, e * rows + tile + (4 + e) * (rows + head), 2 * e * rows)


def _power_of_two(number: int) -> int:
    return 1 << max(number - 1, 0).bit_length()
