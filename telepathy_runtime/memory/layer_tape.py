"""One layer on a tape: what its forward and its backward need at most, and a forward without gradients.

Which of many short tensors are the most depends on tokens, widths and rank, so they are counted in the order of PEFT's and transformers' code.
"""

from __future__ import annotations

import weakref
from functools import lru_cache, partial
from typing import NamedTuple

from telepathy_runtime.memory.families import family
from telepathy_runtime.memory.layer_program import Layer
from telepathy_runtime.memory.layers import autocast
from telepathy_runtime.memory.operations import Model
from telepathy_runtime.memory.optimizers import step_of_one
from telepathy_runtime.memory.rotary import ends_unrotated
from telepathy_runtime.memory.tape import Storage, Tape, Tensor
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import ModelSpec, element_size

KINDS = ("weights", "gradients", "activations", "copies", "transient")


class Peaks(NamedTuple):
    """Bytes of a layer, beside its input."""

    kept: int  # after its forward, without its output, its input, the copies, and what only the cache holds
    holds_input: bool  # whether it keeps its input, too
    cached: int  # of keys and values, what only the cache holds after its forward
    cast: int  # copies of the adapters' matrices that only autocast holds, until the model's forward ends
    copies: int  # of frozen matrices in autocast's 16 bits, after its forward
    forward: int  # at most in its forward
    rotates: bool  # whether queries or keys take a gradient, so that sines and cosines are kept
    backward: (
        int  # at most in its backward, beside what it kept; with checkpointing, all that it computes again
    )


@lru_cache(maxsize=512)
def peaks(spec: ModelSpec, work: Workload, masked: bool, first: bool = False, rotated: bool = True) -> Peaks:
    """What a layer keeps and needs in a step of training.

    `masked`: with a 4-D mask, for padding or a sliding window. `first`: its input needs no gradient. `rotated`: its queries and keys are.
    """
    tape, layer = _layer(spec, work, masked, rotated=rotated)
    model, element = layer.model, layer.model.element
    for _ in range(2 if work.grad_accum > 1 else 1):
        made = tape.new if first else tape.leaf
        given = [made(work.tokens * spec.hidden, element)]
        before = sum(tape.alive.values())
        tape.best.clear()
        with tape.part("layer"):
            run = partial(layer.forward, given[0])
            out: Tensor = tape.checkpoint(run) if work.checkpointing else run()
            del run
        forward = tape.best["layer"][0] - before
        held = sum(tape.alive.values())
        model.end_autocast()
        held -= sum(tape.alive.values())
        node, size = out.node, out.size
        del out
        after, copies = sum(tape.alive.values()), tape.alive["copies"]
        keys = [weakref.ref(each.storage) for each in layer.cache]
        layer.cache.clear()
        cached = after - sum(tape.alive.values())
        after -= cached
        # Not freed in the backward: what the caller's cache shares with attention, and the layer's input, which is counted elsewhere.
        stay = [key() for key in keys if work.keep_outputs]
        holds_input = work.checkpointing or _let_go(tape, given, stay)
        tape.best.clear()
        _run_back(tape, layer, given, Tensor(Storage(tape, 0, "transient"), size, 1, node))
        del node
        backward = max((total for total, _ in tape.best.values()), default=after)
        tape.leaves.clear()
        stay.clear()
    return Peaks(
        after - before - copies, holds_input, cached, held, copies, forward, layer.rotates, backward - after
    )


def _layer(
    spec: ModelSpec,
    work: Workload,
    masked: bool,
    adapted: bool = True,
    rotated: bool = True,
    trains: bool = True,
) -> tuple[Tape, Layer]:
    """A layer of a model in this job, on a tape of its own."""
    tape = Tape(KINDS, trains=trains)
    if work.opt_in_backward:
        tape.step = partial(step_of_one, work)
    element = 4 if autocast(work) else element_size(work.dtype)  # FSDP casts what it gathers
    half = element_size(work.dtype) if work.casts else 0
    model = Model(tape, element, trained=False, training=trains, half=half)
    return tape, Layer(tape, model, spec, work, masked, adapted, rotated)


