"""Adapters on the matrices of a layer: their sizes, and what PEFT keeps for their backward.

T = batch * seq_len tokens, e = bytes per element. A target's name stands for one or two sites of a layer; which sites there
are follows from the family.
"""

from __future__ import annotations

from typing import NamedTuple

from telepathy_runtime.memory.families import form
from telepathy_runtime.memory.shapes import matrices
from telepathy_runtime.memory.targets import EVERY, UnknownTargetError, names_of, sites_of
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.architectures import VISION
from telepathy_runtime.models.spec import ModelSpec, NotModelledError
from telepathy_runtime.models.towers import WINDOWED, Tower


class Target(NamedTuple):
    """A matrix with an adapter."""

    site: str
    inputs: int
    outputs: int


def targets(spec: ModelSpec, work: Workload) -> list[Target]:
    """The matrices of one layer that have adapters, each once.

    Raises UnknownTargetError for a name that this architecture does not have, NotModelledError for one of an expert that reads every token.
    """
    shapes = matrices(spec)
    if spec.shared_width and _SHARED & set(work.lora_targets):
        raise NotModelledError(
            f"activations of adapters on the shared expert of {spec.architecture} have no closed form"
        )
    return [Target(site, *shapes[site]) for site in sites_of(work.lora_targets, form(spec), shapes)]


_SHARED = frozenset({EVERY, "gate_proj", "up_proj", "down_proj", "shared_expert_gate"})
"""Names of the linear layers of an expert that reads every token, and of what weighs it."""
PROJECTOR = ("first", "second")
"""The sites of a projector's matrices."""


def tower_matrices(spec: ModelSpec, work: Workload, skipped: int = 0) -> list[tuple[Target, int]]:
    """The matrices of a vision tower and its projector to which PEFT adds adapters, and how many layers but for so many `skipped` ones have each.

    Names of the text's matrices stand for theirs too, even if a step reads no image. None are known of a tower without a closed form.
    """
    tower = spec.vision
    if work.regime != "lora" or work.tower == "frozen" or tower is None:
        return []
    every = EVERY in work.lora_targets
    return [
        (target, 1 if target.site in PROJECTOR else tower.layers - skipped)
        for name, target in _linears(spec, tower).items()
        if every or name in work.lora_targets
    ]


def _linears(spec: ModelSpec, tower: Tower) -> dict[str, Target]:
    """The linear layers of a tower and its projector, by their names in transformers. Gemma 3's projector is none."""
    h, wide, text = tower.hidden, tower.intermediate, spec.hidden
    if tower.kind == WINDOWED:
        joined = h * tower.merge**2
        return {
            "qkv": Target("qkv", h, 3 * h), "proj": Target("o", h, h), "gate_proj": Target("gate", h, wide),
            "up_proj": Target("up", h, wide), "down_proj": Target("down", wide, h),
            "0": Target("first", joined, joined), "2": Target("second", joined, text),
        }  # fmt: skip
    found = {f"{site}_proj": Target(site, h, h) for site in "qkv"}
    found |= {"out_proj": Target("o", h, h), "fc1": Target("up", h, wide), "fc2": Target("down", wide, h)}
    if spec.architecture == "llava":
        found |= {"linear_1": Target("first", h, text), "linear_2": Target("second", text, text)}
    return found


def tower_params(spec: ModelSpec, work: Workload, skipped: int = 0) -> int:
    """Parameters of the adapters on a vision tower and its projector, without those of so many `skipped` layers."""
    return sum(layers * _params(target, work) for target, layers in tower_matrices(spec, work, skipped))


def tower_targets(spec: ModelSpec, work: Workload) -> list[Target]:
    """The matrices of a vision tower's layer, and of its projector, that have adapters and read images.

    Raises NotModelledError for DoRA.
    """
    there = [target for target, _ in tower_matrices(spec, work)] if work.image_tokens else []
    if there and work.dora:
        raise NotModelledError(f"activations of DoRA on the tower of {spec.architecture} have no closed form")
    return there


def check_names(spec: ModelSpec, work: Workload) -> None:
    """Check that the names of adapters on a model with vision are those of its text's matrices.

    Raises NotModelledError for names of matrices in a tower that reads images, and for a tower that is not known, to which names may reach
    too; UnknownTargetError for names of nothing that runs.
    """
    if spec.architecture not in VISION or work.regime != "lora":
        return
    if spec.vision is None and work.tower != "frozen":
        raise NotModelledError(f"adapters on {spec.architecture} with this tower have no closed form")
    text = set(names_of(form(spec), matrices(spec)).values()) | {EVERY}
    tower = _linears(spec, spec.vision) if spec.vision is not None else {}
    for name in work.lora_targets:
        if name in text:
            continue
        if name in tower and work.image_tokens and work.tower != "frozen":
            raise NotModelledError(
                f"activations of adapters on {name} of the tower of {spec.architecture} have no closed form"
            )
        names = dict.fromkeys(names_of(form(spec), matrices(spec)).values())
        if name in tower:
            why = "this matrix in its tower alone, which is frozen or reads nothing"
            raise UnknownTargetError(name, spec.architecture, names, why)
        raise UnknownTargetError(name, spec.architecture, (*names, *tower))


def embeddings_train(spec: ModelSpec, work: Workload) -> bool:
    """Whether the first layer's input takes gradients beside adapters: for a copy of the embeddings, or a tower's adapters."""
    return "embed_tokens" in work.modules_to_save or bool(tower_targets(spec, work))


def lora_params(spec: ModelSpec, work: Workload) -> int:
    """Parameters of the adapters on every layer of the text."""
    return spec.layers * adapter_params(spec, work)


def adapter_params(spec: ModelSpec, work: Workload, sites: frozenset[str] | None = None) -> int:
    """Parameters of the adapters on one layer, or only of those at `sites`; 0 if there are none."""
    if work.regime != "lora":
        return 0
    return sum(
        _params(target, work) for target in targets(spec, work) if sites is None or target.site in sites
    )


def _params(target: Target, work: Workload) -> int:
    """Parameters of one adapter; DoRA has a magnitude for each output."""
    return work.lora_rank * (target.inputs + target.outputs) + work.dora * target.outputs
