"""Resolves the `X` in `X.from_pretrained` to transformers classes."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from telepathy_lint.flow.bindings import default_of, dotted, parameters
from telepathy_lint.flow.evaluate import Evaluator, Value
from telepathy_lint.flow.file import File
from telepathy_lint.flow.tree import Context, Tree
from telepathy_lint.hints import NamedTuple
from telepathy_lint.knowledge import transformers_names as catalog
from telepathy_lint.sites.site import Kind


class Loader(NamedTuple):
    """Classes of one kind whose `from_pretrained` is called."""

    kind: Kind
    classes: tuple[str, ...]
    generative: bool


class Callees:
    """Resolves class expressions in one file."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.tree = file.tree
        self.values = file.values

    def loader(self, node: ast.expr, context: Context) -> Loader | None:
        """Return the classes that `node.from_pretrained` loads; None if it is not certainly a transformers class."""
        if (isinstance(node, ast.Call) and dotted(node.func) == "super") or _is_own_class(
            node, self.values, context
        ):
            owner = self.values.enclosing_class(context.scope)
            if owner is None:
                return None
            own = isinstance(node, ast.Name)
            classes = [self._local_class(owner, inherited=not own)]
        else:
            classes = []
            for value in self.classes_of(self.values.evaluate(node, context)):
                if value.is_none:
                    continue
                if value.kind == "symbol":
                    classes.append(self._known_class(str(value.data)))
                elif isinstance(value.node, ast.ClassDef):
                    classes.append(self._local_class(value.node, False, value.context.scope.tree))
                elif self._is_looked_up(value):
                    classes.append(Loader("model", (catalog.UNKNOWN_MODEL,), False))
                else:
                    return None
        if not classes or None in classes:
            return None
        found = [each for each in classes if each is not None]
        kinds = {each.kind for each in found}
        if len(kinds) != 1:
            return None
        names = tuple(dict.fromkeys(name for each in found for name in each.classes))
        return Loader(kinds.pop(), names, all(each.generative for each in found))

    def classes_of(self, values: Iterable[Value], depth: int = 0) -> Iterator[Value]:
        """The possible values of a class expression, including items of tables and defaults of parameters."""
        for value in values:
            if value.kind == "choice":
                yield from list(self.values.dicts.chosen(value)) or [value]
            elif value.kind == "param" and depth < 3:
                yield from self._parameter_classes(value, depth)
            elif value.kind == "call" and depth < 3:
                yield from self._returned_classes(value, depth)
            elif value.kind == "attribute" and depth < 3:
                yield from self._of_returned_module(value, depth)
            else:
                yield value

    def _returned_classes(self, value: Value, depth: int) -> Iterator[Value]:
        """The classes that a function in the file may return."""
        call = value.node
        functions = (
            list(self.file.calls.called(call, value.context))
            if isinstance(call, ast.Call) and value.context.scope.tree is self.tree
            else []
        )
        found: list[Value] = []
        for function in functions:
            for node, context in self.file.calls.results(function):
                found += self.classes_of(self.values.evaluate(node, context), depth + 1)
        yield from found or [value]

    def _of_returned_module(self, value: Value, depth: int) -> Iterator[Value]:
        """The class `module.name`, where a function of the file imports transformers when it is needed, and returns it."""
        node = value.node
        if isinstance(node, ast.Attribute) and value.context.scope.tree is self.tree:
            makers = self.values.evaluate(node.value, value.context)
            if all(maker.kind == "call" for maker in makers):
                modules = [each for each in self.classes_of(makers, depth + 1) if not each.is_none]
                if modules and all(each.kind == "symbol" and each.data == catalog.ROOT for each in modules):
                    yield Value("symbol", f"{catalog.ROOT}.{node.attr}", node, value.context)
                    return
        yield value

    def _is_looked_up(self, value: Value) -> bool:
        """Whether a value is `getattr(transformers, name)` with an unknown name."""
        call = value.node
        if not isinstance(call, ast.Call) or dotted(call.func) != "getattr" or len(call.args) != 2:
            return False
        owners = self.values.evaluate(call.args[0], value.context)
        return all(owner.kind == "symbol" and owner.data == catalog.ROOT for owner in owners)

    def _parameter_classes(self, value: Value, depth: int) -> Iterator[Value]:
        """The classes that a parameter may be: its default, and what calls in the file pass."""
        function = value.node
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield value
            return
        if value.context.scope.tree is not self.tree:
            yield value
            return
        default = default_of(function, str(value.data))
        outside = Context(value.context.scope.parent or self.tree.top, function)
        found = list(self.values.evaluate(default, outside)) if default is not None else []
        for given, context in self.file.calls.given(function, str(value.data)):
            if given is None or len(given) > 1 or (not given and default is None):
                found.append(value)
            for passed in given or ():
                found += self.classes_of(self.values.evaluate(passed, context), depth + 1)
        found = [each for each in found if not each.is_none]
        yield from found or [value]

    def _known_class(self, name: str) -> Loader | None:
        if catalog.is_tokenizer_class(name):
            return Loader("tokenizer", (name,), False)
        if catalog.is_model_class(name):
            return Loader("model", (name,), catalog.is_generative(catalog.last(name)))
        return None

    def _local_class(
        self, owner: ast.ClassDef, inherited: bool, tree: Tree | None = None, depth: int = 0
    ) -> Loader | None:
        """A class in the file that derives from a transformers class and inherits its `from_pretrained`."""
        tree = tree or self.tree
        if depth > 5:
            return None
        scope = tree.scope_at(owner)
        if not inherited and "from_pretrained" in scope.bindings:
            return None  # it overrides from_pretrained; the call inside it is the load
        outside = Context(scope.parent or tree.top, owner)
        for base in owner.bases:
            for value in self.values.evaluate(base, outside):
                found = None
                if value.kind == "symbol":
                    found = self._known_class(str(value.data))
                elif isinstance(value.node, ast.ClassDef) and value.node is not owner:
                    found = self._local_class(value.node, False, value.context.scope.tree, depth + 1)
                if found is not None:
                    generative = found.kind == "model" and (
                        found.generative or catalog.is_generative(owner.name)
                    )
                    return Loader(found.kind, (owner.name,), generative)
        return None


def _is_own_class(node: ast.expr, evaluator: Evaluator, context: Context) -> bool:
    """Whether the expression is a classmethod's `cls`: its first parameter, not rebound."""
    if not isinstance(node, ast.Name) or evaluator.enclosing_class(context.scope) is None:
        return False
    values = evaluator.evaluate(node, context)
    function = values[0].node
    return (
        len(values) == 1
        and values[0].kind == "param"
        and isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        and next(parameters(function)).arg == node.id
        and any(isinstance(each, ast.Name) and each.id == "classmethod" for each in function.decorator_list)
    )
