"""Reads a monitor's log: estimates compared with measurements, and findings."""

from __future__ import annotations

import json
import os
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telepathy_runtime.memory.chart import Line
from telepathy_runtime.memory.units import gib

BAD = ("under", "over")


class LogError(ValueError):
    """A line is not a record of a known schema; the message names the line."""


@dataclass(frozen=True)
class Compared:
    """One record with an estimate: bytes, and their ratio (estimate over measured)."""

    device: str
    event: str
    label: str | None
    step: int
    estimated: int | None
    measured: int | None
    ratio: float | None
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """A whole log: `ratios` summarised as min, median, max and the share below 1 (estimate too low)."""

    rows: tuple[Compared, ...]
    findings: tuple[tuple[str, str, str], ...]  # (device, code, message), each once

    @property
    def ratios(self) -> tuple[float, ...]:
        """All measured ratios."""
        return tuple(row.ratio for row in self.rows if row.ratio is not None)

    @property
    def summary(self) -> dict[str, float | int | None]:
        """Count, min, median, max and share below 1 of the ratios."""
        ratios = self.ratios
        if not ratios:
            return {"measured": 0, "min": None, "median": None, "max": None, "below_1": None}
        below = sum(ratio < 1 for ratio in ratios) / len(ratios)
        return {
            "measured": len(ratios),
            "min": min(ratios),
            "median": statistics.median(ratios),
            "max": max(ratios),
            "below_1": below,
        }

    @property
    def bad(self) -> bool:
        """Whether an estimate was wrong or there are findings."""
        return bool(self.findings) or any(row.verdict in BAD for row in self.rows)


def read(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read the records of a log. Raises LogError, which names the line, or FileNotFoundError."""
    records = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise LogError(f"{path}:{number}: not JSON: {error}") from error
        if not isinstance(record, dict) or record.get("schema") != 1:
            raise LogError(f"{path}:{number}: not a memory record of schema 1")
        records.append(record)
    return records


def compare(path: str | os.PathLike[str]) -> Comparison:
    """Compare estimate and measurement of each record that has an estimate; list each finding once."""
    rows, findings = [], []
    for record in read(path):
        for finding in record.get("findings") or ():
            findings.append((record["device"], finding["code"], finding["message"]))
        if record["event"] == "oom":
            findings.append((record["device"], "out-of-memory", _oom_text(record)))
        estimate = record.get("estimate")
        if estimate is None:
            continue
        if record["event"] == "after_step":
            measured = record.get("max_allocated")
        else:
            measured = record.get("allocated" if record["event"] == "pair" else "delta_allocated")
        rows.append(
            Compared(
                record["device"],
                record["event"],
                record.get("label"),
                record["step"],
                estimate["bytes"],
                measured,
                record["ratio"],
                record["verdict"],
            )
        )
    return Comparison(tuple(rows), tuple(dict.fromkeys(findings)))


def lines(path: str | os.PathLike[str]) -> list[Line]:
    """The measured peak of each step, by process and device, for a chart: with the plan, if there is one, and the capacity.

    Raises LogError if no step was measured; otherwise as `read`.
    """
    points: dict[tuple[str, str], list[tuple[int, int]]] = {}
    limits: dict[tuple[str, str], list[tuple[int, str, str]]] = {}
    for record in read(path):
        size = record.get("max_allocated")
        what = "peak allocated"
        if size is None:
            size, what = record.get("rss"), "resident"
        if record["event"] != "after_step" or size is None:
            continue
        key = (f"rank {record['rank']} {record['device']}" if record.get("rank") else record["device"], what)
        points.setdefault(key, []).append((record["step"], size))
        planned, total = record.get("estimate"), record.get("total_bytes")
        limits[key] = [(planned["bytes"], "--", "planned")] if planned else []
        limits[key] += [(total, "-", "capacity")] if total and total < 3 * size else []
    if not points:
        raise LogError(f"{path}: no step was measured, so there is nothing to draw")
    return [Line(device, what, found, limits[device, what]) for (device, what), found in points.items()]


def _oom_text(record: dict[str, Any]) -> str:
    """Describe an out-of-memory record."""
    said = record.get("oom") or {}
    parts = [
        f"{gib(said[key])} {text}"
        for key, text in (
            ("tried", "asked for"),
            ("free", "free"),
            ("total", "in all"),
            ("allocated", "allocated by PyTorch"),
            ("reserved_unallocated", "reserved and not allocated"),
        )
        if said.get(key) is not None
    ]
    where = f"memory ran out in step {record['step'] + 1}"
    return f"{where}: {', '.join(parts)}" if parts else where
