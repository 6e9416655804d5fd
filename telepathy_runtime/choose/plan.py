"""A load, decided but not done: what was asked, what transformers will be given, and why. Frozen, torch-free, printable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from telepathy_runtime.choose import attention, placement, precision
from telepathy_runtime.choose.attention import ClassTraits
from telepathy_runtime.choose.choice import Choice, show
from telepathy_runtime.machine.environment import Machine

if TYPE_CHECKING:
    from telepathy_runtime.checkpoint.downloads import Download

# Keywords with which transformers shards the weights itself; a device map beside them is refused.
TENSOR_PARALLEL = ("tp_plan", "tp_size", "distributed_config", "device_mesh")


@dataclass(frozen=True)
class Request:
    """What the caller asked for. `keywords` are the other keywords of from_pretrained, as given."""

    model_id: str
    class_name: str = "AutoModelForCausalLM"
    dtype: Any = precision.DEFAULT
    device_map: Any = placement.RESOLVE
    attn_implementation: Any = attention.RESOLVE
    generation_config: Any = "default"
    keywords: Mapping[str, Any] = field(default_factory=dict)

    @property
    def asked(self) -> str:
        """How messages call the load."""
        what = repr(self.model_id) if self.model_id else "weights that are given"
        return f"loading {what} with {self.class_name}"

    @property
    def raw(self) -> bool:
        """All four left to transformers: the call is from_pretrained and nothing else."""
        owned = (self.dtype, self.device_map, self.attn_implementation, self.generation_config)
        return all(value is None for value in owned)


@dataclass(frozen=True)
class Facts:
    """What is known of the checkpoint before it is loaded; None: not known."""

    traits: ClassTraits | None = None
    model_type: str | None = None
    weight_bytes: int | None = None
    saved_dtype: str | None = None  # what dtype="auto" gives
    wants_attentions: bool = False
    download: Download | None = None


@dataclass(frozen=True)
class LoadPlan:
    """The decisions. `warnings` holds those of all of them, in the order in which they were taken."""

    request: Request
    dtype: Choice[Any]
    device_map: Choice[Any]
    attn_implementation: Choice[Any]
    generation: Choice[Any]
    model_type: str | None = None  # of the checkpoint, where it was read
    download: Download | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        choices = (self.dtype, self.device_map, self.attn_implementation, self.generation)
        return tuple(warning for choice in choices for warning in choice.warnings)

    def keywords(self, dtype_keyword: str = "dtype") -> dict[str, Any]:
        """The keywords for from_pretrained, with dtypes still as names. What is None is left out."""
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
        """The plan for a reader: the call, and a line for each decision."""
        shown = ", ".join(f"{name}={show(value)}" for name, value in self.keywords().items())
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
    """Whether the call says where weights go for which no device has room."""
    return any(name.startswith("offload_") and value for name, value in keywords.items())


def make_plan(request: Request, machine: Machine, facts: Facts) -> LoadPlan:
    """Decide everything. Pure: the same arguments give the same plan, on any machine and without torch.

    Raises DeviceMapError and AttentionError where what was asked for by name cannot be.
    """
    keywords = request.keywords
    tensor_parallel = any(keywords.get(name) is not None for name in TENSOR_PARALLEL)
    dtype = precision.choose_dtype(machine, request.dtype, model_type=facts.model_type)
    device_map = placement.choose_device_map(
        machine,
        request.device_map,
        weight_bytes=facts.weight_bytes,
        tensor_parallel=tensor_parallel,
        max_memory=keywords.get("max_memory"),
        offload=offloads(keywords),
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
    """The dtype the weights will have, None where that is left to transformers or differs by part."""
    if chosen == "auto":
        return saved
    return chosen if isinstance(chosen, str) else None


def _on_accelerator(device_map: Any, machine: Machine, tensor_parallel: bool) -> bool:
    """Whether the weights end on a GPU. Without a map they stay on the CPU until somebody moves them, or nobody."""
    if device_map is None:
        return tensor_parallel or machine.sharding is not None
    places = device_map.values() if isinstance(device_map, Mapping) else (device_map,)
    return not all(str(place).split(":")[0] in {"cpu", "disk", "meta"} for place in places)


def _generation(asked: Any) -> Choice[Any]:
    if asked is None:
        return Choice(None, "asked to leave it to transformers")
    if isinstance(asked, str):
        return Choice(
            "default", "merged into the shipped settings: greedy, at most 256 new tokens, stop ids kept"
        )
    return Choice(asked, "as given, merged into the shipped settings")


def plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return show(value)
