"""Publishes the report of a load: to the log, and to a file or callable of the caller."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

LOGGER = logging.getLogger("telepathy_runtime")


class Publishable(Protocol):
    """The common interface of the reports."""

    @property
    def model_id(self) -> str: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    def describe(self) -> str: ...
    def to_json(self) -> str: ...


def publish(report: Publishable, target: str | os.PathLike[str] | Callable[[Any], object] | None) -> None:
    """Log a report and its warnings, and pass it to `target`: a path (a JSON line is appended) or a callable.

    A file that cannot be written is only a warning, so that the loaded model is not lost. Exceptions of a
    callable are not caught.
    """
    for warning in report.warnings:
        LOGGER.warning("%s: %s", report.model_id or "given weights", warning)
    LOGGER.info("%s", report.describe())
    if callable(target):
        target(report)
    elif target is not None:
        try:
            # A single write per line, so that processes that append to the same file do not mix their lines.
            with Path(target).expanduser().open("a", encoding="utf-8") as stream:
                stream.write(report.to_json() + "\n")
        except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: no such home folder
            LOGGER.warning("the report was not written to %s: %s", target, error)
