"""Baselines: the known findings of an old repository, identified by file, rule and source code instead of by line."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from telepathy_lint.discovery.config import ConfigError
from telepathy_lint.findings.result import FAILED_CODE, FileFinding, FileResult
from telepathy_lint.hints import Any

_VERSION = 1
_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Filtered:
    """Results with the known findings marked, the number of known findings, and the number of obsolete entries."""

    results: list[FileResult]
    known: int
    stale: int


class Baseline:
    """Entries counted by file (relative to the baseline's folder), rule and snippet."""

    def __init__(self, path: str, entries: Counter[_Key]) -> None:
        self.path = path
        self.entries = entries

    @classmethod
    def read(cls, path: str) -> Baseline:
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:  # as it is written
                document = json.load(file)
            if document["version"] != _VERSION:
                raise ConfigError(
                    f"{path}: baseline version {document['version']!r} is not known to this release"
                )
            entries = Counter(dict(map(_entry, document["findings"])))
        except OSError as error:
            raise ConfigError(
                f"{path}: cannot read the baseline: {error.strerror}; make one with --write-baseline"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}: not a baseline: {error}") from error
        except RecursionError as error:
            raise ConfigError(f"{path}: not a baseline: nested too deeply") from error
        return cls(path, entries)

    def filtered(
        self, results: Sequence[FileResult], checked: Iterable[str], codes: frozenset[str] | None = None
    ) -> Filtered:
        """Mark the known findings, which are then not reported.

        `checked` are the files of this run, which may be a part of the project.

        If the run is limited to some rules, `codes` are these; entries of other rules are never obsolete.
        """
        left = Counter(self.entries)
        marked: list[FileResult] = []
        for result in results:
            findings: list[FileFinding] = []
            for each in result.findings:
                key = (self._relative(result.path), each.violation.code, each.snippet)
                if each.state == "left" and each.violation.code != FAILED_CODE and left[key] > 0:
                    left[key] -= 1
                    each = each._replace(state="known")
                findings.append(each)
            marked.append(result._replace(findings=tuple(findings)))
        known = sum(one.state == "known" for result in marked for one in result.findings)
        seen = {self._relative(path) for path in checked}
        stale = sum(
            count
            for (path, code, _), count in left.items()
            if path in seen and (codes is None or code in codes)
        )
        return Filtered(marked, known, stale)

    def write(
        self, results: Sequence[FileResult], checked: Iterable[str], codes: frozenset[str] | None = None
    ) -> int:
        """Replace the entries of the checked files; keep those of other files, and of rules other than `codes`."""
        seen = {self._relative(path) for path in checked}
        entries = Counter(
            {
                (path, code, snippet): count
                for (path, code, snippet), count in self.entries.items()
                if path not in seen or (codes is not None and code not in codes)
            }
        )
        for result in results:
            for violation, _, snippet, _ in result.left:
                if violation.code != FAILED_CODE:
                    entries[self._relative(result.path), violation.code, snippet] += 1
        findings: list[dict[str, Any]] = [
            {"path": path, "code": code, "snippet": snippet, "count": count}
            for (path, code, snippet), count in sorted(entries.items())
        ]
        text = json.dumps({"version": _VERSION, "findings": findings}, indent=1, ensure_ascii=False) + "\n"
        temporary = f"{self.path}.{os.getpid()}.tmp"
        try:
            with open(temporary, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)
            os.replace(temporary, self.path)
        except OSError as error:
            with suppress(OSError):
                os.unlink(temporary)
            raise ConfigError(f"{self.path}: cannot write the baseline: {error.strerror}") from error
        return sum(entries.values())

    def _relative(self, path: str) -> str:
        folder = os.path.dirname(os.path.abspath(self.path))
        return os.path.relpath(os.path.abspath(path), folder).replace(os.sep, "/")


def _entry(one: Any) -> tuple[_Key, int]:
    """Validate an entry: a merge or a manual edit may have left anything."""
    key, count = (one["path"], one["code"], one["snippet"]), one["count"]
    if not all(isinstance(each, str) for each in key) or type(count) is not int or count < 1:
        raise TypeError(f"{one!r} is not a finding")
    "".join(key).encode("utf-8", "surrogateescape")  # raises if it could not be written again
    return key, count
