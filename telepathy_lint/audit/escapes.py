"""Whether an id written in a table or a constant can get to where it might be loaded.

Followed forward through its file: names, loops, look-ups, parameters of the file's own functions. What compares, prints or
looks something up by the id loads nothing; everything that is not understood might, and counts as a way out.
"""

from __future__ import annotations

import ast
import re

from telepathy_lint.audit.identifiers import names_models, names_services
from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.tree import Tree
from telepathy_lint.flow.uses import FUNCTIONS, Function
from telepathy_lint.source.prefilter import CodeWords

#: Calls that only look at what they are given.
_LOOKS = frozenset(
    {"print", "len", "isinstance", "hash", "id", "repr", "warn", "any", "all", "hasattr", "type"}
)
_TALKS = frozenset(
    {"debug", "info", "warning", "error", "exception", "critical", "log", "write", "append_log"}
)
_TELLERS = (
    "log",
    "logger",
    "logging",
    "_logger",
    "LOG",
    "LOGGER",
    "console",
    "warnings",
    "sys.stdout",
    "sys.stderr",
)
#: Calls that hand on what they are given, rearranged.
_PASSES = frozenset(
    {"sorted", "list", "set", "tuple", "dict", "reversed", "enumerate", "zip", "str", "min", "max"}
)
_TESTS = frozenset({"startswith", "endswith", "index", "count", "isdigit", "find"})
_TAKES = frozenset({"get", "pop", "setdefault"})
_LISTS = frozenset({"items", "keys", "copy"})
_DATASETS = ("load_dataset", "list_datasets", "HfDatasets")
#: Lists that transformers' modelling files, and copies of them, keep for documentation.
_LIBRARY = re.compile("_ARCHIVE_(?:LIST|MAP)$|_FOR_DOC$|_START_DOCSTRING$")
_CHANGES = frozenset({"append", "add", "update", "extend", "insert", "remove", "discard", "clear", "sort"})


class _WayOutError(Exception):
    """A way out was found."""


