"""Detects code that replaces `from_pretrained` or a class, after which the loaded object is unknown."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.uses import FUNCTIONS, Function
from telepathy_lint.hints import TYPE_CHECKING, NamedTuple
from telepathy_lint.knowledge import transformers_names as catalog

if TYPE_CHECKING:
    from telepathy_lint.flow.file import File
    from telepathy_lint.flow.tree import Tree
    from telepathy_lint.flow.value import Value
    from telepathy_lint.sites.loaded_classes import Loader

_NAME = "from_pretrained"
#: The base classes that define the function for all classes of a kind.
_BASES = {"model": "PreTrainedModel", "tokenizer": "PreTrainedTokenizerBase"}
#: Keyword arguments of `patch.multiple` that are not names to replace.
_OPTIONS = frozenset({"spec", "create", "spec_set", "autospec", "new_callable"})


class _Replacement(NamedTuple):
    """A part of transformers that is replaced, for look-ups inside `extent`."""

    node: ast.expr
    extent: ast.AST
    module: str
    #: The class or function of the module; "" for any of them, None for the module itself.
    name: str | None


class Replaced:
    """The classes whose function the file replaces, with the nodes in which the replacement is in effect."""

    def __init__(self, file: File, offsets: Iterable[int]) -> None:
        """`offsets` are the mentions of the function that may replace it."""
        self.tree = tree = file.tree
        self.values = file.values
        self._inside: dict[str, set[ast.AST]] = {}
        for node in tree.visit(tree.lines_of(offsets)):
            for name, extent in self._functions(node):
                self._inside.setdefault(name, set()).add(extent)

    def covers(self, call: ast.Call, loader: Loader) -> bool:
        """Whether the function of a loaded class is replaced at the call."""
        names = {*map(catalog.last, loader.classes), _BASES[loader.kind]} & self._inside.keys()
        return bool(names) and any(_is_inside(self.tree, call, self._inside[name]) for name in names)

    def _functions(self, node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
        """Yield the classes whose function a node replaces, and where the replacement is in effect."""
        if isinstance(node, ast.Attribute) and node.attr == _NAME and not isinstance(node.ctx, ast.Load):
            yield from ((name, self.tree.module) for name in self._classes(node.value))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            call = self.tree.parent.get(node)
            owner, _, attribute = node.value.rpartition(".")
            if attribute == _NAME and isinstance(call, ast.Call) and node in call.args[:2]:
                called = _called(call)
                in_one_string = bool(owner) and node is call.args[0]
                if in_one_string and called[-1] in ("setattr", "patch"):
                    yield catalog.last(owner), _extent(self.tree, call, called)
                elif not owner and (called[-1] == "setattr" or called[-2:] == ["patch", "object"]):
                    extent = _extent(self.tree, call, called)
                    yield from ((name, extent) for name in self._classes(call.args[0]))

    def _classes(self, node: ast.expr) -> Iterator[str]:
        """The last names of the classes that an expression may be."""
        for value in self.values.evaluate(node, self.tree.context_of(node)):
            if value.kind == "symbol":
                yield catalog.last(str(value.data))
            elif isinstance(value.node, ast.ClassDef):
                yield value.node.name


class ReplacedParts:
    """The parts of transformers that the file replaces: classes, functions, or the module itself."""

    def __init__(self, file: File, offsets: Iterable[int]) -> None:
        """`offsets` are the positions of words that such a replacement contains."""
        self.tree = tree = file.tree
        self.values = file.values
        self._names = [each for node in tree.visit(tree.lines_of(offsets)) for each in self._parts(node)]

    def hides(self, value: Value) -> bool:
        """Whether a value was looked up or imported where the file has replaced it."""
        if not self._names or value.kind != "symbol" or value.context.scope.tree is not self.tree:
            return False
        module, _, name = str(value.data).rpartition(".")
        imported = isinstance(value.context.stmt, (ast.Import, ast.ImportFrom))
        lookup = value.context.stmt if imported else value.node
        for each in self._names:
            lookups: Iterable[ast.AST | None]
            if each.name is None:
                is_meant = f"{module}.".startswith(f"{each.module}.")
                lookups = self._imports(value) if is_meant else ()
            else:
                # A module's attribute comes from its submodule, which may have been replaced before the first
                # access.
                is_meant = each.name in (name, "") and f"{each.module}.".startswith(f"{module}.")
                lookups = (lookup,) if is_meant else ()
            if any(self._holds(each, one) for one in lookups):
                return True
        return False

    def _imports(self, value: Value) -> Iterator[ast.AST | None]:
        """The imports by which the file gets a class: its own, or its module's."""
        root = value.node
        while isinstance(root, ast.Attribute):
            root = root.value
        if isinstance(value.context.stmt, (ast.Import, ast.ImportFrom)):
            yield value.context.stmt
        elif isinstance(root, ast.Name) and root is not value.node:
            for base in self.values.evaluate(root, value.context):
                if isinstance(base.context.stmt, (ast.Import, ast.ImportFrom)):
                    yield base.context.stmt

    def _holds(self, replacement: _Replacement, lookup: ast.AST | None) -> bool:
        """Whether a look-up at a node may return the replacement.

        Statements at module level run in order, and before the bodies of functions.
        """
        if lookup is None:
            return True
        scope, node = self.tree.context_of(lookup).scope, replacement.node
        in_order = scope is self.tree.top or scope is self.tree.scope_of(node)
        if in_order and isinstance(lookup, (ast.stmt, ast.expr)) and lookup.lineno < node.lineno:
            return False
        return _is_inside(self.tree, lookup, {replacement.extent})

    def _parts(self, node: ast.AST) -> Iterator[_Replacement]:
        """Yield the parts of transformers that a node replaces."""
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            for module in self._modules(node.value):
                yield _Replacement(node, self.tree.module, module, node.attr)
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and _is_table(node.value):
            for module in self._texts(node.slice):
                if _is_in_transformers(module):
                    yield _Replacement(node, self.tree.module, module, None)
        elif isinstance(node, ast.Call) and node.args:
            called = _called(node)
            if called[-2:] == ["patch", "dict"] or called[-1] in ("setitem", "setdefault", "update"):
                yield from self._replaced_modules(node, called)
            else:
                yield from self._patched(node, called)

    def _patched(self, call: ast.Call, called: list[str]) -> Iterator[_Replacement]:
        """Yield what `setattr`, `patch` and similar functions replace."""
        first = call.args[0]
        named: list[tuple[str, str]] = []
        if called[-2:] == ["patch", "multiple"]:
            names = [each.arg or "" for each in call.keywords if each.arg not in _OPTIONS]
            owners = [*self._modules(first), *filter(_is_in_transformers, self._texts(first))]
            named = [(owner, name) for owner in owners for name in names]
        elif called[-1] in ("setattr", "patch") and isinstance(first, ast.Constant):
            owner, _, name = str(first.value).rpartition(".")
            named = [(owner, name)] if _is_in_transformers(owner) else []
        elif (called[-1] == "setattr" or called[-2:] == ["patch", "object"]) and len(call.args) > 1:
            named = [
                (owner, name) for owner in self._modules(first) for name in self._texts(call.args[1]) or [""]
            ]
        for owner, name in named:
            yield _Replacement(call, _extent(self.tree, call, called), owner, name)

    def _replaced_modules(self, call: ast.Call, called: list[str]) -> Iterator[_Replacement]:
        """Yield the modules that a call puts into `sys.modules`."""
        extent: ast.AST = self.tree.module
        if called[-1] not in ("setdefault", "update"):
            table, given = call.args[0], call.args[1] if len(call.args) > 1 else call.args[0]
            extent = _extent(self.tree, call, called)
        elif isinstance(call.func, ast.Attribute):
            table, given = call.func.value, call.args[0]
        else:
            return
        if _is_table(table):
            by_name = called[-1] in ("setdefault", "setitem")
            for module in self._texts(given) if by_name else self._keys(given):
                if _is_in_transformers(module):
                    yield _Replacement(call, extent, module, None)

    def _modules(self, node: ast.expr) -> list[str]:
        """The transformers modules or classes that an expression may be."""
        values = self.values.evaluate(node, self.tree.context_of(node))
        symbols = (str(value.data) for value in values if value.kind == "symbol")
        return [symbol for symbol in symbols if _is_in_transformers(symbol)]

    def _texts(self, node: ast.expr) -> list[str]:
        """The strings that an expression may be; none if it may be something else."""
        values = self.values.evaluate(node, self.tree.context_of(node))
        return (
            [str(value.data) for value in values if value.kind == "const"] if _are_all_texts(values) else []
        )

    def _keys(self, node: ast.expr) -> Iterator[str]:
        """The keys of the dict displays that an expression may be."""
        for value in self.values.evaluate(node, self.tree.context_of(node)):
            for key in getattr(value.node, "keys", ()) if isinstance(value.node, ast.Dict) else ():
                if isinstance(key, ast.Constant):
                    yield str(key.value)


