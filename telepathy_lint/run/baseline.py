"""A baseline: the findings an old repository starts with, known by file, rule and code instead of by line."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from telepathy_lint.discovery.config import ConfigError
from telepathy_lint.findings.result import FAILED_CODE, FileResult

_VERSION = 1
_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Filtered:
    """Results without the known findings, how many were known, and how many entries are of no use any more."""

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
        """Take the known findings out; `checked` are the files of this run, which may be a part of the project.

        `codes` are the rules that the run was narrowed to, if it was: nothing is said of the others' entries.
        """
        left = Counter(self.entries)
        known = 0
        kept: list[FileResult] = []
        for result in results:
            keep: list[int] = []
            for number, violation in enumerate(result.violations):
                if violation.code == FAILED_CODE:
                    keep.append(number)
                    continue
                key = (self._relative(result.path), violation.code, result.snippets[number])
                if left[key] > 0:
                    left[key] -= 1
                    known += 1
                else:
                    keep.append(number)
            kept.append(_only(result, keep))
        seen = {self._relative(path) for path in checked}
        stale = sum(
            count
            for (path, code, _), count in left.items()
            if path in seen and (codes is None or code in codes)
        )
        return Filtered(kept, known, stale)

    def write(
        self, results: Sequence[FileResult], checked: Iterable[str], codes: frozenset[str] | None = None
    ) -> int:
        """Replace what is known of the checked files; entries of other files, and of other rules than `codes`, stay."""
        seen = {self._relative(path) for path in checked}
        entries = Counter(
            {
                (path, code, snippet): count
                for (path, code, snippet), count in self.entries.items()
                if path not in seen or (codes is not None and code not in codes)
            }
        )
        for result in results:
            for violation, snippet in zip(result.violations, result.snippets, strict=False):
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
    """An entry as it is read: what a merge or a hand left of it may be anything."""
    key, count = (one["path"], one["code"], one["snippet"]), one["count"]
    if not all(isinstance(each, str) for each in key) or type(count) is not int or count < 1:
        raise TypeError(f"{one!r} is no finding")
    "".join(key).encode("utf-8", "surrogateescape")  # what cannot be written again
    return key, count


def _only(result: FileResult, keep: list[int]) -> FileResult:
    return result._replace(
        violations=tuple(result.violations[number] for number in keep),
        snippets=tuple(result.snippets[number] for number in keep) if result.snippets else (),
        diffs=tuple(result.diffs[number] for number in keep) if result.diffs else (),
    )