class Escapes:
    """Follows the ids of one file."""

    def __init__(self, tree: Tree, words: CodeWords) -> None:
        self.tree = tree
        self.words = words
        self._followed: set[tuple[str, bool]] = set()
        self._exported: set[str] = set()
        self._loads: dict[str, list[ast.Name]] = {}
        text = tree.text
        #: Ids of services, which sell models under names of their own, and of datasets look like ids of models.
        self._services = names_services(text)
        self._datasets = any(word in text for word in _DATASETS)

    def exports(self, node: ast.expr) -> tuple[str, ...] | None:
        """The names under which other files could get at the id, None where this file lets it out itself."""
        if self._services:
            return None
        self._followed, self._exported = set(), set()
        try:
            self._follow(node, key=False)
        except (_WayOutError, RecursionError):
            return None
        if any(_LIBRARY.search(name) for name in self._exported):
            return None
        if self._datasets and not any(names_models(name) for name, _ in self._followed):
            return None
        return tuple(sorted(self._exported))

    def _follow(self, node: ast.AST, key: bool) -> None:
        """Look at what is done with the value of `node`, which holds the id; only as a dict's `key` where that is said."""
        parent = self.tree.parent.get(node)
        if isinstance(parent, ast.Dict):
            spread = any(
                value is node and name is None for name, value in zip(parent.keys, parent.values, strict=True)
            )
            self._follow(parent, node in parent.keys or (key and spread))
        elif isinstance(parent, (ast.List, ast.Tuple, ast.Set)):
            self._follow(parent, key=False)
        elif isinstance(parent, (ast.BinOp, ast.BoolOp, ast.JoinedStr, ast.FormattedValue)):
            self._follow(parent, key)
        elif isinstance(parent, ast.IfExp):
            if node is not parent.test:
                self._follow(parent, key)
        elif isinstance(parent, ast.Subscript):
            self._subscript(node, parent, key)
        elif isinstance(parent, ast.Attribute):
            self._method(parent, key)
        elif isinstance(parent, ast.Call):
            self._call(node, parent, key)
        elif isinstance(parent, ast.keyword):
            self._call(parent, self.tree.parent[parent], key)
        elif isinstance(parent, ast.Assign) and len(parent.targets) == 1:
            self._bind(parent.targets[0], key)
        elif isinstance(parent, (ast.AnnAssign, ast.AugAssign)):
            self._bind(parent.target, key)
        elif isinstance(parent, (ast.For, ast.comprehension)) and node is parent.iter:
            self._bind(parent.target, key=False)
        elif isinstance(parent, (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)):
            self._follow(parent, key=isinstance(parent, ast.DictComp) and node is parent.key)
        elif not isinstance(
            parent, (ast.Compare, ast.Expr, ast.If, ast.While, ast.Assert, ast.Delete, ast.UnaryOp, ast.Raise)
        ):
            raise _WayOutError

    def _subscript(self, node: ast.AST, parent: ast.Subscript, key: bool) -> None:
        if node is parent.value:
            if isinstance(parent.ctx, ast.Load) and not key:
                self._follow(parent, key=False)
        elif isinstance(parent.ctx, ast.Store):  # known[model_id] = ...: the id is a key there now
            self._bind(parent.value, key=True)

    def _method(self, attribute: ast.Attribute, key: bool) -> None:
        call = self.tree.parent.get(attribute)
        if not isinstance(call, ast.Call) or call.func is not attribute:
            raise _WayOutError
        name = attribute.attr
        if name in _TESTS or name in _CHANGES or (key and name in (*_TAKES, "values")):
            return
        self._follow(call, key and name == "copy")

    def _call(self, node: ast.AST, call: ast.AST, key: bool) -> None:
        assert isinstance(call, ast.Call)
        name = dotted(call.func) or ""
        owner, _, last = name.rpartition(".")
        if isinstance(self.tree.parent.get(call), ast.Raise):
            return
        if (not owner and last in _LOOKS) or (last in _TALKS and owner.rpartition(".")[2] in _TELLERS):
            return
        if not owner and last in _PASSES:
            self._follow(call, key and last == "dict")
        elif owner and last in _TAKES and call.args and node is call.args[0]:
            return  # looked up by the id
        elif owner and last in _CHANGES and isinstance(call.func, ast.Attribute):
            self._bind(call.func.value, key=False)
        elif name == "print" or last == "join":
            self._follow(call, key)
        else:
            self._parameter(node, call, key)

    def _parameter(self, node: ast.AST, call: ast.Call, key: bool) -> None:
        """Into the file's own function of that name, if there is just one."""
        found = [
            each
            for scope in self.tree.all_scopes()
            if not scope.is_class
            for each in scope.definitions
            if isinstance(each, FUNCTIONS) and isinstance(call.func, ast.Name) and each.name == call.func.id
        ]
        if len(found) != 1 or found[0].decorator_list:
            raise _WayOutError
        name = _parameter_of(found[0], call, node)
        if name is None:
            raise _WayOutError
        self._uses(name, key)

    def _bind(self, target: ast.AST, key: bool) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            for each in target.elts:
                self._bind(each, key)
        elif isinstance(target, ast.Starred):
            self._bind(target.value, key)
        elif isinstance(target, ast.Subscript):
            self._bind(target.value, key=False)
        elif isinstance(target, ast.Name):
            scope = self.tree.scope_of(target)
            if scope.is_class:
                raise _WayOutError
            if scope.parent is None or self.tree.has_global or self.tree.top.binds(target.id):
                self._exported.add(target.id)
            self._uses(target.id, key)
        else:
            raise _WayOutError

    def _uses(self, name: str, key: bool) -> None:
        """Every use of the name in the file, whatever its scope: one too many costs a finding, no more."""
        if (name, key) in self._followed:
            return
        self._followed.add((name, key))
        if name not in self._loads:
            self._loads[name] = [
                node
                for node in self.tree.visit(self.tree.lines_of(self.words.find(name)))
                if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
            ]
        for node in self._loads[name]:
            self._follow(node, key)


def _parameter_of(function: Function, call: ast.Call, node: ast.AST) -> str | None:
    """The parameter that gets `node`, an argument or keyword of the call."""
    if isinstance(node, ast.keyword):
        known = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
        return node.arg if any(each.arg == node.arg for each in known) else None
    names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
    index = next((at for at, each in enumerate(call.args) if each is node), len(names))
    starred = any(isinstance(each, ast.Starred) for each in call.args[: index + 1])
    return names[index] if index < len(names) and not starred else None
