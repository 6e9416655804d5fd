"""Decides whether an id in a table or constant may reach a load.

Follows the id forward through its file: names, loops, subscripts, parameters of the file's functions.
Comparing, printing or looking up the id does not load it; anything that is not understood might.
"""

from __future__ import annotations

import ast
import re

from telepathy_lint.audit.identifiers import names_models, names_services
from telepathy_lint.flow.bindings import dotted, filled_parameter
from telepathy_lint.flow.onward import onward
from telepathy_lint.flow.tree import Tree
from telepathy_lint.flow.uses import FUNCTIONS
from telepathy_lint.source.prefilter import CodeWords

#: Calls that only read their argument.
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
#: Calls that return their argument's items.
_PASSES = frozenset(
    {"sorted", "list", "set", "tuple", "dict", "reversed", "enumerate", "zip", "str", "min", "max"}
)
_TESTS = frozenset({"startswith", "endswith", "index", "count", "isdigit", "find"})
_TAKES = frozenset({"get", "pop", "setdefault"})
_LISTS = frozenset({"items", "keys", "copy"})
_DATASETS = ("load_dataset", "list_datasets", "HfDatasets")
#: Documentation lists in transformers' modelling files and copies of them.
_LIBRARY = re.compile("_ARCHIVE_(?:LIST|MAP)$|_FOR_DOC$|_START_DOCSTRING$")
_CHANGES = frozenset({"append", "add", "update", "extend", "insert", "remove", "discard", "clear", "sort"})


#: Uses after which an id cannot be followed.
_WAYS_OUT = frozenset({"attribute", "store", "called", "returned", "unseen"})


class _WayOutError(Exception):
    """The id may leave the code that can be followed."""


class Escapes:
    """Follows the ids in one file."""

    def __init__(self, tree: Tree, words: CodeWords) -> None:
        self.tree = tree
        self.words = words
        self._followed: set[tuple[str, bool]] = set()
        self._exported: set[str] = set()
        self._loads: dict[str, list[ast.Name]] = {}
        text = tree.text
        # Ids of services and datasets look like model ids.
        self._services = names_services(text)
        self._datasets = any(word in text for word in _DATASETS)

    def exports(self, node: ast.expr) -> tuple[str, ...] | None:
        """The names through which other files may get the id; None if this file passes it on itself."""
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
        """Follow the value of `node`, which contains the id; with `key`, only as a dict key."""
        step = onward(node, self.tree.parent)
        how, holder = step.how, step.holder
        if how in _WAYS_OUT or holder is None:
            raise _WayOutError
        for target in step.targets:
            self._bind(target, key and how != "looped")
        if how == "method":
            assert isinstance(holder, ast.Attribute)
            self._method(holder, key)
        elif how == "argument":
            assert step.call is not None
            self._call(node if step.keyword is None else holder, step.call, key)
        elif how in ("same", "operand", "formatted"):
            self._follow(holder, key)
        elif how in ("key", "element"):
            self._follow(holder, key=how == "key")
        elif how in ("item", "spread"):
            self._follow(holder, key and how == "spread")
        elif how == "opened" and not key:
            self._follow(holder, key=False)
        elif how == "looked up" and isinstance(holder, ast.Subscript) and isinstance(holder.ctx, ast.Store):
            self._bind(holder.value, key=True)  # known[model_id] = ...: the id is a key here

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
            return  # used as a key
        elif owner and last in _CHANGES and isinstance(call.func, ast.Attribute):
            self._bind(call.func.value, key=False)
        elif name == "print" or last == "join":
            self._follow(call, key)
        else:
            self._parameter(node, call, key)

    def _parameter(self, node: ast.AST, call: ast.Call, key: bool) -> None:
        """Follow the argument into the file's function with this name, if there is exactly one."""
        found = [
            each
            for scope in self.tree.all_scopes()
            if not scope.is_class
            for each in scope.definitions
            if isinstance(each, FUNCTIONS) and isinstance(call.func, ast.Name) and each.name == call.func.id
        ]
        if len(found) != 1 or found[0].decorator_list:
            raise _WayOutError
        name = filled_parameter(found[0], call, node)
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
        """Follow each use of the name in the file, in any scope: a wrong one only costs a finding."""
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
