"""LoadReport: what was asked for against what the loaded model really is, as an object, a log line and a JSON line."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, Union

from telepathy_runtime.choose.plan import plain

LOGGER = logging.getLogger("telepathy_runtime")
_ATTRIBUTE = "_telepathy_load_report"

Target = Union[str, "os.PathLike[str]", Callable[["LoadReport"], object], None]


@dataclass(frozen=True)
class LoadReport:
    """One load. Bytes are integers; None means that nothing was measured, never zero.

    `requested` is what the caller wrote, `effective` what the loaded object has, both with the keys dtype,
    attn_implementation, device_map, model_class and revision. `parameter_bytes` counts shared tensors once, and is also
    given by dtype and by device ("meta" is where offloaded weights are). `generation` is field -> [before, after].
    `weights` says how many parameters there are and how many arrived from the checkpoint, and of the missing, mismatched,
    unexpected and newly_initialised ones, where there are any, the count and the first names; empty where transformers did
    not say.
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
    warnings: tuple[str, ...] = ()

    @staticmethod
    def of(loaded: Any) -> LoadReport | None:
        """The report of a model that load_model returned; None for any other object."""
        found = getattr(loaded, "__dict__", {}).get(_ATTRIBUTE)
        return found if isinstance(found, LoadReport) else None

    def attach(self, loaded: Any) -> None:
        """Keep the report with the object, outside parameters, buffers and saved files."""
        with contextlib.suppress(AttributeError, TypeError):  # an object with slots keeps none
            object.__setattr__(loaded, _ATTRIBUTE, self)

    def to_dict(self) -> dict[str, Any]:
        return {"event": "model_load", **{name: plain(value) for name, value in asdict(self).items()}}

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.to_dict(), sort_keys=True)

    def describe(self) -> str:
        """One line for a log."""
        got = self.effective
        return (
            f"loaded {self.model_id or 'given weights'} as {got['model_class']}: {got['dtype']}, {got['attn_implementation']} attention, "
            f"device_map {got['device_map']}, {self.parameter_bytes / 2**30:.2f} GiB, {self.seconds:.1f} s"
        )

    def publish(self, target: Target = None) -> None:
        """Log the report and its warnings, and hand it to `target`: a path (JSON lines are appended) or a callable."""
        publish(self, target)


class Publishable(Protocol):
    """What the reports of models and of tokenizers have in common."""

    @property
    def model_id(self) -> str: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    def describe(self) -> str: ...
    def to_json(self) -> str: ...


def publish(report: Publishable, target: str | os.PathLike[str] | Callable[[Any], object] | None) -> None:
    """Log a report and its warnings, and hand it to `target`: a path (JSON lines are appended) or a callable.

    A file that cannot be written is a warning: what was loaded is worth more than its report. What a callable raises is
    the caller's own, and is left alone.
    """
    for warning in report.warnings:
        LOGGER.warning("%s: %s", report.model_id or "given weights", warning)
    LOGGER.info("%s", report.describe())
    if callable(target):
        target(report)
    elif target is not None:
        try:
            # One write of one line: processes that append to the same file do not mix their lines.
            with Path(target).expanduser().open("a", encoding="utf-8") as stream:
                stream.write(report.to_json() + "\n")
        except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: there is no such home folder
            LOGGER.warning("the report was not written to %s: %s", target, error)
