"""A moment of a step, and what is in memory then."""

from __future__ import annotations

from dataclasses import dataclass

COMPONENTS = ("weights", "gradients", "optimizer", "activations", "logits", "kv_cache", "transient")


@dataclass(frozen=True)
class Instant:
    """One moment of a step, and the bytes in memory then, by component."""

    name: str
    weights: int = 0
    gradients: int = 0
    optimizer: int = 0
    activations: int = 0
    logits: int = 0
    kv_cache: int = 0
    transient: int = 0

    @property
    def total(self) -> int:
        """Bytes alive at this instant."""
        return (
            self.weights + self.gradients + self.optimizer + self.activations + self.logits + self.kv_cache
            + self.transient
        )  # fmt: skip

    def components(self) -> dict[str, int]:
        """Bytes by component; they add up to `total`."""
        return {name: getattr(self, name) for name in COMPONENTS}
