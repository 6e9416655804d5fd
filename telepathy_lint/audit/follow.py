"""Finds the ids that a load may get: its Values, defaults of options, fields, parameters and their callers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from telepathy_lint.audit.data import Chosen, Place, Wanted
from telepathy_lint.audit.identifiers import looks_like_an_id, place_of
from telepathy_lint.audit.objects import Objects
from telepathy_lint.flow.bindings import default_of, dotted
from telepathy_lint.flow.file import File
from telepathy_lint.flow.tree import Context, Scope
from telepathy_lint.flow.uses import FUNCTIONS, Function
from telepathy_lint.sites import Site, Value

_DEPTH = 5
#: Objects whose attributes come from the command line or a configuration file.
_MARK = (
    "args",
    "opt",
    "opts",
    "options",
    "config",
    "cfg",
    "conf",
    "configs",
    "params",
    "hparams",
    "settings",
    "flags",
)
#: Names that show that a file reads YAML, JSON or TOML.
_READERS = ("yaml", "YAML", "json.load", "toml", "OmegaConf", "hydra", "HfArgumentParser")


@dataclass(frozen=True, slots=True)
class Found:
    """The ids found, whether there may be others, the options that contain them, and the callers to look for."""

    chosen: tuple[Chosen, ...]
    is_open: bool
    options: tuple[str, ...]
    wanted: tuple[Wanted, ...]


class Follower:
    """Follows the ids of one file's loads within the file."""

    def __init__(self, file: File, path: str) -> None:
        self.file = file
        self.path = path
        self.graph = file.calls
        self.objects = Objects(file, self.graph)
        self._options: dict[str, list[ast.expr]] | None = None
        self._declared: set[str] = set()
        self._wanted: dict[Wanted, None] = {}
        #: Parameters already followed, so that methods that call each other are followed once.
        self._visited: set[tuple[int, str]] = set()

    def of(self, site: Site) -> Found:
        """The ids that a load may get."""
        argument = site.argument("pretrained_model_name_or_path", "model")
        if argument is None:
            return Found((), True, (), ())
        return self.ids(argument.values)

    def ids(self, values: tuple[Value, ...]) -> Found:
        """The ids that the values may be."""
        self._wanted = {}
        self._visited = set()
        chosen: dict[tuple[str, Place], Chosen] = {}
        options: dict[str, None] = {}
        is_open = False
        for value, via in self._values(values, "", 0, set()):
            if value is None:
                is_open = True
            elif value.kind == "option":
                options[str(value.data)] = None
                is_open = True
            elif value.kind == "const" and isinstance(value.data, str):
                if looks_like_an_id(value.data):
                    place = self._place(value)
                    chosen.setdefault((value.data, place), Chosen(value.data, place, via, _entry_of(value)))
            elif not (value.kind == "const" and value.data is None):
                is_open = True
        return Found(tuple(sorted(chosen.values())), is_open, tuple(options), tuple(self._wanted))

    def _place(self, value: Value) -> Place:
        tree = value.context.scope.tree
        path = self.path
        if tree is not self.file.tree:
            path = tree.source.path  # made relative by the caller, which knows the root
        return place_of(tree, value.node, path)

    def _values(
        self, values: tuple[Value, ...], via: str, depth: int, seen: set[int]
    ) -> Iterator[tuple[Value | None, str]]:
        """Constants, options, and None for a value that cannot be followed."""
        for value in values:
            how = via or (f"name {value.via[0]}" if value.via else "")
            if value.kind == "const":
                yield value, how
            elif depth > _DEPTH or (id(value.node) in seen and value.kind != "param"):
                yield None, how
            elif value.kind == "call" and (default := _default_given(value.node)) is not None:
                yield None, how  # a value from the environment or a dict of settings
                found = self.file.values.evaluate(default, value.context)
                yield from self._values(found, how or "a default", depth + 1, {*seen, id(value.node)})
            elif value.kind in ("choice", "call", "other"):
                found = tuple(self._chosen(value)) or tuple(self.objects.of(value))
                if not found:
                    yield None, how
                source = {"choice": "a table", "call": f"result of {value.data}"}.get(value.kind, "a loop")
                yield from self._values(found, how or source, depth + 1, {*seen, id(value.node)})
            elif value.kind == "attribute":
                yield from self._attribute(value, how, depth, seen)
            elif value.kind == "param":
                yield from self._parameter(value, how, depth, seen)
            else:
                yield None, how

    def _chosen(self, value: Value) -> Iterator[Value]:
        if value.kind == "choice" and isinstance(value.data, (Value, tuple)):
            yield from self.file.values.dicts.chosen(value)

    def keys(self, options: tuple[str, ...]) -> tuple[str, ...]:
        """The options that a configuration file may set: the file reads them but does not declare them itself."""
        text = self.file.source.text
        if not any(word in text for word in _READERS):
            return ()
        self.options()
        return tuple(option for option in options if option not in self._declared)

    # ---- options and fields

    def _attribute(
        self, value: Value, via: str, depth: int, seen: set[int]
    ) -> Iterator[tuple[Value | None, str]]:
        owner, _, name = str(value.data).rpartition(".")
        if owner.rpartition(".")[2].lower().lstrip("_") not in _MARK and owner != "self":
            yield None, via
            return
        yield Value("option", name, value.node, value.context), via
        self._want_field(name)
        for default in self.options().get(name, ()):
            context = self.file.tree.context_of(default)
            found = self.file.values.evaluate(default, context)
            yield from self._values(found, via or f"default of {name}", depth + 1, {*seen, id(value.node)})

    def options(self) -> dict[str, list[ast.expr]]:
        """Defaults and choices of parsed arguments or dataclass fields, by name."""
        if self._options is None:
            self._options = {}
            tree = self.file.tree
            for node in tree.visit(tree.lines_of(self.file.words.find("add_argument"))):
                if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
                    self._add_option(node)
            for scope in tree.all_scopes():
                if scope.is_class:
                    for name, bindings in scope.bindings.items():
                        for binding in bindings:
                            if isinstance(binding.stmt, ast.AnnAssign) and binding.stmt.value is not None:
                                tree.visit([binding.stmt.lineno])
                                self._options.setdefault(name, []).append(binding.stmt.value)
        return self._options

    def _add_option(self, call: ast.Call) -> None:
        assert self._options is not None
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        flags = [
            arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
        ]
        long = next((flag for flag in flags if flag.startswith("--")), flags[0] if flags else None)
        destination = given.get("dest")
        name = destination.value if isinstance(destination, ast.Constant) else long
        if not isinstance(name, str):
            return
        name = name.lstrip("-").replace("-", "_")
        self._declared.add(name)
        defaults = self._options.setdefault(name, [])
        if "default" in given:
            defaults.append(given["default"])
        choices = given.get("choices")
        if isinstance(choices, (ast.List, ast.Tuple)):
            defaults.extend(choices.elts)

    # ---- parameters

    def _parameter(
        self, value: Value, via: str, depth: int, seen: set[int]
    ) -> Iterator[tuple[Value | None, str]]:
        scope = value.context.scope
        function, name = scope.node, str(value.data)
        if scope.tree is not self.file.tree or not isinstance(function, FUNCTIONS) or id(function) in seen:
            yield None, via
            return
        how = via or f"parameter {name} of {function.name}"
        if (id(function), name) in self._visited:
            return
        self._visited.add((id(function), name))
        self._want(function, name, scope.parent)
        known = False
        default = default_of(function, name)
        if default is not None:
            context = Context(scope.parent or self.file.tree.top, function)
            found = self.file.values.evaluate(default, context)
            known = not (len(found) == 1 and found[0].is_none)
            yield from self._values(found, how, depth + 1, {*seen, id(function)})
        for given, context in self.graph.given(function, name):
            if given is None or len(given) != 1 or isinstance(argument := given[0], ast.Starred):
                continue
            known = True
            found = self.file.values.evaluate(argument, context)
            yield from self._values(found, how, depth + 1, {*seen, id(function)})
        if not known:
            yield None, how

    # ---- what callers in other files give

    def _want(self, function: Function, name: str, owner: Scope | None) -> None:
        """Record a parameter of a function or constructor that other files can call."""
        names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
        position = names.index(name) if name in names else -1
        if owner is self.file.tree.top:
            self._wanted[Wanted(self.path, function.name, name, position)] = None
        elif owner is not None and isinstance(owner.node, ast.ClassDef) and function.name == "__init__":
            self._wanted[Wanted(self.path, owner.node.name, name, position - 1 if position > 0 else -1)] = (
                None
            )

    def _want_field(self, name: str) -> None:
        """Record a field of the file's dataclasses, which their constructors take."""
        for scope in self.file.tree.all_scopes():
            if scope.is_class and isinstance(scope.node, ast.ClassDef):
                fields = [
                    stmt.target.id
                    for stmt in scope.node.body
                    if isinstance(stmt, ast.AnnAssign) and isinstance(stmt.target, ast.Name)
                ]
                if name in fields:
                    self._wanted[Wanted(self.path, scope.node.name, name, fields.index(name))] = None


def _default_given(node: ast.AST) -> ast.expr | None:
    """The default in `settings.get(name, default)`, `os.environ.get`, `os.getenv` or `getattr`."""
    if not isinstance(node, ast.Call) or node.keywords:
        return None
    name = (dotted(node.func) or "").rpartition(".")[2]
    if name in ("get", "getenv", "pop", "setdefault") and len(node.args) == 2:
        return node.args[1]
    return node.args[2] if name == "getattr" and len(node.args) == 3 else None


def _entry_of(value: Value) -> int:
    """Offset of the innermost dict, list or tuple that contains a literal, 0 if there is none."""
    tree = value.context.scope.tree
    parent = tree.parent.get(value.node)
    return tree.source.start_of(parent) + 1 if isinstance(parent, (ast.Dict, ast.List, ast.Tuple)) else 0


def written(site: Site) -> str:
    """The model argument as written in the call, shortened."""
    argument = site.argument("pretrained_model_name_or_path", "model")
    if argument is None:
        return ""
    node = argument.node.value if isinstance(argument.node, ast.keyword) else argument.node
    text = dotted(node) or (ast.unparse(node) if isinstance(node, ast.expr) else "")
    return text if len(text) <= 60 else f"{text[:57]}..."
