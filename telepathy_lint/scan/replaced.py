"""Where a file itself puts another function in the place of `from_pretrained`: what is loaded there nobody can tell."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from telepathy_lint.scan import catalog
from telepathy_lint.scan.bindings import dotted
from telepathy_lint.scan.index import FUNCTIONS, Function

if TYPE_CHECKING:
    from telepathy_lint.scan.callees import Loader
    from telepathy_lint.scan.scopes import Tree
    from telepathy_lint.scan.values import Evaluator

_NAME = "from_pretrained"
#: The classes that all others of a kind have their function from.
_BASES = {"model": "PreTrainedModel", "tokenizer": "PreTrainedTokenizerBase"}


class Replaced:
    """The classes whose function the file replaces, each with the nodes inside which that holds."""

    def __init__(self, tree: Tree, evaluator: Evaluator, offsets: Iterable[int]) -> None:
        """`offsets` are the mentions of the function that may replace it."""
        self.tree = tree
        self.evaluator = evaluator
        self._inside: dict[str, set[ast.AST]] = {}
        for node in tree.visit(tree.lines_of(offsets)):
            for name, extent in self._replacements(node):
                self._inside.setdefault(name, set()).add(extent)

    def covers(self, call: ast.Call, loader: Loader) -> bool:
        """Whether the call stands where a class that it loads with has another function."""
        names = {*map(catalog.last, loader.classes), _BASES[loader.kind]} & self._inside.keys()
        node: ast.AST | None = call if names else None
        while node is not None:
            if any(node in self._inside[name] for name in names):
                return True
            node = self.tree.parent.get(node)
        return False

    def _replacements(self, node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
        """The classes whose function a node replaces, and inside what."""
        if isinstance(node, ast.Attribute) and node.attr == _NAME and not isinstance(node.ctx, ast.Load):
            yield from ((name, self.tree.module) for name in self._classes(node.value))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            call = self.tree.parent.get(node)
            owner, _, attribute = node.value.rpartition(".")
            if attribute == _NAME and isinstance(call, ast.Call) and node in call.args[:2]:
                called = (dotted(call.func) or "").split(".")
                in_one_string = bool(owner) and node is call.args[0]
                if in_one_string and called[-1] in ("setattr", "patch"):
                    yield catalog.last(owner), self._extent(call, called)
                elif not owner and (called[-1] == "setattr" or called[-2:] == ["patch", "object"]):
                    extent = self._extent(call, called)
                    yield from ((name, extent) for name in self._classes(call.args[0]))

    def _classes(self, node: ast.expr) -> Iterator[str]:
        """The classes that an expression can be, by their last names."""
        for value in self.evaluator.evaluate(node, self.tree.context_of(node)):
            if value.kind == "symbol":
                yield catalog.last(str(value.data))
            elif isinstance(value.node, ast.ClassDef):
                yield value.node.name

    def _extent(self, call: ast.Call, called: list[str]) -> ast.AST:
        """Inside what a call replaces the function: a `with`, what it decorates, a function, or the whole file."""
        whole, held = self.tree.module, None
        child, node = call, self.tree.parent.get(call)
        while node is not None and called != ["setattr"]:  # which nobody puts back
            if isinstance(node, ast.withitem):
                held = self.tree.parent.get(node)
            elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
                if child in node.decorator_list:
                    return node
                return whole if isinstance(node, ast.ClassDef) or _lends(node) else held or node
            child, node = node, self.tree.parent.get(node)  # type: ignore[assignment]
        return held or whole


def _lends(function: Function) -> bool:
    """Whether what a function sets up holds for others: a fixture, a context manager, a `setUp`."""
    decorators = (each.func if isinstance(each, ast.Call) else each for each in function.decorator_list)
    names = [(dotted(each) or "").rpartition(".")[2] for each in decorators]
    return function.name.lower().startswith("setup") or any(
        name.endswith(("fixture", "contextmanager")) for name in names
    )
