"""Counts the results of a survey: how many loads set each setting, by year, library and class, and how many findings."""

from __future__ import annotations

import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from telepathy_lint.batch.records import SETTINGS
from telepathy_lint.batch.survey import NUMBERS, PARTS

MODEL_SETTINGS = ("dtype", "device_map", "attention", "generation_config", "quantization", "revision")
TOKENIZER_SETTINGS = ("pad_token", "padding_side", "revision")
_YEAR = re.compile(r"(?:19|20)\d\d")
_READ = ("path", "loads", "findings", "error")
UNKNOWN = "unknown"
OWN = "a class of the file"
SEVERAL = "one of several"


@dataclass
class Share:
    """Loads that set a setting, that do not, and where this cannot be decided."""

    set: int = 0
    unset: int = 0
    undecided: int = 0

    def add(self, known: bool | None) -> None:
        if known is None:
            self.undecided += 1
        elif known:
            self.set += 1
        else:
            self.unset += 1

    @property
    def decided(self) -> int:
        return self.set + self.unset

    @property
    def percent(self) -> float | None:
        """The share of decided loads that set it."""
        return 100 * self.set / self.decided if self.decided else None


def _shares() -> defaultdict[str, Share]:
    return defaultdict(Share)


@dataclass
class Group:
    """The loads with one year, library or class."""

    loads: int = 0
    settings: defaultdict[str, Share] = field(default_factory=_shares)

    def add(self, load: dict[str, Any], settings: tuple[str, ...]) -> None:
        self.loads += 1
        for name in settings:
            self.settings[name].add(load[name]["set"])


Groups = defaultdict[str, Group]


def _groups() -> Groups:
    return defaultdict(Group)


@dataclass
class Summary:
    """The counts of a survey. Calls of a project's own loading functions are not counted again as loads."""

    rows: int = 0
    rows_with_loads: int = 0
    errors: int = 0
    models: Group = field(default_factory=Group)
    tokenizers: Group = field(default_factory=Group)
    by_year: Groups = field(default_factory=_groups)
    by_library: Groups = field(default_factory=_groups)
    by_class: Groups = field(default_factory=_groups)
    #: Frequencies of the values of each setting of models.
    values: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    #: Findings by code and name, and the rows that have some.
    findings: Counter[tuple[str, str]] = field(default_factory=Counter)
    rows_with_findings: int = 0
    #: Errors by text, without places.
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, row: dict[str, Any], year: str | None) -> None:
        loads = [load for load in row["loads"] if not load["indirect"]]
        self.rows_with_loads += bool(loads)
        self.rows_with_findings += bool(row["findings"])
        if row["error"] is not None:
            self.errors += 1
            self.reasons[re.sub(r"\d+", "N", row["error"].partition(": ")[2] or row["error"])] += 1
        for finding in row["findings"]:
            self.findings[finding["code"], finding["name"]] += 1
        when = _YEAR.search(row[year] or "") if year is not None else None
        for load in loads:
            if load["kind"] == "tokenizer":
                self.tokenizers.add(load, TOKENIZER_SETTINGS)
                continue
            self.models.add(load, MODEL_SETTINGS)
            if year is not None:
                self.by_year[when[0] if when else UNKNOWN].add(load, MODEL_SETTINGS)
            self.by_library[load["library"] or OWN].add(load, MODEL_SETTINGS)
            self.by_class[load["class"] or SEVERAL].add(load, MODEL_SETTINGS)
            for name in MODEL_SETTINGS:
                if load[name]["value"] is not None:
                    self.values[name][load[name]["value"]] += 1


def summarize(output: str, year: str | None = None) -> Summary:
    """Count the parts of a survey; `year` is a column that contains a year."""
    import pyarrow.parquet as pq

    summary = Summary()
    for path in _parts(output):
        with pq.ParquetFile(path) as file:
            summary.rows += json.loads(file.schema_arrow.metadata[NUMBERS])["rows"]
            for batch in file.iter_batches(columns=[*_READ, *([year] if year is not None else [])]):
                for row in batch.to_pylist():
                    summary.add(row, year)
    return summary


def _parts(output: str) -> Iterator[str]:
    folder = os.path.join(output, PARTS)
    for name in sorted(os.listdir(folder)):
        if name.endswith(".parquet"):
            yield os.path.join(folder, name)


__all__ = ["MODEL_SETTINGS", "SETTINGS", "TOKENIZER_SETTINGS", "Group", "Share", "Summary", "summarize"]
