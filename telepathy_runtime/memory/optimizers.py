"""Bytes of an optimizer's states, and of the additional memory of its step.

Sources: torch's AdamW, SGD and Muon, transformers' Adafactor, and bitsandbytes' optimizers, whose 32-bit
states are float32 and whose 8-bit states have a float32 scale per 256 elements. Paged states are in memory
that the driver moves between host and device; PyTorch's allocator does not count them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import NamedTuple

from telepathy_runtime.memory.shapes import Shape
from telepathy_runtime.memory.workload import Workload

BLOCK = 256
"""Elements that share a scale in bitsandbytes' 8-bit states."""
PAGED = ("paged_adamw", "paged_adamw_8bit")
_STATES = {"adamw": 2, "sgd": 0, "sgd_momentum": 1}
"""States of torch's optimizers, in the dtype of the weights."""
BNB = {"adamw_32bit": (2, 4), "adamw_8bit": (2, 1), "lion": (1, 4), "lion_8bit": (1, 1)}
"""States of bitsandbytes' optimizers, and the bytes of an element."""


class Trained(NamedTuple):
    """The trained parameters.

    A shape is (rows, columns), or (experts, rows, columns) for all experts together. A vector is (), or (n,) if its size matters.
    """

    params: int
    element: int  # bytes
    inside: tuple[Shape, ...]  # of the layers, in order
    tables: tuple[Shape, ...] = ()  # before the layers
    head: tuple[Shape, ...] = ()  # behind them
    unknown: int = 0  # parameters of unknown shapes

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Of all parameters, in the order in which they are stepped."""
        return (*self.tables, *self.inside, (), *self.head)

    @property
    def largest(self) -> int:
        """Number of parameters in the largest tensor."""
        return max(map(_size, self.shapes))

    def one(self) -> Trained:
        """Only the largest tensor."""
        largest = max(self.shapes, key=_size)
        return Trained(_size(largest), self.element, (), (largest,))


def _size(shape: Shape) -> int:
    return prod(shape) if shape else 0


def _means(shape: Shape) -> int:
    """The rows and columns of all matrices of a tensor; 0 for a vector."""
    return prod(shape[:-2]) * sum(shape[-2:]) if len(shape) > 1 else 0


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
    if name == "muon":  # momentum for the layers' matrices, AdamW for the rest
        inside = trained.unknown + sum(map(_size, _matrices(trained)))
        return (inside + 2 * (params - inside)) * trained.element
    # Adafactor: in float32, the mean square of each row and column, and of each element of other tensors.
    vectors = params - trained.unknown - sum(_size(shape) for shape in trained.shapes if len(shape) > 1)
    return 4 * (sum(map(_means, trained.shapes)) + max(vectors, 0))


def _matrices(trained: Trained) -> list[Shape]:
    """What Muon steps: matrices of layers, but no experts, which are one tensor."""
    return [shape for shape in trained.inside if len(shape) == 2]


def step_transient(work: Workload, trained: Trained) -> int:
    """Bytes that optimizer.step() needs in addition to gradients and states."""
    gradients = trained.params * trained.element
    if work.optimizer == "adafactor" or (work.optimizer == "adamw" and work.opt_impl == "single"):
        return one_by_one(work, trained.element, [(_size(shape), _means(shape)) for shape in trained.shapes])
    if work.optimizer == "adamw" and work.opt_impl == "foreach":
        return gradients
    if work.optimizer == "muon":
        matrices = _matrices(trained)
        rest = trained.params - trained.unknown - sum(map(_size, matrices))
        # A matrix is orthogonalised in bfloat16: its update, and two copies and two squares of its shorter
        # side.
        turned = [2 * (3 * _size(shape) + 2 * min(shape) ** 2) for shape in matrices]
        beside = rest * trained.element if work.opt_impl == "foreach" else 0
        return max([beside, *turned])
    return 0


def step_of_one(work: Workload, number: int, element: int) -> int:
    """The same for the step of a single tensor of so many numbers."""
    return step_transient(work, Trained(number, element, (), ((number,),)))


def one_by_one(work: Workload, element: int, tensors: Sequence[tuple[int, int]]) -> int:
    """Bytes inside the step of AdamW with single tensors, or of Adafactor, from each tensor's numbers, and its rows and columns."""
    if work.optimizer == "adamw":  # two of a tensor's size, beside one of the tensor's before
        item, own, means = element, 2, 0
    else:
        # In float32: the update and its square, which rows and columns make, and copies of a gradient and weight in 16 bits.
        item, own, means = 4, 2 if element == 4 else 4, 1
    return item * max(
        last + own * size + means * vectors for (last, _), (size, vectors) in pairwise([(0, 0), *tensors])
    )
