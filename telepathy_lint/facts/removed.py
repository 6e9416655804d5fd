"""What a site passes or reads that a later release has removed."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.facts.versions_told_apart import depends_on_release
from telepathy_lint.flow.arguments import Argument
from telepathy_lint.knowledge.migration import Removed, removed_arguments
from telepathy_lint.sites import Site


def passed(site: Site) -> Iterator[tuple[Argument, Removed]]:
    """Yield the removed arguments that a call certainly passes, if the file does not tell releases apart there."""
    if site.classes[0].startswith("trl.") and _takes_old_arguments(site):
        return
    gone = removed_arguments(site.classes[0])
    for argument in site.arguments.values():
        removed = gone.get(argument.name)
        if removed is not None and not argument.optional and not depends_on_release(site):
            yield argument, removed


def _takes_old_arguments(site: Site) -> bool:
    """Whether the file speaks of unsloth, which changes the trainers and configs of trl to take old arguments."""
    return "unsloth" in site.source.text.lower()


def read(site: Site) -> Iterator[tuple[ast.Attribute, Removed]]:
    """Yield the attribute that a site reads, if it was removed and the file does not tell releases apart there."""
    node = site.node
    if isinstance(node, ast.Attribute):
        removed = removed_arguments(site.classes[0]).get(node.attr)
        if removed is not None and not depends_on_release(site):
            yield node, removed
