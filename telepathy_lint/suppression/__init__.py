"""Suppression comments: reading, adding and removing them."""

from __future__ import annotations

from collections.abc import Sequence

from telepathy_lint.hints import TYPE_CHECKING
from telepathy_lint.source.text import Source

if TYPE_CHECKING:
    from telepathy_lint.findings.violation import Violation


def unsuppressed(source: Source, violations: Sequence[Violation]) -> list[Violation]:
    """The violations that no comment suppresses, in the given order."""
    if not violations or not may_suppress(source):
        return list(violations)
    from telepathy_lint.suppression.comments import Suppressions  # few files have such comments

    found = Suppressions(source, violations)
    return [violation for violation in violations if not found.silence(violation)]


def may_suppress(source: Source) -> bool:
    """A cheap test: a file without one of these words is not tokenized."""
    return b"noqa" in source.folded or b"telepathy-lint:" in source.folded
