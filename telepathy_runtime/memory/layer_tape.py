"""One layer on a tape: what its forward and its backward need at most, and a forward without gradients.

For adapters on all layers without experts, for Gemma 3's in all regimes, and without gradients for those that are built as Llama's. Which of many short tensors are the most depends on tokens, widths and rank, so they are counted in the order of PEFT's
and transformers' code.
"""

from __future__ import annotations

import weakref
from functools import lru_cache, partial
from typing import NamedTuple

from telepathy_runtime.memory.families import Family, family
from telepathy_runtime.memory.layer_program import Layer
from telepathy_runtime.memory.layers import autocast
from telepathy_runtime.memory.operations import Model
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


def built_as_llama(how: Family, experts: int) -> bool:
    """Whether a layer has two norms in PyTorch's operations, each before a block, and no experts."""
    return not experts and how.norm in ("rms", "rms32") and (how.before, how.after) == (2, 0)


def on_tape(how: Family, experts: int) -> bool:
    """Whether a layer is built as above, or as Gemma 3's, with norms of its blocks' outputs."""
    if how.after and (how.norm != "rms32" or not how.sdpa):
        return False
    return built_as_llama(how._replace(after=0), experts)


def steps_on_tape(how: Family, experts: int, work: Workload) -> bool:
    """Whether a step of training is counted so: with adapters on layers without experts, and in all regimes where they are as Gemma 3's."""
    if work.regime == "lora":
        return not experts
    return work.trains and bool(how.after) and on_tape(how, experts) and not work.opt_in_backward


def infers_on_tape(spec: ModelSpec, work: Workload) -> bool:
    """Whether a layer without gradients is counted so, too: not with parts that are joined, or one matrix for several, or a quantised one."""
    how = family(spec)
    apart = not (how.joined or how.fused_qkv or how.fused_gate or unpacks(spec, work))
    return apart and on_tape(how, spec.experts)


def unpacks(spec: ModelSpec, work: Workload) -> bool:
    """Whether the matrices of a layer are stored in a form that is unpacked for each product."""
    return bool(work.quantized != "none" or spec.stored_bytes)


@lru_cache(maxsize=512)
def peaks(spec: ModelSpec, work: Workload, masked: bool, first: bool = False, rotated: bool = True) -> Peaks:
    """What a layer of a model with adapters keeps and needs in a step.

    `masked`: with a 4-D mask, for padding or a sliding window. `first`: its input needs no gradient. `rotated`: its queries and keys are.
    """
    tape = Tape(KINDS, trains=True)
    element = 4 if autocast(work) else element_size(work.held_dtype)
    half = element_size(work.dtype) if work.casts else 0
    model = Model(tape, element, trained=False, training=True, half=half)
    layer = Layer(tape, model, spec, work, masked, rotated=rotated)
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


@lru_cache(maxsize=512)
def norm_forward(spec: ModelSpec, work: Workload) -> int:
    """The most bytes inside the last norm's forward, beside its input and what it keeps."""
    tape = Tape(KINDS, trains=True)
    element = 4 if autocast(work) else element_size(work.held_dtype)
    half = element_size(work.dtype) if work.casts else 0
    layer = Layer(tape, Model(tape, element, False, True, half), spec, work, masked=False, adapted=False)
    x = tape.leaf(work.tokens * spec.hidden, element)
    before = sum(tape.alive.values())
    with tape.part("norm"):
        out = layer.norm(x, spec.hidden)
    most = tape.best["norm"][0]
    kept = sum(tape.alive.values()) - out.storage.size
    del out
    return most - max(kept, before)


@lru_cache(maxsize=512)
def most_without_gradients(spec: ModelSpec, work: Workload, masked: bool) -> int:
    """The most bytes inside the last layer's forward without gradients and adapters, with its input and the model's embeddings.

    Without the cache, but with the copies of all layers' matrices, which autocast keeps.
    """
    tape = Tape(KINDS, trains=False)
    element = 4 if autocast(work) else element_size(work.held_dtype)
    half = element_size(work.dtype) if work.casts else 0
    model = Model(tape, element, trained=False, training=False, half=half)
    layer = Layer(tape, model, spec, work, masked, adapted=False)
    x = tape.new(work.tokens * spec.hidden, element)
    held = (
        x if spec.layers == 1 else tape.new(x.number, element)
    )  # the embeddings are the first layer's input
    with tape.part("layer"):
        layer.forward(x)
    del held
    before = (spec.layers - 1) * tape.alive["copies"]
    return tape.best["layer"][0] + before - sum(each.storage.size for each in layer.cache)
