"""Whether a script is one of older libraries.

It imports, or a module of the project does, what they lacked before transformers 5 came, or a library that leaves out transformers 5. Or it is a
module of programs that install an older transformers for themselves.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from functools import partial

from telepathy_lint.facts.not_reached import names_of_modules
from telepathy_lint.hints import NamedTuple
from telepathy_lint.knowledge.before_5 import LIMITED, MODULES_BEFORE_5
from telepathy_lint.settings import Settings
from telepathy_lint.settings.installs import asked_in
from telepathy_lint.sites import Site

_LIBRARIES = ("datasets", "peft", "transformers", "trl")
#: Modules of a project that are looked into for one file.
_MOST_MODULES = 40
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Imported(NamedTuple):
    """What a module imports as it is loaded."""

    #: Whether a name among it was gone before transformers 5 came.
    gone: bool
    #: The dotted names that may be of the project's own modules.
    others: tuple[str, ...]


def _was_gone(symbol: str) -> bool:
    # Its tables are large, and most findings are not about releases.
    from telepathy_lint.knowledge.migration import was_gone_before_5

    return was_gone_before_5(symbol)


def is_of_old_libraries(site: Site) -> bool:
    """Whether the file of a site fails at an import wherever transformers 5 is as new as the libraries around it, or cannot be installed there.

    What such an import is told itself is no matter of the rest of the file, nor is what trl and peft removed.
    """
    if site.file.settings.target_is_stated or any(
        each.startswith(("trl.", "peft.")) or _was_gone(each) for each in site.classes
    ):
        return False
    return site.file.remember("old libraries", partial(_is_old, site)) or site.file.remember(
        "older programs", partial(_is_of_older_programs, site)
    )


def _is_of_older_programs(site: Site) -> bool:
    """Whether all programs that import the file install a transformers before 5, as images of Modal do."""
    modules = site.file.modules
    importers = modules.importers(site.source.path) if modules is not None else None
    if modules is None or importers is None or "__main__" in site.source.text:
        return False
    programs = [
        each for each in importers[1] if (beyond := modules.importers(each)) is not None and not beyond[1]
    ]
    return len(programs) > 0 and all(modules.told(each, installs_before_5) for each in programs)


def installs_before_5(text: str) -> bool:
    """Whether a program's own commands install a release of transformers that is older than 5, and no other."""
    pins = [each for each in asked_in(text.encode(), run=True) if each.pinned]
    return len(pins) > 0 and not any(each.admits_5 for each in pins)


def _is_old(site: Site) -> bool:
    own = _imported(site.context.scope.tree.module, inside=True)
    if own.gone:
        return True
    modules = site.file.modules
    if modules is None:
        return False
    first = os.path.abspath(site.source.path)
    pending = [(first, each) for each in own.others]
    seen = {first}
    while pending:
        asker, symbol = pending.pop()
        paths = modules.files(symbol, asker)
        first_name = symbol.partition(".")[0]
        if not paths and _leaves_out_5(first_name, site.file.settings) and not _is_own(first_name, site):
            return True
        for path in paths:
            if path in seen:
                continue
            if len(seen) > _MOST_MODULES:
                return False
            seen.add(path)
            gone, others = modules.told(path, imported_in)
            if gone:
                return True
            pending += [(path, each) for each in others]
    return False


def _leaves_out_5(module: str, settings: Settings) -> bool:
    """Whether a library cannot be installed beside transformers 5, in the release that the project takes."""
    name = MODULES_BEFORE_5.get(module)
    if name is None or settings.five == "needs":
        return False
    newest = dict(settings.newest_others).get(name)
    return newest is None or newest >= LIMITED[name][0]


def _is_own(name: str, site: Site) -> bool:
    """Whether the project has a module of this name anywhere, which code may find by a path that it adds."""
    modules = site.file.modules
    project = modules.project(os.path.abspath(site.source.path)) if modules is not None else None
    known = project.once(names_of_modules) if project is not None else None
    return not known or name in known


def imported_in(text: str) -> Imported:
    """What the code of a module imports at its top level."""
    try:
        return _imported(ast.parse(text), inside=False)
    except (SyntaxError, ValueError, RecursionError):
        return Imported(False, ())


def _imported(module: ast.Module, inside: bool) -> Imported:
    """What a module imports unconditionally; with `inside`, its functions too, and what it reads of the libraries themselves."""
    gone = False
    whole: set[str] = set()
    others: list[str] = []
    for stmt in _statements(module.body, inside):
        if isinstance(stmt, ast.Import):
            names = [each.name for each in stmt.names]
            whole |= {each.name for each in stmt.names if each.name in _LIBRARIES and each.asname is None}
        else:
            begins = "." * stmt.level + (stmt.module or "")
            dot = "" if begins.endswith(".") else "."
            names = [f"{begins}{dot}{each.name}" for each in stmt.names]
        for name in names:
            if name.partition(".")[0] in _LIBRARIES:
                gone = gone or _was_gone(name)
            else:
                others.append(name)
    if whole and inside and not gone:
        gone = any(
            isinstance(each, ast.Call)
            and isinstance(each.func, ast.Attribute)
            and isinstance(each.func.value, ast.Name)
            and each.func.value.id in whole
            and _was_gone(f"{each.func.value.id}.{each.func.attr}")
            for each in ast.walk(module)
        )
    return Imported(gone, tuple(dict.fromkeys(others)))


def _statements(body: list[ast.stmt], inside: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    for stmt in body:
        if isinstance(stmt, (ast.Import, ast.ImportFrom)):
            yield stmt
        elif inside and isinstance(stmt, (*_FUNCTIONS, ast.ClassDef)):
            yield from _statements(stmt.body, inside)
