"""Eager attention of decoders and towers on a tape: products, softmax and copies in the order of transformers' code."""

from __future__ import annotations

from typing import NamedTuple

from telepathy_runtime.memory.operations import Model
from telepathy_runtime.memory.tape import Tensor


class Eager(NamedTuple):
    """How attention is computed in single operations."""

    dropout: bool = False
    mask: int = 0  # bytes of an element of one that is added to the scores; 0: none
    copied: tuple[bool, bool, bool] = (False, False, False)  # queries, keys, values to the order of the heads
    softcap: bool = False
    half: bool = False  # the softmax in the scores' dtype instead of 32 bits
    raised: bool = False  # the scores in 32 bits, from copies of queries and keys in these
    sinks: int = (
        0  # numbers of a column that is joined to the scores, of which the largest of each row is subtracted
    )


def eager(model: Model, q: Tensor, k: Tensor, v: Tensor, pairs: int, how: Eager) -> tuple[Tensor, Tensor]:
    """The output of attention in single operations, and its weights; `pairs` are the numbers of the scores."""
    element, tape = v.element if how.raised else q.element, model.tape
    named = k, v  # the code holds them until it returns
    read = (model.cast(q, 4), model.cast(k, 4)) if how.raised else (model.lower(q), model.lower(k))
    left, right = (
        model.copied(each) if copied else each for each, copied in zip(read, how.copied[:2], strict=True)
    )
    scores = model.matmul(left, right, pairs)
    del left, right, read
    scores = model.scaled(scores)
    if how.softcap:
        scores = model.scaled(model.activated(model.scaled(scores)))
    if how.mask:
        masked = tape.new(pairs, max(how.mask, scores.element))
        scores = tape.record(masked, (scores,), passes=masked.element == scores.element)
        del masked
    if how.sinks:
        joined = _less_largest(model, scores, how.sinks)
        whole = model.softmax(joined)
        masked, scores = scores, tape.record(Tensor(whole.storage, pairs, whole.element), (whole,))
        del masked, joined, whole
    else:
        scores = model.cast(model.softmax(scores if how.half else model.cast(scores, 4)), element)
    scores = model.dropout(scores, how.dropout)
    out = model.matmul(scores, model.copied(v) if how.copied[2] else v, q.number)
    out = model.copied(out)
    del named
    return out, scores


def _less_largest(model: Model, scores: Tensor, rows: int) -> Tensor:
    """The scores joined with a column, less the largest of each of so many rows."""
    tape, number = model.tape, scores.number + rows
    joined = tape.record(tape.new(number, scores.element), (scores,))
    largest, where = tape.new(rows, scores.element), tape.new(rows, 8)
    largest = tape.record(largest, (joined,), (where,))
    del where
    each = tape.record(Tensor(largest.storage, number, largest.element), (largest,))
    return tape.record(tape.new(number, scores.element), (joined, each), passes=True)
