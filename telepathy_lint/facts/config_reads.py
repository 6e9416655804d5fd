"""Whether code reads a setting of a training config, here or in another file of the project."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable

from telepathy_lint.flow.file import File
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


#: An option or field of one's own by that name: what reads it need not read the training config.
_OWN = r"(?m)[\"']--?{dashed}\b|^[ \t]*{name}[ \t]*:(?!=)|[\"']{name}[\"']\s*:|\.{name}[ \t]*=(?!=)"


def is_read_by_old_name(site: Site, name: str, given: ast.AST) -> bool:
    """Whether code reads a setting of a config by a name that its argument loses: in a way that no fix renames with it.

    What stands in the argument itself (`no_cuda=options.no_cuda`) and reads of one's own option are something else.
    """
    modules = site.file.modules
    project = modules.project(site.source.path) if modules is not None else None
    if _has_its_own(site.source.text, name) or (project is not None and project.about(name, _names_its_own)):
        return False
    renamed = site.file.fact(_renamed_reads) | set(map(id, ast.walk(given)))
    for node in site.file.tree.visit(site.file.tree.lines_of(site.file.words.find(name))):
        if isinstance(node, ast.Attribute) and node.attr == name and id(node) not in renamed:
            return True
    readers = project.about(name, _readers) if project is not None else frozenset[str]()
    return readers is None or bool(readers - {os.path.abspath(site.source.path)})


def _renamed_reads(file: File) -> frozenset[int]:
    """The reads of training configs that are reported, and fixed, themselves."""
    from telepathy_lint.sites.training_reads import find

    return frozenset(id(each.node) for each in find(file))


def _readers(project: Project, name: str) -> frozenset[str]:
    """The files that read a setting as an attribute."""
    read = re.compile(rf"\.{name}\b".encode())
    return frozenset(path for path, data in project.python() if read.search(data) is not None)


def _names_its_own(project: Project, name: str) -> bool:
    """Whether a file of the project has an option or a field of a name."""
    words = (name.encode(), name.replace("_", "-").encode())
    return any(
        any(word in data for word in words) and _has_its_own(data.decode("utf-8", "replace"), name)
        for _, data in project.python()
    )


def _has_its_own(text: str, name: str) -> bool:
    return re.search(_OWN.format(dashed=name.replace("_", "[-_]"), name=name), text) is not None
