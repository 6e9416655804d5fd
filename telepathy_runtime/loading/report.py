"""LoadReport: compares the request with the loaded model; as an object, a log line or a JSON line."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Union

from telepathy_runtime.choose.choice import plain
from telepathy_runtime.publishing import publish

_ATTRIBUTE = "_telepathy_load_report"

Target = Union[str, "os.PathLike[str]", Callable[["LoadReport"], object], None]


@dataclass(frozen=True)
class LoadReport:
    """One load. Bytes are integers; None means not measured, never zero.

    `requested` is what the caller passed, `effective` what the loaded object has; both have the keys dtype,
    attn_implementation, device_map, model_class, revision and quantization. `parameter_bytes` counts shared
    tensors once, and is also given by dtype and by device (offloaded weights are on "meta"). `generation` is
    field -> [before, after], and so is `prepared`, the changes that `purpose` made to the model. `adapter`
    has the loaded adapter, its base model, whether it was merged, and how many of its weights were loaded.
    `weights` has the number of parameters and of those loaded from the checkpoint, and for missing,
    mismatched, unexpected and newly_initialised weights the count and the first names; empty if transformers
    reported nothing.
    """

    model_id: str
    requested: Mapping[str, Any]
    effective: Mapping[str, Any]
    parameters: int
    parameter_bytes: int
    bytes_by_dtype: Mapping[str, int]
    bytes_by_device: Mapping[str, int]
    seconds: float
    rss_bytes: int | None = None
    device_bytes: Mapping[str, int] = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Any] = field(default_factory=dict)
    adapter: Mapping[str, Any] = field(default_factory=dict)
    purpose: str | None = None
    prepared: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @staticmethod
    def of(loaded: Any) -> LoadReport | None:
        """Return the report of a model that load_model returned; None for any other object."""
        found = getattr(loaded, "__dict__", {}).get(_ATTRIBUTE)
        return found if isinstance(found, LoadReport) else None

    def attach(self, loaded: Any) -> None:
        """Store the report on the object, outside parameters, buffers and saved files."""
        with contextlib.suppress(AttributeError, TypeError):  # an object with __slots__ cannot store it
            object.__setattr__(loaded, _ATTRIBUTE, self)

    def to_dict(self) -> dict[str, Any]:
        return {"event": "model_load", **{name: plain(value) for name, value in asdict(self).items()}}

    def to_json(self) -> str:
        """The report as one line of JSON."""
        return json.dumps(self.to_dict(), sort_keys=True)

    def describe(self) -> str:
        """The report as one line for a log."""
        got = self.effective
        quantized = f"quantised with {got['quantization']}, " if got.get("quantization") else ""
        return (
            f"loaded {self.model_id or 'given weights'} as {got['model_class']}: {got['dtype']}, {got['attn_implementation']} attention, "
            f"device_map {got['device_map']}, {quantized}{self.parameter_bytes / 2**30:.2f} GiB, {self.seconds:.1f} s"
        )

    def publish(self, target: Target = None) -> None:
        """Log the report and its warnings, and pass it to `target`: a path (a JSON line is appended) or a callable."""
        publish(self, target)
