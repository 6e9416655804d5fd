"""A step that reads images: the instants of the text's layers, with what the images add to each, and those of the tower."""

from __future__ import annotations

from dataclasses import replace

from telepathy_runtime.memory.image_bytes import Images, Phase, image_bytes
from telepathy_runtime.memory.instants import Instant
from telepathy_runtime.memory.lora import check_names
from telepathy_runtime.memory.optimizers import Trained, one_by_one, optimizer_bytes
from telepathy_runtime.memory.states import States, adapter_shapes
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.architectures import VISION
from telepathy_runtime.models.spec import ModelSpec, NotModelledError, UnknownOptionError, element_size
from telepathy_runtime.models.towers import sides_of

SINCE = (5, 20)
"""The first transformers whose towers are known to run as here."""
_PLAIN = (
    "packed",
    "hidden_states",
    "objective",
    "kernels",
    "quantized",
    "checkpoint_every",
    "reentrant",
    "opt_in_backward",
    "offload",
)
"""Settings that are known in their default alone."""


def check_reads(name: str, architecture: str, work: Workload) -> None:
    """Raise UnknownOptionError if the job of a model without a vision tower has settings of one."""
    if architecture in VISION:
        return
    known = ", ".join(VISION)
    if work.image_tokens:
        raise UnknownOptionError(
            f"image_tokens (--image-tokens): {name} reads no images that are modelled; known: {known}"
        )
    if work.tower != Workload.tower:
        raise UnknownOptionError(
            f"tower={work.tower!r} (--tower): {name} has no tower that is modelled; known: {known}"
        )


def check_images(spec: ModelSpec, work: Workload) -> None:
    """Check a job's images, as it was asked for and not as the model runs it.

    Raises NotModelledError for a job that is not known, UnknownOptionError for attention that the model does not have.
    """
    check_names(spec, work)
    if not work.image_tokens:
        return
    if spec.architecture == "gemma3" and work.attn == "flash_attention_2":
        raise UnknownOptionError(
            "transformers has no flash_attention_2 for images of gemma3; known: sdpa, eager"
        )
    what = _unknown(spec, work)
    if what:
        raise NotModelledError(f"activations of {spec.architecture} with images{what} have no closed form")


def text_of(spec: ModelSpec, work: Workload) -> Workload:
    """The job as the text's layers run it: Gemma 3 has masks for images, as for a padded batch."""
    return work.but(padded=True) if work.image_tokens and spec.architecture == "gemma3" else work


def _unknown(spec: ModelSpec, work: Workload) -> str:
    if work.version < SINCE:
        return f" before transformers {'.'.join(map(str, SINCE))}"
    for field in _PLAIN:
        if getattr(work, field) != getattr(Workload, field):
            value = getattr(work, field)
            return f" and {field}={','.join(value) if isinstance(value, tuple) else repr(value)}"
    if spec.stored_bytes:
        return " and quantised weights"
    if work.shard not in ("none", "ddp", "zero1"):
        return f" and shard={work.shard!r}"
    if work.optimizer == "muon" and work.regime == "full" and work.tower == "trained":
        return " and optimizer='muon'"
    return ""


def note_of(spec: ModelSpec, work: Workload) -> str:
    """The images that each sequence reads, and the library that runs them so."""
    tower = spec.vision
    assert tower is not None
    number = work.image_tokens // tower.tokens if tower.tokens else 1
    size = f"{tower.image} by {tower.image} pixels"
    if not tower.tokens:
        rows, columns = sides_of(work.image_tokens, tower.merge)
        size = f"{rows * tower.patch} by {columns * tower.patch} pixels"
    images = f"{number} image{'s' * (number > 1)} of {size}"
    return (
        f"each sequence reads {images}; counted as transformers {work.transformers} runs {spec.architecture}"
    )


def with_tower(spec: ModelSpec, work: Workload, held: States) -> States:
    """The states of a job with those of the tower that the layers' shapes do not show: of its adapters, or of each of its tensors."""
    images = image_bytes(spec, work)
    read = images.adapters
    if read:
        if work.shard != "none":  # whole buffers, which have been counted
            return held
        element = element_size(work.lora_dtype)
        shapes = adapter_shapes(spec, work, spec.vision.skipped if spec.vision is not None else 0)
        more = Trained(read, element, shapes)
        beside = read * element * (work.optimizer == "adamw" and work.opt_impl == "foreach")
        return replace(
            held,
            gradients=held.gradients + read * element,
            optimizer=held.optimizer + optimizer_bytes(work.optimizer, more),
            step_transient=held.step_transient + beside,
        )
    single = (work.optimizer, work.opt_impl) == ("adamw", "single")
    if not images.sizes or not (single or work.optimizer == "adafactor"):
        return held
    element = element_size(work.held_dtype)
    tensors = [(number, means * (means != number)) for number, means in images.sizes]
    own = 4 * sum(means for _, means in images.sizes) if work.optimizer == "adafactor" else 0
    transient = max(held.step_transient, one_by_one(work, element, tensors))
    return replace(held, optimizer=held.optimizer + own, step_transient=transient)


_FORWARD = {
    "last layer, forward": "layers",
    "prefill, last layer": "layers",
    "loss, forward": "loss",
    "prefill, logits": "loss",
}
"""At the other instants before these, what the tower keeps is alive."""
_AFTER = ("embedding, backward", "optimizer step")


def with_images(
    spec: ModelSpec, work: Workload, held: States, text: tuple[Instant, ...]
) -> tuple[Instant, ...]:
    """The instants of a step that reads images, from those of a step of text alone."""
    images = image_bytes(spec, work)
    moved = tuple(_beside(work, images, each) for each in text)
    base = Instant("", held.weights, optimizer=held.optimizer, transient=held.bucket)
    if not work.trains:
        return (*_of_phases(base, images.forward), *moved)
    (end,) = (each for each in text if each.name == "embedding, backward")
    before = held.gradients - images.gradients if work.grad_accum > 1 else 0
    ready = replace(base, logits=end.logits, kv_cache=end.kv_cache, gradients=before)
    # The gradients of the text are there, but those of its embeddings, which wait for the tower.
    table = spec.embedding_params * element_size(work.held_dtype) * (work.regime == "full")
    alone = table * (not spec.tied) * (work.grad_accum == 1)
    waits = table * spec.tied * (work.grad_accum > 1)
    behind = replace(ready, gradients=held.gradients - images.gradients - alone + waits)
    before_it = [each for each in moved if each.name not in _AFTER]
    return (
        *_of_phases(ready, images.forward),
        *before_it,
        *_of_phases(behind, images.backward),
        *moved[len(before_it) :],
    )


def _beside(work: Workload, images: Images, at: Instant) -> Instant:
    """An instant of the text, with what the images have in memory then."""
    if not work.trains and at.name not in _FORWARD:  # of generated tokens
        return replace(at, activations=at.activations + images.after)
    name = "after" if at.name in _AFTER else _FORWARD.get(at.name, "kept")
    early = images.gradients * (at.name == "first layer, backward" and work.grad_accum == 1)
    return replace(at, activations=at.activations + getattr(images, name), gradients=at.gradients - early)


def _of_phases(base: Instant, phases: tuple[Phase, ...]) -> list[Instant]:
    found = []
    for name, parts in phases:
        sums = {kind: getattr(base, kind) + size for kind, size in parts.items()}
        found.append(replace(base, name=name, **sums))
    return found
