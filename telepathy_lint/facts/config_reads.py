"""Whether code reads a setting of a training config, here or in another file of the project."""

from __future__ import annotations

import re
from collections.abc import Callable

from telepathy_lint.flow.whole_project import Project
from telepathy_lint.sites import Site

#: `args.name`, `getattr(args, "name")`, `args.to_dict()["name"]`.
_READ = r"(?:\.\s*|(?<![\w\"'])[\"']){}\b(?![\"']\s*:)"


def is_read_in(text: str, name: str) -> bool:
    """Whether code reads a setting as an attribute, or by its name in a string."""
    return name in text and re.search(_READ.format(name), text) is not None


def is_read_beside(site: Site, name: str) -> bool:
    """Whether another file of the project reads a setting; also if the project is too large to tell."""
    return is_in_project(site, name, _reads)


def is_in_project(site: Site, name: str, ask: Callable[[Project, str], bool]) -> bool:
    """The answer to a question about a name in the project's files; True if there are too many."""
    modules = site.file.modules
    project = modules.project(site.source.path) if modules is not None else None
    return project is not None and project.about(name, ask) is not False


def mentions(project: Project, name: str) -> bool:
    """Whether a file of the project has a word."""
    return any(name.encode() in data for _, data in project.python())


def _reads(project: Project, name: str) -> bool:
    return any(
        name.encode() in data and is_read_in(data.decode("utf-8", "replace"), name)
        for _, data in project.python()
    )
