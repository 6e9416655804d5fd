"""Decides whether the hub's redirect of a renamed id is all that its use needs."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from telepathy_lint.facts.out_of_use import is_bare
from telepathy_lint.flow.whole_project import Project
from telepathy_lint.sites import Site
from telepathy_lint.source.occurs import occurs

#: Code that does not follow redirects: it works offline, or looks into the cache.
_OFFLINE = (
    r"HF_HUB_OFFLINE|TRANSFORMERS_OFFLINE|HF_DATASETS_OFFLINE|local_files_only\s*=\s*True|models--|try_to_load_from_cache"
    r"|scan_cache_dir"
)
_OFFLINE_WORDS = (
    b"HUB_OFFLINE",
    b"TRANSFORMERS_OFFLINE",
    b"DATASETS_OFFLINE",
    b"local_files_only=True",
    b"models--",
)
#: A script or a settings file that sets the client to work offline.
_SET_OFFLINE = (
    rb"(?:HF_HUB|TRANSFORMERS|HF_DATASETS)_OFFLINE[\"']?\s*[=:]\s*[\"']?(?:1|[tT]rue|TRUE|[yY]es|on\b|ON\b)"
)
#: Code that loads something by an id, or may hand the id to code that does.
_LOADS = (
    r"from_pretrained|pipeline|SentenceTransformer|\bLLM\b|(?<!json\.)(?<!yaml\.)(?<!pickle\.)(?<!np\.)[lL]oad"
    r"|[tT]okenizer|\bHf|\bhf_|[hH]ub|subprocess|%run|!python"
)
#: What stands before, and behind, a name that is compared or looked up.
_COMPARES, _COMPARED = r"(?:[=!]=| in|[\w)\]]\[)\Z", ("==", "!=", "in ", ":")
_QUOTES = ("'", '"')
_DOCUMENTS = (".md", ".rst")


def is_an_alias(site: Site, names: Sequence[tuple[str, str]]) -> bool:
    """Whether ids (each old and present name) are given by their old names on purpose.

    The line speaks of aliases, or the same call has the present name too, or a dict whose keys nothing goes through.
    """
    if "alias" in site.source.line(site.source.line_of(site.start)).lower():
        return True
    parents = site.context.scope.tree.parent
    holder = parents.get(site.node)
    if isinstance(holder, ast.keyword):
        holder = parents.get(holder)
    given: list[ast.expr | None] = []
    if isinstance(holder, ast.Call):
        given = [*holder.args, *(each.value for each in holder.keywords)]
    elif isinstance(holder, ast.Dict) and is_only_looked_up(holder, site):
        given = holder.keys
    beside = site.file.remember(
        ("beside", holder), lambda: {each.value for each in given if isinstance(each, ast.Constant)}
    )
    return bool(names) and all(new in beside for _, new in names)


def only_names_results(site: Site) -> bool:
    """Whether a notebook of a project, which no other file imports, writes ids without loading anything by them."""
    if not site.source.path.endswith(".ipynb") or is_bare(site):
        return False
    return re.search(_LOADS, site.source.text) is None


def is_only_looked_up(node: ast.Dict, site: Site) -> bool:
    """Whether a dict has a name, and nothing in the file goes through its keys or hands it on."""
    assigned = site.context.scope.tree.parent.get(node)
    target = assigned.targets[0] if isinstance(assigned, ast.Assign) else getattr(assigned, "target", None)
    if not isinstance(target, ast.Name):
        return False
    name = re.escape(target.id)
    used = rf"\bin\s+(?:\w+\()*{name}\b(?!\[)|\b{name}\.(?:items|keys)\(|\({name}\)"
    return re.search(used, site.source.text) is None


def is_redirected(site: Site, names: Sequence[tuple[str, str]]) -> bool:
    """Whether ids (each old and present name) are only used with the hub, which redirects them.

    Not if the file, a module that imports it or a script of the project works offline or looks into the cache, or if
    the file compares the old name with others while the project also has the new one.
    """
    if not names or occurs(_OFFLINE, site.source.text):
        return False
    modules = site.file.modules
    project = modules.project(site.source.path) if modules is not None else None
    if modules is not None and project is not None:
        if project.once(_is_set_offline):
            return False
        importers = modules.importers(site.source.path)
        if importers is not None and any(_works_offline(project.content(each)) for each in importers[1]):
            return False
    return not any(_is_compared(old, new, site) for old, new in names)


def _is_compared(old: str, new: str, site: Site) -> bool:
    """Whether the file looks up or compares the old name, and the project has the new one as well."""
    text = site.source.text
    at = text.find(old)
    while at >= 0:
        end = at + len(old)
        before, behind = text[max(at - 20, 0) : at - 1].rstrip(), text[end + 1 : end + 20].lstrip()
        if text[end : end + 1] in _QUOTES and (
            re.search(_COMPARES, before) is not None or behind.startswith(_COMPARED)
        ):
            modules = site.file.modules
            return any(f"{new}{quote}" in text for quote in _QUOTES) or (
                modules is not None and modules.mentions(site.source.path, new.encode())
            )
        at = text.find(old, end)
    return False


def _works_offline(data: bytes) -> bool:
    return any(word in data for word in _OFFLINE_WORDS)


def _is_set_offline(project: Project) -> bool:
    """Whether a script or settings file makes all of a project work offline.

    Raises:
        TooLargeError: the project is too large to be searched.
    """
    return any(
        not path.endswith(_DOCUMENTS) and b"_OFFLINE" in data and re.search(_SET_OFFLINE, data) is not None
        for path, data in project.texts()
    )
