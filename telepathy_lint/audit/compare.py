"""Compares two audits: what got better and what got worse."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from telepathy_lint.audit.data import TOO_LARGE
from telepathy_lint.audit.outcome import Audit

#: The only measure for which more is better.
SCORE = "calls without a finding, percent"


class NoAuditError(ValueError):
    """The file to compare with is not an audit of this schema."""


@dataclass(frozen=True, slots=True)
class Change:
    """A changed measure."""

    measure: str
    before: float
    after: float

    @property
    def better(self) -> bool:
        return (self.after > self.before) == (self.measure == SCORE)


def measures(audit: Audit) -> dict[str, float]:
    """The numbers that are compared between audits; except for the score, less is better."""
    found: dict[str, float] = {
        SCORE: round(audit.score, 2),
        "ids that do not exist": sum(1 for model in audit.models if model.status == "unknown"),
        "ids that were renamed": sum(1 for model in audit.models if model.status == "renamed"),
        "configured models whose load was not found": len(audit.unloaded),
        "numbers that differ from the registry": sum(1 for one in audit.checked if one.verdict == "differs"),
        "batch sizes above what fits": sum(1 for one in audit.checked if one.verdict in TOO_LARGE),
        "model loads whose memory nothing logs": sum(1 for load in audit.loaders if not load.logs_memory),
        "files that could not be read": len(audit.problems),
    }
    for one in audit.consistency:
        found[f"{one.kind} loads without the common choice: {one.setting}"] = one.away
    for code, count in sorted(Counter(finding.code for finding in audit.findings).items()):
        found[f"findings: {code}"] = count
    return found


def read(path: str) -> dict[str, float]:
    """Read the measures of an audit in JSON format.

    Raises:
        NoAuditError: the file cannot be read, or is not an audit.
    """
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except OSError as error:
        raise NoAuditError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise NoAuditError(f"{path}: not valid JSON: {error}") from error
    found = document.get("measures") if isinstance(document, dict) and document.get("schema") == 1 else None
    if not isinstance(found, dict) or not all(isinstance(value, (int, float)) for value in found.values()):
        raise NoAuditError(
            f"{path}: not an audit; write one with `telepathy-lint audit --format json --output FILE`"
        )
    return {str(name): float(value) for name, value in found.items()}


def changes(before: Mapping[str, float], after: Mapping[str, float]) -> list[Change]:
    """The differences, worse ones first.

    A rule or setting that only one audit has counts as 0 in the other. Measures that an older release did not have
    are not compared.
    """
    found = [
        Change(name, before.get(name, 0.0), after.get(name, 0.0))
        for name in dict.fromkeys((*after, *before))
        if before.get(name, 0.0) != after.get(name, 0.0) and (name in before or _comes_and_goes(name))
    ]
    return sorted(found, key=lambda change: change.better)


def _comes_and_goes(name: str) -> bool:
    """Whether an audit omits this measure if there is nothing to count."""
    return name.startswith("findings: ") or " loads without the common choice: " in name


def told(found: list[Change]) -> str:
    """Format the changes for people."""
    if not found:
        return "Nothing got better, nothing got worse.\n"
    lines = []
    for better, title in ((False, "Worse"), (True, "Better")):
        group = [change for change in found if change.better is better]
        if group:
            lines.append(f"{title} ({len(group)}):")
            lines += [f"  {change.measure}: {change.before:g} -> {change.after:g}" for change in group]
    return "\n".join(lines) + "\n"