def position_rows(spec: ModelSpec, work: Workload) -> int:
    """Rows of a model's table of positions that it holds while its layers run; GPT-2 looks them up once for all sequences."""
    if not spec.learned_positions:
        return 0
    return work.seq_len if family(spec).held > 0 else work.tokens


def _let_go(tape: Tape, given: list[Tensor], stay: list[Storage | None]) -> bool:
    """Drop a layer's input, and tell whether its graph keeps it; its bytes are there all the same as long as `stay`."""
    size, there = given[0].size, weakref.ref(given[0].storage)
    tape.leaves.clear()
    given.clear()
    kept = there()
    stay.append(kept or Storage(tape, size, "activations"))
    return kept is not None


def _run_back(tape: Tape, layer: Layer, given: list[Tensor], loss: Tensor) -> None:
    """A layer's backward. With use_reentrant=True, its whole forward runs again before, whose output and gradient are held."""
    if loss.node is None:
        return
    if not layer.work.reentrant:
        tape.backward(loss)
        return
    loss.node = None
    gradient = tape.new(loss.number, 1)
    with tape.part("layer"):
        again = layer.forward(given[0])
    layer.model.end_autocast()
    del gradient
    tape.backward(Tensor(again.storage, again.number, again.element, again.node), holds=True)


class LastNorm(NamedTuple):
    """Bytes of the last norm, with what the head keeps of its output."""

    kept: int  # after its forward, with its input if it keeps that
    forward: int  # at most in its forward, with its input, beside what it keeps
    backward: int  # at most in its backward, with the gradient of its output, beside what it kept
    output: bool  # whether the head keeps the norm's output itself


@lru_cache(maxsize=512)
def last_norm(spec: ModelSpec, work: Workload) -> LastNorm:
    """What the last norm keeps and needs in a step; nothing is kept where there is none."""
    tape, layer = _layer(spec, work, masked=False, adapted=False)
    x = tape.leaf(work.tokens * spec.hidden, layer.model.element)
    with tape.part("norm"):
        y = layer.norm(x, spec.hidden)
    forward = tape.best["norm"][0]
    # TRL's log-probabilities keep a copy of the output, which is counted with them.
    reads = (work.regime == "full" and work.objective == "lm") or "lm_head" in work.modules_to_save
    read = layer.model.lower(y)
    output = reads and read is y
    loss = tape.record(Tensor(Storage(tape, 0, "transient"), 0, 1), (read,), (read,) if reads else ())
    layer.model.end_autocast()
    del x, y, read
    tape.leaves.clear()
    kept = sum(tape.alive.values())
    tape.best.clear()
    tape.backward(loss)
    backward = max((total for total, _ in tape.best.values()), default=kept)
    return LastNorm(kept * bool(spec.final_norms), forward - kept, backward - kept, output)


@lru_cache(maxsize=512)
def most_without_gradients(spec: ModelSpec, work: Workload, masked: bool) -> int:
    """The most bytes inside a layer's forward without gradients and adapters, with its input and the model's embeddings.

    Without the cache, but with the copies of all layers' matrices, which autocast keeps.
    """
    if not ends_unrotated(spec):
        return _in_forward(spec, work, masked)[0]
    # Beside the last layer that is rotated, there are no keys and values of the last one.
    last, (before, cached) = (
        _in_forward(spec, work, masked, rotated=False)[0],
        _in_forward(spec, work, masked),
    )
    return max(last, before - cached)


def _in_forward(spec: ModelSpec, work: Workload, masked: bool, rotated: bool = True) -> tuple[int, int]:
    """The most bytes inside such a layer, and those of its keys and values in the cache."""
    tape, layer = _layer(spec, work, masked, adapted=False, rotated=rotated, trains=False)
    x = tape.new(work.tokens * spec.hidden, layer.model.element)
    # The embeddings are the first layer's input, if no positions are added to them.
    held = [] if spec.layers == 1 and not spec.learned_positions else [tape.new(x.number, x.element)]
    if spec.learned_positions:
        held.append(tape.new(position_rows(spec, work) * spec.hidden, x.element))
    with tape.part("layer"):
        layer.forward(x)
    held.clear()
    before = (spec.layers - 1) * tape.alive["copies"]
    cached = sum(each.storage.size for each in layer.cache)
    return tape.best["layer"][0] + before - cached, cached
