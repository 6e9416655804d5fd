"""What a site passes or reads that a later release has removed."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.facts.versions_told_apart import depends_on_release
from telepathy_lint.flow.arguments import Argument
from telepathy_lint.knowledge.migration import Removed, removed_arguments
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site


def passed(site: Site, settings: Settings) -> Iterator[tuple[Argument, Removed]]:
    """Yield the arguments that a call certainly passes and that a release which the project may get has removed.

    There are none if the file tells releases apart there.
    """
    if site.classes[0].startswith("trl.") and _takes_old_arguments(site):
        return
    gone = removed_arguments(site.classes[0])
    for argument in site.arguments.values():
        removed = gone.get(argument.name)
        if removed is None or argument.optional or not settings.reaches(removed.version, removed.package):
            continue
        if not depends_on_release(site):
            yield argument, removed


def _takes_old_arguments(site: Site) -> bool:
    """Whether the file speaks of unsloth, which changes the trainers and configs of trl to take old arguments."""
    return "unsloth" in site.source.text.lower()


def read(site: Site, settings: Settings) -> Iterator[tuple[ast.Attribute, Removed]]:
    """The same for the attribute that a site reads."""
    node = site.node
    if isinstance(node, ast.Attribute):
        removed = removed_arguments(site.classes[0]).get(node.attr)
        if (
            removed is not None
            and settings.reaches(removed.version, removed.package)
            and not depends_on_release(site)
        ):
            yield node, removed
