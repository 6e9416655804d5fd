"""Questions about the models that a file names, for loads whose id comes from elsewhere: arguments, configs, callers."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.whole_project import Project
from telepathy_lint.knowledge.published import bare_ids_in, ids_in
from telepathy_lint.sites import Site
from telepathy_lint.sites.direct_loads import IDENTITY


def written_id(site: Site) -> str | None:
    """The id that the call states, or that is the default of the parameter which it gets."""
    if site.model_id is not None:
        return site.model_id
    identity = site.argument(IDENTITY, "model")
    if identity is None:
        return None
    node = identity.node.value if isinstance(identity.node, ast.keyword) else identity.node
    scope = site.context.scope
    if not isinstance(node, ast.Name) or not isinstance(scope.node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return None
    given = scope.node.args
    named = [*given.posonlyargs, *given.args]
    pairs = [*zip(named[len(named) - len(given.defaults) :], given.defaults, strict=True)]
    pairs += [
        (each, value)
        for each, value in zip(given.kwonlyargs, given.kw_defaults, strict=True)
        if value is not None
    ]
    for each, default in pairs:
        if each.arg == node.id and isinstance(default, ast.Constant) and isinstance(default.value, str):
            return default.value
    return None


def are_all(site: Site, ask: Callable[[str], bool]) -> bool:
    """Whether the file names models, and the answer is yes for all of them.

    If it names none, the modules of the project that are connected with it count, then its settings and scripts.
    """
    ids = site.source.once(ids_in)
    modules = site.file.modules
    if not ids and modules is not None:
        found = [modules.told(path, ids_in) for path in modules.connected(site.source.path) or ()]
        ids = tuple(one for each in found for one in each)
        project = modules.project(site.source.path) if not ids else None
        ids = (project.once(_ids_in_settings) if project is not None else None) or ids
    return bool(ids) and all(map(ask, ids))


#: Calls that take an id as a default, for what the caller chooses.
_TAKE_A_DEFAULT = (
    r"(?i)add_argument|argument|option|field|get|getenv|setdefault|pop|text_input|textbox|dropdown|input"
)


def is_given_to_another(site: Site, model_id: str) -> bool:
    """Whether a file names an id only as an argument or default of functions and classes other than those around the load."""
    tree = site.context.scope.tree
    around: dict[ast.AST, str] = {}
    node = tree.parent.get(site.node)
    while node is not None:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            around[node] = node.name
        node = tree.parent.get(node)
    found = [
        each
        for each in tree.visit(tree.lines_with(model_id))
        if isinstance(each, ast.Constant) and each.value == model_id
    ]
    for each in found:
        above = tree.parent.get(each)
        if isinstance(above, ast.arguments) and tree.parent.get(above) not in around:
            continue
        call = tree.parent.get(above) if isinstance(above, ast.keyword) else above
        if not isinstance(call, ast.Call):
            return False
        name = (dotted(call.func) or "").rpartition(".")[2]
        if name in around.values() or re.fullmatch(_TAKE_A_DEFAULT, name) is not None:
            return False
    return bool(found)


def _ids_in_settings(project: Project) -> tuple[str, ...]:
    """The ids that the settings and scripts of a project name; documents name models for comparison, too."""
    found = [
        bare_ids_in(data.decode("utf-8", "replace"))
        for path, data in project.texts()
        if path.endswith((".yaml", ".yml", ".json", ".toml", ".sh", ".slurm", ".sbatch"))
    ]
    return tuple(dict.fromkeys(one for each in found for one in each))
