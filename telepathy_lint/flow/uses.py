"""An index of the names in one file: where they are used, imported and assigned; each is looked up once."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from telepathy_lint.flow.bindings import Binding, bindings_of
from telepathy_lint.flow.tree import Scope, Tree
from telepathy_lint.source.prefilter import CodeWords

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Function = ast.FunctionDef | ast.AsyncFunctionDef
#: A function's name in its definition, with any whitespace after `def`.
_DEFINED = r"def(?:\s|\\\n)+(\w+)"


class Index:
    """The names in one file. Each is searched for by text, so only the relevant parts of the tree are visited."""

    def __init__(self, tree: Tree, words: CodeWords) -> None:
        self.tree = tree
        self.words = words
        self._of: dict[str, list[ast.AST]] = {}
        self._imports: list[tuple[str, str]] | None = None
        self._stores: dict[str, list[tuple[Binding, Scope]]] | None = None
        self._methods: dict[str, list[Function]] | None = None
        self._defined: frozenset[str] | None = None

    def of(self, name: str) -> list[ast.AST]:
        """The Name and Attribute nodes called `name` in the file's code."""
        found = self._of.get(name)
        if found is None:
            found = self._of[name] = [
                node
                for node in self.tree.visit(self.tree.lines_of(self.words.find(name)))
                if (type(node) is ast.Name and node.id == name)
                or (type(node) is ast.Attribute and node.attr == name)
            ]
        return found

    def method_calls(self, *names: str) -> Iterator[tuple[ast.Call, ast.Attribute]]:
        """The calls of methods with these names on any object, each with the called attribute."""
        offsets = self.words.find(*(f".{name}(" for name in names), whole=False)
        for node in self.tree.visit(self.tree.lines_of(offsets)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in names
            ):
                yield node, node.func

    def imports(self) -> list[tuple[str, str]]:
        """The names that imports in the file bind, in any scope, each with its dotted origin."""
        if self._imports is None:
            self._imports = [
                (name, binding.symbol)
                for node in self.tree.visit(self.tree.lines_of(self.words.find("import")))
                if isinstance(node, (ast.Import, ast.ImportFrom))
                for name, binding in bindings_of(node)
            ]
        return self._imports

    def stores(self) -> dict[str, list[tuple[Binding, Scope]]]:
        """All assignments to attributes, by the attribute's name, including class bodies."""
        if self._stores is None:
            self._stores = {}
            for scope in self.tree.all_scopes():
                for name, bindings in scope.bindings.items():
                    if "." in name or scope.is_class:
                        entries = self._stores.setdefault(name.rpartition(".")[2], [])
                        entries.extend((binding, scope) for binding in bindings)
        return self._stores

    def methods(self, name: str) -> list[Function]:
        """The methods with this name, in all classes of the file."""
        if self._defined is None:
            self._defined = frozenset(re.findall(_DEFINED, self.tree.text))
        if name not in self._defined:
            return []  # in most cases there is none, which avoids reading all scopes
        if self._methods is None:
            self._methods = {}
            for scope in self.tree.all_scopes():
                for definition in scope.definitions if scope.is_class else ():
                    if isinstance(definition, FUNCTIONS):
                        self._methods.setdefault(definition.name, []).append(definition)
        return self._methods.get(name, [])
