"""Places and identities as services want them: lines of the file, and a fingerprint that survives line shifts."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator

from telepathy_lint.findings.result import FileResult
from telepathy_lint.findings.violation import Violation, place_in_words
from telepathy_lint.output import Report


def file_line(result: FileResult, violation: Violation, line: int | None = None) -> int:
    """The line in the file; a notebook's differ from those of its cells."""
    line = violation.line if line is None else line
    return result.file_lines.get((violation.cell, line), line if violation.cell < 0 else 1)


def message(violation: Violation) -> str:
    """The message, with the place in the notebook for services that know no cells."""
    if violation.cell < 0:
        return violation.text
    place = place_in_words(violation.line, violation.cell)
    return f"{violation.text} (column {violation.column} in {place})"


def fingerprinted(report: Report) -> Iterator[tuple[FileResult, Violation, str]]:
    """Every finding with an identity made of file, rule and code, not of lines; equal ones are numbered."""
    seen: Counter[tuple[str, str, str]] = Counter()
    for result in report.results:
        for number, violation in enumerate(result.violations):
            snippet = result.snippets[number] if number < len(result.snippets) else ""
            key = (violation.path, violation.code, snippet)
            text = "\0".join((*key, str(seen[key])))
            seen[key] += 1
            yield result, violation, hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
