"""Bytes of an optimizer's states, and of the additional memory of its step.

Sources: torch's AdamW, SGD and Muon, transformers' Adafactor, and bitsandbytes' optimizers, whose 32-bit
states are float32 and whose 8-bit states have a float32 scale per 256 elements. Paged states are in memory
that the driver moves between host and device; PyTorch's allocator does not count them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from telepathy_runtime.memory.workload import Workload

BLOCK = 256
"""Elements that share a scale in bitsandbytes' 8-bit states."""
PAGED = ("paged_adamw", "paged_adamw_8bit")
_STATES = {"adamw": 2, "sgd": 0, "sgd_momentum": 1}
"""States of torch's optimizers, in the dtype of the weights."""
BNB = {"adamw_32bit": (2, 4), "adamw_8bit": (2, 1), "lion": (1, 4), "lion_8bit": (1, 1)}
"""States of bitsandbytes' optimizers, and the bytes of an element."""


class Trained(NamedTuple):
    """The trained parameters; shapes are (rows, columns)."""

    params: int
    element: int  # bytes
    largest: int  # number of parameters in the largest tensor
    matrices: tuple[tuple[int, int], ...]  # of the layers; empty if unknown
    tables: tuple[tuple[int, int], ...]  # embedding and head

    def one(self) -> Trained:
        """Only the largest tensor."""
        return self._replace(params=self.largest, matrices=(), tables=self.tables[:1] or self.matrices[:1])


def optimizer_bytes(name: str, trained: Trained) -> int:
    """Bytes of the states on the device between two steps."""
    params = trained.params
    if name in _STATES:
        return _STATES[name] * params * trained.element
    if name in BNB:
        count, element = BNB[name]
        return count * (params * element + (4 * -(-params // BLOCK) if element == 1 else 0))
    if name in PAGED:
        return 0
    inside = sum(rows * columns for rows, columns in trained.matrices)
    if name == "muon":  # momentum for the layers' matrices, AdamW for the rest
        return (inside + 2 * (params - inside)) * trained.element
    # Adafactor: in float32, the mean square of each row and column, and of each element of other tensors.
    every = (*trained.matrices, *trained.tables)
    vectors = params - sum(rows * columns for rows, columns in every)
    return 4 * (sum(rows + columns for rows, columns in every) + max(vectors, 0))


def step_transient(work: Workload, trained: Trained) -> int:
    """Bytes that optimizer.step() needs in addition to gradients and states."""
    gradients, largest = trained.params * trained.element, trained.largest * trained.element
    if work.optimizer == "adamw" and work.opt_impl != "fused":
        if work.opt_impl == "foreach":
            return gradients
        # One tensor at a time: two of its size, beside one of the tensor's before.
        sizes = [rows * columns for rows, columns in trained.matrices]
        after = [before + 2 * size for before, size in pairwise(sizes)]
        return max([2 * largest, *(each * trained.element for each in after)])
    if work.optimizer == "adafactor":
        # For one tensor at a time: the gradient and the weight in float32, the update, and its square. For
        # the layers' matrices, the previous update is still alive.
        inside = max((rows * columns for rows, columns in trained.matrices), default=0)
        return 4 * max(4 * trained.largest, 5 * inside)
    if work.optimizer == "muon":
        rest = trained.params - sum(rows * columns for rows, columns in trained.matrices)
        # A matrix is orthogonalised in bfloat16: its update, and two copies and two squares of its shorter
        # side.
        turned = [
            2 * (3 * rows * columns + 2 * min(rows, columns) ** 2) for rows, columns in trained.matrices
        ]
        beside = rest * trained.element if work.opt_impl == "foreach" else 0
        return max([beside, *turned])
    return 0
