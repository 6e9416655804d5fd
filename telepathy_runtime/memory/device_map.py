"""Computes which layer `device_map="auto"` puts on which GPU, with transformers' rules and without torch.

GPUs are filled in order, and never revisited. All except the last get at most an equal share of the weights
plus a quarter of the largest part; the first also reserves space for the largest later part, in case
something is offloaded to the CPU. A decoder layer is not split; a tied head is on the same device as the
embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from telepathy_runtime.models.spec import ModelSpec, UnknownOptionError, element_size

CPU = "cpu"
ONE_GPU = 0.9
"""The share of a single GPU that "auto" fills."""


@dataclass(frozen=True)
class Part:
    """A part that is not split."""

    name: str
    bytes: int
    layers: int = 0
    matrices: int = 0  # bytes of its largest tensor


@dataclass(frozen=True)
class Placed:
    """A device and the parts on it."""

    device: int | str
    limit: int  # maximum bytes; 0 for the CPU, which gets the rest
    parts: tuple[Part, ...]

    @property
    def bytes(self) -> int:
        """Bytes of the weights on the device."""
        return sum(part.bytes for part in self.parts)

    @property
    def layers(self) -> int:
        """Number of decoder layers on the device."""
        return sum(part.layers for part in self.parts)


def parts_of(spec: ModelSpec, dtype: str = "bfloat16") -> list[Part]:
    """The parts of a decoder in the order in which transformers places them.

    Raises UnknownOptionError for a model whose parts are not known.
    """
    if spec.counted or spec.encoder_layers or not spec.layers or spec.stored_bytes:
        raise UnknownOptionError(f"{spec.id}: the parts of {spec.architecture} are not known one by one")
    e = element_size(dtype)
    table = spec.embedding_params * e
    layer = spec.layer_params * e
    widest = spec.hidden * max(spec.intermediate, spec.query_dim) * e
    norm = spec.params - spec.layers * spec.layer_params - spec.embedding_params - spec.head_params
    parts = [Part("model.embed_tokens", table, matrices=table)]
    parts += [Part(f"model.layers.{number}", layer, 1, widest) for number in range(spec.layers)]
    parts.append(Part("model.norm", norm * e, matrices=norm * e))
    if spec.rope_theta or not spec.learned_positions:
        # Two copies of its frequencies in float32.
        parts.append(Part("model.rotary_emb", 4 * spec.head_dim, matrices=2 * spec.head_dim))
    head = spec.head_params * e
    return [*parts, Part("lm_head", head, matrices=head)]


def limits(parts: Sequence[Part], room: Sequence[int]) -> list[int]:
    """The maximum bytes that "auto" puts on each GPU, given the `room` on each."""
    if len(room) == 1:
        return [int(room[0] * ONE_GPU)]
    total = sum(part.bytes for part in parts)
    largest = max(max(part.bytes if part.layers else 0, part.matrices) for part in parts)
    share = total // len(room) + int(1.25 * largest)
    return [*(min(share, size) for size in room[:-1]), room[-1]]


def place(spec: ModelSpec, room: Sequence[int], dtype: str = "bfloat16") -> list[Placed]:
    """The devices, with the parts of `spec` that "auto" puts on each; the last entry is the CPU, with the rest.

    `room` is the number of bytes on each GPU. Raises UnknownOptionError for a model whose parts are not
    known, or without GPUs.
    """
    if not room:
        raise UnknownOptionError("device_map='auto' needs at least one GPU")
    parts = parts_of(spec, dtype)
    allowed = limits(parts, room)
    on: list[list[Part]] = [[] for _ in allowed]
    rest: list[Part] = []
    device, used = 0, 0
    for index, part in enumerate(parts):
        if spec.tied and part.name == "lm_head":
            break  # on the device of the embedding
        kept = max((other.bytes for other in parts[index + 1 :]), default=0) if device == 0 else 0
        while device < len(allowed) and used + part.bytes > allowed[device] - kept:
            device, used, kept = device + 1, 0, 0
        if device == len(allowed):
            rest.append(part)
        else:
            on[device].append(part)
            used += part.bytes
    placed = [Placed(number, limit, tuple(on[number])) for number, limit in enumerate(allowed)]
    return [*placed, Placed(CPU, 0, tuple(rest))] if rest else placed