def _extent(tree: Tree, call: ast.Call, called: list[str]) -> ast.AST:
    """Where a replacement is in effect: a `with` block, a decorated function, a function, or the whole file."""
    whole, held = tree.module, None
    child, node = call, tree.parent.get(call)
    while node is not None and called != ["setattr"]:  # plain setattr is never undone
        if isinstance(node, ast.withitem):
            held = tree.parent.get(node)
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            if child in node.decorator_list:
                return node
            return whole if isinstance(node, ast.ClassDef) or _lends(node) else held or node
        child, node = node, tree.parent.get(node)  # type: ignore[assignment]
    return held or whole


def _is_inside(tree: Tree, node: ast.AST | None, extents: set[ast.AST]) -> bool:
    while node is not None and node not in extents:
        node = tree.parent.get(node)
    return node is not None


def _called(call: ast.Call) -> list[str]:
    return (dotted(call.func) or "").split(".")


def _is_in_transformers(module: str) -> bool:
    return module == catalog.ROOT or catalog.in_transformers(module)


def _is_table(node: ast.expr) -> bool:
    """Whether an expression is `sys.modules`, or its name as an argument of `patch.dict`."""
    return dotted(node) in ("sys.modules", "modules") or (
        isinstance(node, ast.Constant) and node.value == "sys.modules"
    )


def _are_all_texts(values: Iterable[Value]) -> bool:
    return all(value.kind == "const" and isinstance(value.data, str) for value in values)


def _lends(function: Function) -> bool:
    """Whether a function's replacements are in effect for others: a fixture, a context manager, a `setUp`."""
    decorators = (each.func if isinstance(each, ast.Call) else each for each in function.decorator_list)
    names = [(dotted(each) or "").rpartition(".")[2] for each in decorators]
    return function.name.lower().startswith("setup") or any(
        name.endswith(("fixture", "contextmanager")) for name in names
    )
