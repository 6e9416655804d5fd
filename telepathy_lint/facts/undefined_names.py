"""Decides whether a call is never reached because code before it reads a name that nothing defines."""

from __future__ import annotations

import ast
import builtins
from functools import partial

from telepathy_lint.sites import File, Site

#: Names that programs find defined: by `site`, and by what runs or installs them (notebooks, Databricks, Snakemake, kernprof, icecream, gettext).
_GIVEN = frozenset({
    "exit", "quit", "copyright", "credits", "license", "display", "dbutils", "spark", "sc", "sqlContext", "snakemake", "profile", "ic", "_",
})  # fmt: skip
_DEFINED = frozenset(dir(builtins)) | _GIVEN
#: Code that may define names which it does not write.
_DEFINES_BY_NAME = ("exec(", "globals()", "locals()", "vars()", "builtins", "sys.modules", "get_ipython")
_LATER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
#: Expressions of which a part may not run.
_PERHAPS = (
    ast.IfExp,
    ast.BoolOp,
    ast.comprehension,
    ast.GeneratorExp,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
)
#: Parts of a statement that run later, or not at all.
_NOT_AT_ONCE = ("body", "orelse", "finalbody", "handlers", "cases", "annotation", "returns", "msg")
#: Type parameters, since Python 3.12.
_TYPE_PARAMETERS = ("TypeVar", "ParamSpec", "TypeVarTuple")


def fails_before(site: Site) -> bool:
    """Whether a script certainly raises a NameError before a call, or in its arguments: in the same function, or at the top level."""
    if site.source.path.endswith(".ipynb"):
        return False  # a cell may define what another one reads
    undefined = site.file.fact(_undefined)
    if not undefined:
        return False
    modules = site.file.modules
    if modules is not None and modules.mentions(site.source.path, b"builtins"):
        return False  # another file may define them for all
    parents = site.context.scope.tree.parent
    line = site.node.lineno
    node: ast.AST = site.node
    while not isinstance(node, ast.stmt):
        if isinstance(node, _LATER) or node not in parents:
            return False
        node = parents[node]
    if _reads(node, undefined):
        return True
    while (above := parents.get(node)) is not None:
        for field in ("body", "orelse", "finalbody"):
            block = getattr(above, field, None)
            if isinstance(block, list) and node in block:
                first = site.file.remember(
                    ("fails at", above, field), partial(_first_failing, block, undefined)
                )
                if first is not None and first.lineno < line:
                    return True
        if isinstance(above, _LATER) and not isinstance(above, ast.ClassDef):
            return False  # another call may have run before
        node = above
    return False


def _first_failing(block: list[ast.stmt], names: frozenset[str]) -> ast.stmt | None:
    return next((each for each in block if _reads(each, names)), None)


def _undefined(file: File) -> frozenset[str]:
    """The names that a file reads, and that nothing in it or in Python defines."""
    if any(each in file.source.text for each in _DEFINES_BY_NAME):
        return frozenset()
    read: set[str] = set()
    bound: set[str] = set()
    for node in ast.walk(file.tree.module):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, ast.alias):
            if node.name == "*":
                return frozenset()
            bound.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            bound.update(node.names)
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name is not None:
            bound.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest is not None:
            bound.add(node.rest)
        elif type(node).__name__ in _TYPE_PARAMETERS:
            bound.add(getattr(node, "name", ""))
    return frozenset(each for each in read - bound - _DEFINED if not each.startswith("__"))


def _reads(stmt: ast.stmt, names: frozenset[str]) -> bool:
    """Whether a statement certainly reads one of the names as soon as it runs; of a compound one, in its head."""
    todo: list[ast.AST] = [stmt]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Name) and node.id in names:
            return True
        for name, value in ast.iter_fields(node):
            if name in _NOT_AT_ONCE or (
                isinstance(node, ast.Compare) and name == "comparators" and len(value) > 1
            ):
                continue
            todo += [
                each
                for each in (value if isinstance(value, list) else [value])
                if isinstance(each, ast.AST) and not isinstance(each, (*_LATER, *_PERHAPS))
            ]
    return False
