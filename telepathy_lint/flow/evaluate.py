"""Evaluates an expression statically: all values that it may have, or that they are unknown."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import islice

from telepathy_lint.flow.bindings import Binding, dotted
from telepathy_lint.flow.known import Known
from telepathy_lint.flow.names import Names, comprehension_of, in_order
from telepathy_lint.flow.reaching import reaching
from telepathy_lint.flow.tree import Context, Scope, Tree
from telepathy_lint.flow.value import GIVES, Value
from telepathy_lint.hints import TYPE_CHECKING
from telepathy_lint.knowledge import transformers_names as catalog

if TYPE_CHECKING:
    from telepathy_lint.flow.dicts import Dicts

_MAX_DEPTH = 24
#: An expression with more alternatives is unknown, because each is examined for each load that uses it.
_MAX_ALTERNATIVES = 256
#: Kinds of values that may be a dict or list with known contents.
_READABLE = frozenset({"dict", "sequence", "other", "call"})

#: Calls that import the module of a given name.
_IMPORTS = ("importlib.import_module", "import_module", "__import__")


class Evaluator:
    """Follows names to their bindings, and caches the results."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._known: dict[tuple[ast.AST, ast.AST | None], tuple[Value, ...]] = {}
        self._open: set[tuple[ast.AST, ast.AST | None]] = set()
        self.names = Names()
        self.known = Known()

    def release(self) -> None:
        """Break reference cycles; the garbage collector is off."""
        self._known.clear()
        self.known = Known()

    @property
    def dicts(self) -> Dicts:
        """A reader of dicts; not cached, because it refers back to the evaluator."""
        from telepathy_lint.flow.dicts import Dicts  # files without dicts that matter do not need it

        return Dicts(self)

    def evaluate(self, node: ast.expr, context: Context) -> tuple[Value, ...]:
        """Return all alternatives of `node` in reading order; never empty."""
        key = (node, context.stmt)
        known = self._known.get(key)
        if known is not None:
            return known
        if key in self._open or len(self._open) > _MAX_DEPTH:
            return (Value("other", None, node, context),)
        self._open.add(key)
        try:
            values = tuple(islice(self._evaluate(node, context), _MAX_ALTERNATIVES + 1))
            if not 0 < len(values) <= _MAX_ALTERNATIVES:
                values = (Value("other", None, node, context),)
        finally:
            self._open.discard(key)
        self._known[key] = values
        return values

    def _evaluate(self, node: ast.expr, context: Context) -> Iterator[Value]:
        if isinstance(node, ast.Constant):
            yield Value("const", node.value, node, context)
        elif isinstance(node, ast.Name):
            yield from self.name(node, context)
        elif isinstance(node, ast.Attribute):
            yield from self._attribute(node, context)
        elif isinstance(node, ast.IfExp):
            holds = self.dicts.holds(node.test, context) if isinstance(node.test, ast.Compare) else None
            if holds is not False:
                yield from self.evaluate(node.body, context)
            if holds is not True:
                yield from self.evaluate(node.orelse, context)
        elif isinstance(node, ast.BoolOp):
            yield from self._either(node, context)
        elif isinstance(node, ast.Call):
            yield from self._call(node, context)
        elif isinstance(node, (ast.Dict, ast.DictComp)):
            yield Value("dict", None, node, context)
        elif isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            yield Value("sequence", None, node, context)
        elif isinstance(node, ast.JoinedStr):
            yield Value("text", None, node, context)
        elif isinstance(node, ast.BinOp):
            yield self._operation(node, context)
        elif isinstance(node, ast.Subscript):
            yield from self._subscript(node, context)
        elif isinstance(node, ast.NamedExpr):
            yield from self.evaluate(node.value, context)
        elif isinstance(node, ast.Lambda):
            yield Value("lambda", None, node, context)
        elif (
            isinstance(node, ast.UnaryOp)
            and isinstance(node.op, ast.USub)
            and isinstance(node.operand, ast.Constant)
        ):
            operand = node.operand.value
            yield Value("const", -operand if isinstance(operand, (int, float)) else operand, node, context)
        else:
            yield Value("other", None, node, context)

    def _either(self, node: ast.BoolOp, context: Context) -> Iterator[Value]:
        for index, arm in enumerate(node.values):
            for value in self.evaluate(arm, context):
                passed_over = isinstance(node.op, ast.Or) and index < len(node.values) - 1
                if passed_over and value.kind == "const" and not value.data:
                    continue  # `None or x` is x
                yield value

    def _operation(self, node: ast.BinOp, context: Context) -> Value:
        if isinstance(node.op, (ast.Add, ast.Mod)):
            left = node.left
            while isinstance(left, ast.BinOp):
                left = left.left
            if (isinstance(left, ast.Constant) and isinstance(left.value, str)) or isinstance(
                left, ast.JoinedStr
            ):
                return Value("text", None, node, context)
        if isinstance(node.op, ast.BitOr):
            return Value("dict", None, node, context)
        return Value("other", None, node, context)

    # ---- names

    def name(self, node: ast.Name, context: Context) -> Iterator[Value]:
        if context.inner and (generator := comprehension_of(node, context)) is not None:
            yield from self._element(generator.iter, node, context)
            return
        found = self.names.ways(node.id, context)
        if found is None:
            yield from self._unbound(node, context)
            return
        for binding, scope in found:
            yield from self.bound(binding, scope, node)

    def is_inner(self, node: ast.Name, context: Context) -> bool:
        """Whether an enclosing comprehension binds a name."""
        return bool(context.inner) and comprehension_of(node, context) is not None

    def _unbound(self, node: ast.Name, context: Context) -> Iterator[Value]:
        """The value of a name without a binding: from a star import, or a builtin."""
        tree, name = context.scope.tree, node.id
        stars = [binding.symbol.removesuffix(".*") for binding in tree.top.bindings.get("*", ())]
        for star in reversed(stars):
            if tree.importer is not None and (values := tree.importer(f"{star}.{name}")):
                yield from values
                return
        imported = (binding.symbol for bindings in tree.top.bindings.values() for binding in bindings)
        if not stars and catalog.needs_no_import(name, imported):
            # bound by a cell or file that ran before; these names have no other meaning
            yield Value("symbol", name if name == catalog.ROOT else f"{catalog.ROOT}.{name}", node, context)
        elif catalog.ROOT in stars and (catalog.is_known(f"{catalog.ROOT}.{name}") or len(stars) == 1):
            yield Value("symbol", f"{catalog.ROOT}.{name}", node, context)
        else:
            yield Value("symbol", f"{stars[-1]}.{name}" if stars else f"builtins.{name}", node, context)

    def module_name(self, name: str) -> tuple[Value, ...] | None:
        """The values of a name at the end of the module; None if it is not bound."""
        top = self.tree.top
        outside = Context(top, None)
        if not top.bindings.get(name):
            if not top.bindings.get("*"):
                return None
            values = tuple(self._unbound(ast.Name(name, ast.Load()), outside))
            return None if all(str(value.data).startswith("builtins.") for value in values) else values
        found: list[Value] = []
        for binding, scope in self.names.in_scope(top, name, None):
            found += self.bound(binding, scope, binding.stmt)
        return tuple(found) or None

    def bound(self, binding: Binding, scope: Scope, node: ast.AST) -> Iterator[Value]:
        """The values that a binding assigns."""
        context = Context(scope, binding.stmt)
        if binding.kind == "assign" and binding.value is not None:
            for value in self._unpacked(binding.value, binding.path, context):
                yield value.through(binding.name, binding.line)
        elif binding.kind == "import":
            values = scope.tree.importer(binding.symbol) if scope.tree.importer is not None else None
            if values:
                yield from values
            else:
                yield Value("symbol", binding.symbol, node, context)
        elif binding.kind == "def":
            yield Value("function", None, binding.stmt, context)
        elif binding.kind == "class":
            yield Value("class", None, binding.stmt, context)
        elif binding.kind == "param":
            yield Value("param", binding.name, binding.stmt, context)
        elif binding.kind == "for" and binding.value is not None:
            for value in self._element(binding.value, node, context, binding.path):
                yield value.through(binding.name, binding.line)
        elif binding.kind == "annotation":
            return
        else:
            yield Value("other", binding.name, node, context)

    def _unpacked(self, value: ast.expr, path: tuple[int | None, ...], context: Context) -> Iterator[Value]:
        if not path:
            yield from self.evaluate(value, context)
            return
        for whole in self.evaluate(value, context):
            index, items = path[0], getattr(whole.node, "elts", None)
            if whole.kind == "choice" and index is not None:
                items = tuple(self.dicts.under(whole, index))
                yield Value("choice", items or None, whole.node, whole.context)
            elif (
                whole.kind == "sequence" and index is not None and items and -len(items) <= index < len(items)
            ):
                yield from self._unpacked(items[index], path[1:], whole.context)
            else:
                yield Value(
                    "call" if whole.kind == "call" else "other", whole.data, whole.node, whole.context
                )

    def _element(
        self, iterable: ast.expr, node: ast.AST, context: Context, path: tuple[int | None, ...] = ()
    ) -> Iterator[Value]:
        """The items that a loop over `iterable` yields."""
        for whole in self.evaluate(iterable, context):
            if whole.kind == "sequence":
                for item in whole.node.elts:  # type: ignore[attr-defined]
                    yield from self._unpacked(item, path, whole.context)
            else:
                yield Value("other", None, node, context)

    # ---- attributes, calls, items

    def _attribute(self, node: ast.Attribute, context: Context) -> Iterator[Value]:
        name = dotted(node)
        if name is not None and (values := self._followed(name, node, context)):
            yield from values
            return
        for base in self.evaluate(node.value, context):
            if base.kind == "symbol" and not str(base.data).startswith("builtins."):
                whole = f"{base.data}.{node.attr}"
                importer = context.scope.tree.importer
                values = list(importer(whole) or ()) if importer is not None else []
                if values:
                    yield from values
                else:
                    yield Value("symbol", whole, node, context)
            elif base.kind == "class":
                inside = list(self.class_attribute(base.node, node.attr, base.context.scope.tree))  # type: ignore[arg-type]
                yield from inside or [Value("attribute", name or node.attr, node, context)]
            else:
                yield Value("attribute", name or node.attr, node, context)

    def _followed(self, name: str, node: ast.Attribute, context: Context) -> list[Value]:
        """The values of `self.x` or `obj.x`, from assignments in the function and, for `self`, in the class."""
        found: list[Value] = []
        complete = False
        if context.scope.bindings.get(name) and context.stmt is not None:
            arrived = reaching(context.scope, name, context.stmt)
            if arrived:
                complete = None not in arrived
                for binding in in_order(arrived):
                    found.extend(self.bound(binding, context.scope, node))
        if complete:
            return found
        base, _, attribute = name.rpartition(".")
        owner = self.enclosing_class(context.scope) if base in ("self", "cls") else None
        if owner is not None:
            return found + list(self.class_attribute(owner, attribute, context.scope.tree))
        if found:
            found.append(Value("attribute", name, node, context))
            return found
        module = context.scope.tree.top
        if context.scope is not module and module.bindings.get(name):
            return [value for binding in module.bindings[name] for value in self.bound(binding, module, node)]
        return []

    def enclosing_class(self, scope: Scope | None) -> ast.ClassDef | None:
        while scope is not None:
            if isinstance(scope.node, ast.ClassDef):
                return scope.node
            scope = scope.parent
        return None

    def class_attribute(self, owner: ast.ClassDef, attribute: str, tree: Tree) -> Iterator[Value]:
        """The values of a class attribute: assignments in its body, and all `self.attribute = ...` in its methods.

        An annotated field (of a dataclass or pydantic model) is not followed, because the constructor sets
        it.
        """
        for binding, scope in self.attribute_bindings(owner, attribute, tree):
            if isinstance(binding.stmt, ast.AnnAssign) and scope.is_class:
                yield Value("attribute", attribute, binding.stmt, Context(scope, binding.stmt))
            else:
                yield from self.bound(binding, scope, owner)

    def attribute_bindings(
        self, owner: ast.ClassDef, attribute: str, tree: Tree, depth: int = 0
    ) -> Iterator[tuple[Binding, Scope]]:
        """The bindings of an attribute in a class and its base classes."""
        scope = tree.scope_at(owner)
        for binding in scope.bindings.get(attribute, ()):
            yield binding, scope
        for definition in scope.definitions:
            if isinstance(definition, ast.ClassDef):
                continue
            method = tree.scope_at(definition)
            for name in (f"self.{attribute}", f"cls.{attribute}"):
                for binding in method.bindings.get(name, ()):
                    yield binding, method
        for binding in tree.top.bindings.get(f"{owner.name}.{attribute}", ()):
            yield binding, tree.top
        if depth < 4:
            for base in owner.bases:
                for value in self.evaluate(base, Context(scope.parent or tree.top, owner)):
                    if isinstance(value.node, ast.ClassDef) and value.node is not owner:
                        where = value.context.scope.tree
                        yield from self.attribute_bindings(value.node, attribute, where, depth + 1)

    def _call(self, node: ast.Call, context: Context) -> Iterator[Value]:
        name = dotted(node.func)
        if isinstance(node.func, ast.Name) and self.names.owner(node.func.id, context) is None:
            if node.func.id == "dict":
                yield Value("dict", None, node, context)
                return
            if node.func.id == "getattr" and len(node.args) >= 2:
                yield from self._getattr(node, context)
                return
            if node.func.id == "str" and len(node.args) == 1 and isinstance(node.args[0], ast.Constant):
                yield Value("const", str(node.args[0].value), node, context)
                return
        if isinstance(node.func, ast.Attribute):
            if node.func.attr == "format" and isinstance(node.func.value, ast.Constant):
                yield Value("text", None, node, context)
                return
            if node.func.attr in GIVES and 1 <= len(node.args) <= 2 and not node.keywords:
                yield from self._given(node.func, node, context)
                return
            if node.func.attr == "copy" and not node.args:
                for value in self.evaluate(node.func.value, context):
                    yield value if value.kind == "dict" else Value("call", name, node, context)
                return
        module = getattr(node.args[0], "value", None) if name in _IMPORTS and len(node.args) == 1 else None
        if isinstance(module, str):
            yield Value("symbol", module, node, context)
            return
        if name is not None and name.rpartition(".")[2] in ("deepcopy", "copy") and len(node.args) == 1:
            for value in self.evaluate(node.args[0], context):
                yield value if value.kind == "dict" else Value("call", name, node, context)
            return
        yield Value("call", name or "", node, context)

    def _getattr(self, node: ast.Call, context: Context) -> Iterator[Value]:
        for attribute in self.evaluate(node.args[1], context):
            if attribute.kind == "const" and isinstance(attribute.data, str):
                for base in self.evaluate(node.args[0], context):
                    if base.kind == "symbol":
                        yield Value("symbol", f"{base.data}.{attribute.data}", node, context, attribute.via)
                    else:
                        yield Value("attribute", attribute.data, node, context)
            else:
                yield Value("choice", None, node, context)

    def _given(self, func: ast.Attribute, node: ast.Call, context: Context) -> Iterator[Value]:
        """The values of `table.get(key, default)` and similar methods."""
        tables = self.evaluate(func.value, context)
        if not any(table.kind in _READABLE for table in tables):
            yield Value("call", dotted(func) or "", node, context)
        elif (found := self.dicts.got(node, context)) is not None:
            yield from found
        elif func.attr == "get" and any(table.kind == "dict" for table in tables):
            items = [item for table in tables for item in self.dicts.items(table)]
            items += self.evaluate(node.args[1], context) if len(node.args) > 1 else ()
            yield Value("choice", tuple(items) or None, node, context)
        else:
            yield Value("call", dotted(func) or "", node, context)

    def _subscript(self, node: ast.Subscript, context: Context) -> Iterator[Value]:
        keys = self.evaluate(node.slice, context)
        exact = all(key.kind == "const" for key in keys)
        tables = self.evaluate(node.value, context)
        if exact and any(table.kind in _READABLE for table in tables):
            found = self.dicts.item(node, context)
            if found is not None:
                yield from found
                return
        for table in tables:
            if exact and table.kind == "choice":
                picked = tuple(value for key in keys for value in self.dicts.under(table, key.data))
                yield Value("choice", picked or None, node, context)
            else:
                yield Value("choice", table, node, context)


__all__ = ["Evaluator", "Value"]
