"""Compares numbers that the code states for models with the registry and the planner."""

from __future__ import annotations

import re

from telepathy_lint.audit.data import Checked, Number, Verdict
from telepathy_lint.audit.sizes import TOKENS, largest_batch, largest_pair_batch, spec_of
from telepathy_lint.audit.tables import quantity_of

#: Relative difference up to which a rounded number counts as equal.
_TOLERANCE = 0.005
#: The same for memory, which is rounded more, and given in GB or GiB.
_ROUGH = 0.08
#: Names of batch sizes of jobs without gradients.
_READS = re.compile(r"(?i)eval|infer|gener|test|val_|predict")
#: A batch is "far below" if this many times as much fits.
_IDLE = 4


def checked(number: Number, gpu: str) -> Checked | None:
    """Compare a number with its exact value; None if its name does not say what it is, or a model is not listed."""
    specs = [spec for model in number.models if (spec := spec_of(model)) is not None]
    quantity = quantity_of(number.table)
    if quantity is None or len(specs) != len(number.models):
        return None
    if quantity == "batch":
        return _batch(number, gpu)
    if len(specs) != 1:
        return None
    (spec,) = specs
    if quantity == "GB":
        return _memory(number, spec.bytes_in("bfloat16") / 1e9)
    unit = ""
    exact: float = {"layers": spec.layers, "hidden size": spec.hidden, "vocabulary": spec.vocab}.get(
        quantity, spec.params
    )
    if not exact:  # this model has no such dimension
        return None
    if quantity == "parameters":
        unit = "parameters"
        if number.value < 10_000:
            exact, unit = exact / 1e9, "billion parameters"
    agrees = abs(number.value - exact) <= _TOLERANCE * exact
    return Checked(number, quantity, unit or quantity, float(exact), "agrees" if agrees else "differs")


def _memory(number: Number, exact: float) -> Checked | None:
    """Compare a memory size with the weights: at least their size, or exactly, if its name says that it is the weights."""
    name = number.table.lower()
    weights = any(word in name for word in ("weight", "param", "model_size", "size_gb"))
    verdict: Verdict = "agrees"
    if number.value < exact * (1 - _ROUGH) or (weights and number.value > exact * (1 + _ROUGH)):
        verdict = "differs"
    elif not weights:
        verdict = "depends"
    return Checked(number, "memory", "GB", round(exact, 2), verdict, "the weights alone, bfloat16")


def _batch(number: Number, gpu: str) -> Checked | None:
    """Compare a batch size with the planner's largest, for several kinds of job: code seldom says which one it is."""
    tokens = number.tokens or TOKENS
    specs = [spec for model in number.models if (spec := spec_of(model)) is not None]
    loose: int | None
    if len(specs) == 2:
        loose, most = None, largest_pair_batch(specs[0], specs[1], gpu, tokens)
        least = most
        how = "one reads, gradients pass through the other"
    else:
        loose, most, least = (
            largest_batch(specs[0], regime, gpu, tokens) for regime in ("inference", "frozen_grad", "full")
        )
        how = f"frozen, gradients pass through; {loose} without gradients, {least} where every weight trains with AdamW"
        if _READS.search(number.table):
            most = least = loose
            how = "without gradients"
    if most is None or least is None:
        return None
    verdict: Verdict = "agrees" if number.value <= least else "depends"
    if loose is not None and number.value > loose:
        verdict = "too large"
    elif number.value > most:
        verdict = "too large to train"
    elif number.value * _IDLE <= least and most != loose:
        verdict = "far below"
    said = "" if number.tokens else "assumed "
    basis = f"{how}; {said}{tokens:,} tokens each, {gpu}"
    return Checked(number, "batch size", "sequences", float(most), verdict, basis)
