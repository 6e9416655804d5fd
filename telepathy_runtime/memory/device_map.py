"""Which layer `device_map="auto"` puts on which GPU: transformers' rules over a model's dimensions, without torch.

GPUs are filled one after the other and never gone back to. All but the last take at most an even share of the weights and
a quarter more than the largest part; the first also keeps room for the largest part that comes after, in case
something is left to the CPU. A decoder layer is not split; a tied head goes where the embedding is.
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
    """A part that is placed as a whole."""

    name: str
    bytes: int
    layers: int = 0
    matrices: int = 0  # bytes of its largest single tensor


@dataclass(frozen=True)
class Placed:
    """One device and what lies on it."""

    device: int | str
    limit: int  # bytes that it may take; 0 for the CPU, which takes the rest
    parts: tuple[Part, ...]

    @property
    def bytes(self) -> int:
        """Bytes of the weights on it."""
        return sum(part.bytes for part in self.parts)

    @property
    def layers(self) -> int:
        """Decoder layers on it."""
        return sum(part.layers for part in self.parts)


def parts_of(spec: ModelSpec, dtype: str = "bfloat16") -> list[Part]:
    """The parts of a decoder in the order in which transformers places them.

    Raises UnknownOptionError for a model whose parts are not known one by one.
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
        # Its frequencies, twice, in float32.
        parts.append(Part("model.rotary_emb", 4 * spec.head_dim, matrices=2 * spec.head_dim))
    head = spec.head_params * e
    return [*parts, Part("lm_head", head, matrices=head)]


def limits(parts: Sequence[Part], room: Sequence[int]) -> list[int]:
    """Bytes that "auto" lets each GPU take, of the `room` on each."""
    if len(room) == 1:
        return [int(room[0] * ONE_GPU)]
    total = sum(part.bytes for part in parts)
    largest = max(max(part.bytes if part.layers else 0, part.matrices) for part in parts)
    share = total // len(room) + int(1.25 * largest)
    return [*(min(share, size) for size in room[:-1]), room[-1]]


def place(spec: ModelSpec, room: Sequence[int], dtype: str = "bfloat16") -> list[Placed]:
    """Where "auto" puts each part of `spec` on GPUs with `room` bytes each; what fits none is on the CPU, the last entry.

    Raises UnknownOptionError for a model whose parts are not known, or without GPUs.
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
            break  # with the embedding
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
