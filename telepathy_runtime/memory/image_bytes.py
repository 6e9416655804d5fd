"""What images add to a step: the bytes of a vision tower's forward and backward, from a tape.

The text's layers run between the two. What is alive beside them is measured at four moments.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from telepathy_runtime.memory.lora import tower_params
from telepathy_runtime.memory.operations import Model
from telepathy_runtime.memory.tape import Tape, Tensor
from telepathy_runtime.memory.towers import Features, pixels_of, program
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import ModelSpec, NotModelledError, UnknownOptionError, element_size
from telepathy_runtime.models.towers import Tower

KINDS = ("weights", "gradients", "activations", "transient")
Phase = tuple[str, dict[str, int]]
"""The name of a part of a step, and the bytes at its fullest moment, by component."""


class Images(NamedTuple):
    """Bytes of the images' part of a step, without weights and states; phases with the gradients of its own parameters."""

    forward: tuple[Phase, ...]
    backward: tuple[Phase, ...]
    layers: int  # while the text's layers run in the forward
    loss: int  # at the loss, still in the forward
    kept: int  # from then on to the tower's backward
    after: int  # until the next step
    trained: int  # parameters that take gradients
    gradients: int  # bytes of these gradients
    adapters: int  # parameters of the tower's adapters that take gradients
    sizes: tuple[tuple[int, int], ...]  # of each trained parameter: its numbers, and its rows and columns


@lru_cache(maxsize=256)
def image_bytes(spec: ModelSpec, work: Workload) -> Images:
    """The bytes of the images of a job.

    Raises NotModelledError for a tower without a closed form, UnknownOptionError for tokens that are no whole number of images.
    """
    tower = spec.vision
    if tower is None:
        raise NotModelledError(f"activations of {spec.architecture} with this tower have no closed form")
    tape = Tape(KINDS, work.trains)
    half = element_size(work.dtype) if work.casts else 0
    full, element = work.regime == "full", element_size(work.held_dtype)
    of_tower = Model(tape, element, full and work.tower == "trained", work.trains, half)
    of_projector = Model(tape, element, full and work.tower != "frozen", work.trains, half)
    models = (of_tower, of_projector)
    # Checkpointing makes embeddings, and what the convolution makes of the pixels, take a gradient.
    soft = work.checkpointing and not of_tower.trained
    try:
        forward = program(tape, spec, work, tower, models, soft)
    except ValueError as error:
        raise UnknownOptionError(str(error)) from None
    if sum(each.params for each in models) != spec.tower:
        raise NotModelledError(
            f"activations of {spec.id}, whose tower has other parameters than known, have no closed form"
        )
    return _Run(tape, spec, work, tower, models, forward).measured()


class _Run:
    """A step or two on the tape."""

    def __init__(
        self,
        tape: Tape,
        spec: ModelSpec,
        work: Workload,
        tower: Tower,
        models: tuple[Model, Model],
        forward: Callable[[Tensor], Features],
    ) -> None:
        self.tape, self.spec, self.work, self.tower, self.models = tape, spec, work, tower, models
        self.forward = forward
        self.rows = work.tokens * spec.hidden
        element = models[0].element
        self.pixels = tape.new(pixels_of(tower, work), element)
        # Where layers are checkpointed, the caller's embeddings, or those that PEFT makes take a gradient, stay beside what the first layer
        # reads; elsewhere the text's own formulas count them.
        self.given = work.checkpointing and work.regime in ("frozen_grad", "lora")
        takes = work.regime in ("full", "frozen_grad") or "embed_tokens" in work.modules_to_save
        self.embeddings = tape.parameter(self.rows, element, takes and not self.given)

    def alive(self) -> int:
        """Bytes beside weights and the gradients of parameters."""
        return sum(self.tape.alive.values()) - self.tape.parameter_gradients

    def phases(self) -> tuple[Phase, ...]:
        """What was seen since the last call."""
        found = tuple((name, dict(parts)) for name, (_, parts) in self.tape.best.items() if name)
        self.tape.best.clear()
        return found

    def embedded(self) -> Tensor:
        """The embeddings of the text, before features take their places."""
        element = self.embeddings.element
        if self.given:
            return self.tape.leaf(self.rows, element)
        made = self.tape.new(self.rows, element)
        return Tensor(made.storage, made.number, element, self.embeddings.node)

    def measured(self) -> Images:
        tape, work = self.tape, self.work
        returned: list[Tensor] = []
        leaves: list[Tensor] = []
        layers = loss = kept = after = 0
        forward: tuple[Phase, ...] = ()
        backward: tuple[Phase, ...] = ()
        for _ in range(2 if work.trains and (work.keep_outputs or work.grad_accum > 1) else 1):
            if work.grad_accum == 1:
                tape.zero_grad()
            self.phases()
            with tape.part("images, embedding"):
                embedded = self.embedded()
            features = self.forward(self.pixels)
            image, new = features.image, list(features.returned)
            with tape.part("images, merged"):
                mask = tape.new(work.tokens, 1)
                merged = tape.record(tape.new(self.rows, embedded.element), (embedded, image), (mask,))
            forward = self.phases()
            node, size = merged.node, merged.size
            del merged, embedded, mask
            layers = self.alive()
            del features, image
            loss = self.alive()
            for model in self.models:
                model.end_autocast()
            returned[:], leaves[:] = new, tape.leaves
            tape.leaves, new = [], []
            if not (work.keep_outputs and work.trains):
                returned.clear()
            kept = self.alive()
            self.phases()
            tape.phase = "images, merged, backward"
            if node is not None:
                tape.backward(Tensor(tape.new(0, 1).storage, size, 1, node))
                del node
            backward = self.phases()
            tape.phase = ""
            if self.embeddings.node is not None:
                self.embeddings.node.gradient = None
            after = self.alive()
        sizes = tuple(each for model in self.models for each in model.trained_sizes)
        trained = sum(number for number, _ in sizes)
        adapters = tower_params(self.spec, work, self.tower.skipped)
        gradients = trained * self.models[0].element + adapters * element_size(work.lora_dtype)
        return Images(forward, backward, layers, loss, kept, after, trained, gradients, adapters, sizes)
