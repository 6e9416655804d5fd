"""The bindings that a single statement or parameter creates."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from telepathy_lint.hints import Any

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


# Not a NamedTuple: tens of thousands are created, which would take 1.5 times as long, and reading them twice
# as long.
class Binding:
    """A place where a name gets a value.

    `kind` is one of: "assign" (`value` is the right-hand side, `path` the indices of an unpacking),
    "annotation" (no value), "augment", "for" (`value` is the iterable), "with" (the context manager),
    "import" (`symbol` is the dotted origin), "def", "class", "param", "except", "delete", "other".
    """

    __slots__ = ("kind", "name", "path", "stmt", "symbol", "value")

    def __init__(
        self,
        kind: str,
        name: str,
        stmt: ast.AST,
        value: ast.expr | None = None,
        path: tuple[int | None, ...] = (),
        symbol: str = "",
    ) -> None:
        self.kind = kind
        self.name = name
        self.stmt = stmt
        self.value = value
        self.path = path
        self.symbol = symbol

    @property
    def line(self) -> int:
        return getattr(self.stmt, "lineno", 1)


def dotted(node: ast.AST) -> str | None:
    """Return `a.b.c` for a chain of names and attributes; None for other expressions."""
    if type(node) is ast.Name:
        return node.id
    if type(node) is not ast.Attribute:
        return None
    name, owner = node.attr, node.value
    while type(owner) is ast.Attribute:
        name, owner = f"{owner.attr}.{name}", owner.value
    return f"{owner.id}.{name}" if type(owner) is ast.Name else None


def written(node: ast.expr) -> str:
    """Return an expression as code; fast for a chain of names."""
    return dotted(node) or ast.unparse(node)


def targets_of(
    target: ast.expr, path: tuple[int | None, ...] = ()
) -> Iterator[tuple[ast.expr, tuple[int | None, ...]]]:
    """Yield the names, attributes and subscripts that an assignment target assigns, each with its index path.

    An index after a starred element counts from the end; the starred element itself has index None.
    """
    if isinstance(target, (ast.Tuple, ast.List)):
        starred = next((i for i, item in enumerate(target.elts) if isinstance(item, ast.Starred)), None)
        for index, item in enumerate(target.elts):
            if isinstance(item, ast.Starred):
                yield from targets_of(item.value, (*path, None))
            else:
                from_end = starred is not None and index > starred
                yield from targets_of(item, (*path, index - len(target.elts) if from_end else index))
    else:
        yield target, path


Bound = list[tuple[str, Binding]]


def bindings_of(stmt: ast.stmt) -> Bound:
    """Return the bindings of a statement by dotted name, without those of statements inside it."""
    binder = _BINDERS.get(type(stmt))
    return binder(stmt) if binder is not None else []


def _assigned(stmt: ast.stmt, target: ast.expr, value: ast.expr, kind: str) -> Bound:
    if type(target) is ast.Name:
        return [(target.id, Binding(kind, target.id, stmt, value))]
    return [
        (name, Binding(kind, name, stmt, value, path))
        for node, path in targets_of(target)
        if (name := dotted(node)) is not None
    ]


def _of_assign(stmt: ast.Assign) -> Bound:
    if len(stmt.targets) == 1:
        return _assigned(stmt, stmt.targets[0], stmt.value, "assign")
    return [each for target in stmt.targets for each in _assigned(stmt, target, stmt.value, "assign")]


def _of_annotated(stmt: ast.AnnAssign) -> Bound:
    if stmt.value is not None:
        return _assigned(stmt, stmt.target, stmt.value, "assign")
    name = dotted(stmt.target)
    return [(name, Binding("annotation", name, stmt))] if name is not None else []


def _of_augmented(stmt: ast.AugAssign) -> Bound:
    name = dotted(stmt.target)
    return [(name, Binding("augment", name, stmt, stmt.value))] if name is not None else []


def _of_loop(stmt: ast.For | ast.AsyncFor) -> Bound:
    return _assigned(stmt, stmt.target, stmt.iter, "for")


def _of_with(stmt: ast.With | ast.AsyncWith) -> Bound:
    return [
        each
        for item in stmt.items
        if item.optional_vars is not None
        for each in _assigned(stmt, item.optional_vars, item.context_expr, "with")
    ]


def _of_import(stmt: ast.Import) -> Bound:
    found: Bound = []
    for alias in stmt.names:
        name = alias.asname or alias.name.partition(".")[0]
        found.append((name, Binding("import", name, stmt, symbol=alias.name if alias.asname else name)))
    return found


def _of_import_from(stmt: ast.ImportFrom) -> Bound:
    module = "." * stmt.level + (stmt.module or "")
    prefix = module if module.endswith(".") else f"{module}."
    found: Bound = []
    for alias in stmt.names:
        name = alias.asname or alias.name
        found.append((name, Binding("import", name, stmt, symbol=prefix + alias.name)))
    return found


def _of_function(stmt: ast.FunctionDef | ast.AsyncFunctionDef) -> Bound:
    return [(stmt.name, Binding("def", stmt.name, stmt))]


def _of_class(stmt: ast.ClassDef) -> Bound:
    return [(stmt.name, Binding("class", stmt.name, stmt))]


def _of_delete(stmt: ast.Delete) -> Bound:
    names = [name for target in stmt.targets if (name := dotted(target)) is not None]
    return [(name, Binding("delete", name, stmt)) for name in names]


def _of_match(stmt: ast.Match) -> Bound:
    nodes = [node for case in stmt.cases for node in ast.walk(case.pattern)]
    captured = [getattr(node, "name", None) or getattr(node, "rest", None) for node in nodes]
    return [(name, Binding("other", name, stmt)) for name in captured if isinstance(name, str)]


_BINDERS: dict[type[ast.stmt], Callable[[Any], Bound]] = {
    ast.Assign: _of_assign,
    ast.AnnAssign: _of_annotated,
    ast.AugAssign: _of_augmented,
    ast.For: _of_loop,
    ast.AsyncFor: _of_loop,
    ast.With: _of_with,
    ast.AsyncWith: _of_with,
    ast.Import: _of_import,
    ast.ImportFrom: _of_import_from,
    ast.FunctionDef: _of_function,
    ast.AsyncFunctionDef: _of_function,
    ast.ClassDef: _of_class,
    ast.Delete: _of_delete,
    ast.Match: _of_match,
}


def parameters(node: FunctionNode) -> Iterator[ast.arg]:
    arguments = node.args
    yield from arguments.posonlyargs
    yield from arguments.args
    if arguments.vararg:
        yield arguments.vararg
    yield from arguments.kwonlyargs
    if arguments.kwarg:
        yield arguments.kwarg


def default_of(function: FunctionNode, name: str) -> ast.expr | None:
    """The default value of a parameter."""
    positional = [*function.args.posonlyargs, *function.args.args]
    offset = len(positional) - len(function.args.defaults)
    for index, argument in enumerate(positional):
        if argument.arg == name:
            return function.args.defaults[index - offset] if index >= offset else None
    for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        if argument.arg == name:
            return default
    return None


def given_for(call: ast.Call, parameter: str, position: int | None) -> Iterator[ast.expr]:
    """The arguments of a call that a parameter may get; `position` is its index, None if it is keyword-only."""
    for keyword in call.keywords:
        if keyword.arg == parameter:
            yield keyword.value
            return
    starred = next((i for i, item in enumerate(call.args) if isinstance(item, ast.Starred)), len(call.args))
    if position is None:  # *args or **kwargs may contain any argument
        yield from (*call.args, *(keyword.value for keyword in call.keywords))
    elif position < starred and position < len(call.args):
        yield call.args[position]
    elif starred < len(call.args) or any(keyword.arg is None for keyword in call.keywords):
        yield from (*call.args[starred:], *(k.value for k in call.keywords if k.arg is None))


def filled_parameter(function: ast.AST, call: ast.Call, argument: ast.AST) -> str | None:
    """The parameter of `function` that an argument or keyword of a call sets; None if it is in `*args` or `**kwargs`."""
    if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return None
    known = function.args
    names = [each.arg for each in (*known.posonlyargs, *known.args)]
    for keyword in call.keywords:
        if argument in (keyword, keyword.value):
            return keyword.arg if keyword.arg in (*names, *(each.arg for each in known.kwonlyargs)) else None
    for index, each in enumerate(call.args):
        if isinstance(each, ast.Starred):
            return None
        if each is argument:
            return names[index] if index < len(names) else None
    return None


def walruses(stmt: ast.stmt) -> Iterator[tuple[str, Binding]]:
    if isinstance(stmt, DEFINITIONS):
        return
    for child in header(stmt):
        for node in ast.walk(child):
            if isinstance(node, ast.NamedExpr) and isinstance(node.target, ast.Name):
                yield node.target.id, Binding("assign", node.target.id, stmt, node.value)


def header(stmt: ast.stmt) -> Iterator[ast.AST]:
    """Yield the nodes of a statement without the statements inside it; a case's guard runs before its body."""
    for child in ast.iter_child_nodes(stmt):
        if isinstance(child, (ast.expr, ast.withitem)):
            yield child
        elif isinstance(child, ast.match_case) and child.guard is not None:
            yield child.guard
