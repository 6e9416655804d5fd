"""Reports of loads, to the log and to where the caller wants them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

LOGGER = logging.getLogger("telepathy_runtime")


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
