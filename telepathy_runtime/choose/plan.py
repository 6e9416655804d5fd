"""A load plan: what was requested, what transformers will be given, and why. Immutable, printable, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from telepathy_runtime.checkpoint.downloads import Download
from telepathy_runtime.choose import attention, placement, precision
from telepathy_runtime.choose.attention import ClassTraits
from telepathy_runtime.choose.choice import Choice, plain, show
from telepathy_runtime.machine.environment import Machine

_SECRET = ("token", "use_auth_token")  # must not appear in logs or issues
# With these keywords transformers shards the weights itself and refuses a device map.
TENSOR_PARALLEL = ("tp_plan", "tp_size", "distributed_config", "device_mesh")


@dataclass(frozen=True)
class Request:
    """The caller's request. `keywords` are the other keywords of from_pretrained, unchanged."""

    model_id: str
    class_name: str = "AutoModelForCausalLM"
    dtype: Any = precision.RESOLVE
    device_map: Any = placement.RESOLVE
    attn_implementation: Any = attention.RESOLVE
    generation_config: Any = "default"
    keywords: Mapping[str, Any] = field(default_factory=dict)
    purpose: str | None = None
    quantization: str | None = None

    @property
    def asked(self) -> str:
        """How messages name the load."""
        what = repr(self.model_id) if self.model_id else "weights that are given"
        return f"loading {what} with {self.class_name}"

    @property
    def raw(self) -> bool:
        """Whether all four settings are left to transformers, so that the call is a plain from_pretrained."""
        owned = (self.dtype, self.device_map, self.attn_implementation, self.generation_config)
        return all(value is None for value in owned)


@dataclass(frozen=True)
class Facts:
    """What is known about the checkpoint before it is loaded; None means unknown."""

    traits: ClassTraits | None = None
    model_type: str | None = None
    weight_bytes: int | None = None
    saved_dtype: str | None = None  # the result of dtype="auto"
    wants_attentions: bool = False
    download: Download | None = None


@dataclass(frozen=True)
class LoadPlan:
    """The decisions of a load. `warnings` has the warnings of all decisions, in their order."""

    request: Request
    dtype: Choice[Any]
    device_map: Choice[Any]
    attn_implementation: Choice[Any]
    generation: Choice[Any]
    model_type: str | None = None  # of the checkpoint, if its config was read
    download: Download | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        choices = (self.dtype, self.device_map, self.attn_implementation, self.generation)
        return tuple(warning for choice in choices for warning in choice.warnings)

    def keywords(self, dtype_keyword: str = "dtype") -> dict[str, Any]:
        """The keywords for from_pretrained, with dtypes as names and without those that are None."""
        owned = {
            dtype_keyword: self.dtype.value,
            "device_map": self.device_map.value,
            "attn_implementation": self.attn_implementation.value if self.attn_implementation.told else None,
        }
        return {
            **self.request.keywords,
            **{name: value for name, value in owned.items() if value is not None},
        }

    def describe(self) -> str:
        """Format the plan for people: the call, and a line for each decision."""
        shown = ", ".join(
            f"{name}={'...' if name in _SECRET and isinstance(value, str) else show(value)}"
            for name, value in self.keywords().items()
        )
        call = f"{self.request.class_name}.from_pretrained({self.request.model_id!r}{', ' if shown else ''}{shown})"
        decisions: tuple[str, ...] = (
            self.dtype.describe("dtype"),
            self.device_map.describe("device_map"),
            self.attn_implementation.describe("attn_implementation"),
            self.generation.describe("generation_config"),
        )
        if self.download is not None:
            decisions = (*decisions, self.download.describe())
        return "\n".join((call, *(f"  {line}" for text in decisions for line in text.splitlines())))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        choices = {
            "dtype": self.dtype,
            "device_map": self.device_map,
            "attn_implementation": self.attn_implementation,
            "generation_config": self.generation,
        }
        return {
            "model_id": self.request.model_id,
            "model_class": self.request.class_name,
            "purpose": self.request.purpose,
            "quantization": self.request.quantization,
            "keywords": sorted(self.request.keywords),
            "download": None if self.download is None else self.download.describe(),
            **{
                name: {
                    "value": plain(choice.value),
                    "because": choice.because,
                    "warnings": list(choice.warnings),
                }
                for name, choice in choices.items()
            },
        }


def offloads(keywords: Mapping[str, Any]) -> bool:
    """Whether the call has an argument for weights that do not fit on a device."""
    return any(name.startswith("offload_") and value for name, value in keywords.items())


def make_plan(request: Request, machine: Machine, facts: Facts) -> LoadPlan:
    """Make all decisions; a pure function that does not need torch.

    Raises DeviceMapError or AttentionError if a value requested by name is impossible.
    """
    keywords = request.keywords
    tensor_parallel = any(keywords.get(name) is not None for name in TENSOR_PARALLEL)
    dtype = precision.choose_dtype(
        machine, request.dtype, model_type=facts.model_type, purpose=request.purpose
    )
    device_map = placement.choose_device_map(
        machine,
        request.device_map,
        weight_bytes=facts.weight_bytes,
        tensor_parallel=tensor_parallel,
        max_memory=keywords.get("max_memory"),
        offload=offloads(keywords),
        purpose=request.purpose,
    )
    attn = attention.choose_attention(
        machine,
        request.attn_implementation,
        traits=facts.traits,
        dtype=known_dtype(dtype.value, facts.saved_dtype),
        on_accelerator=_on_accelerator(device_map.value, machine, tensor_parallel),
        wants_attentions=bool(keywords.get("output_attentions", facts.wants_attentions)),
    )
    return LoadPlan(
        request,
        dtype,
        device_map,
        attn,
        _generation(request.generation_config),
        facts.model_type,
        facts.download,
    )


def known_dtype(chosen: Any, saved: str | None) -> str | None:
    """The dtype of the loaded weights; None if transformers decides or it differs between parts."""
    if chosen == "auto":
        return saved
    return chosen if isinstance(chosen, str) else None


def _on_accelerator(device_map: Any, machine: Machine, tensor_parallel: bool) -> bool:
    """Whether the load puts the weights on a GPU; without a device map they stay on the CPU."""
    if device_map is None:
        return tensor_parallel or machine.sharding is not None
    places = device_map.values() if isinstance(device_map, Mapping) else (device_map,)
    return not all(str(place).split(":")[0] in {"cpu", "disk", "meta"} for place in places)


def _generation(asked: Any) -> Choice[Any]:
    if asked is None:
        return Choice(None, "left to transformers as requested")
    if isinstance(asked, str):
        return Choice(
            "default", "merged into the shipped settings: greedy, at most 256 new tokens, stop ids kept"
        )
    return Choice(asked, "as given, merged into the shipped settings")
