"""Reads modules of the project when an import leads to them: constants, kwargs dicts, wrappers, re-exports.

Each module is parsed once per process. The results do not depend on which files are linted, or in which
order.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.evaluate import Evaluator, Value
from telepathy_lint.flow.surroundings import MAX_BYTES, Surroundings
from telepathy_lint.flow.tree import Importer, Scope, Tree
from telepathy_lint.hints import Protocol
from telepathy_lint.source.prefilter import CodeWords
from telepathy_lint.source.text import Source, SourceError

#: Always the installed packages, even if the project has folders with these names.
_NEVER_LOCAL = frozenset(
    {"transformers", "torch", "numpy", "accelerate", "peft", "datasets", "os", "sys", "typing"}
)
#: The end of a function's parameter list.
_PARAMETERS_END = r"\)\s{0,80}(?:->[^\n]{0,300}?)?:"
#: The start of a line that defines a function or class.
_DEFINITION = rb"([ \t]*)(?:async +)?(def|class) +"
#: Characters that may follow the name in a definition.
_BEHIND_NAME = b"(:[ \t\\\r\n"
#: Bytes of source whose trees are kept for other files that import them.
_MAX_KEPT = 1_800_000


def read_bytes(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


class Forgets(Protocol):
    """An object that is stored with a module and refers back to it."""

    def forget(self) -> None:
        """Drop all references back to the module."""


class Modules(Surroundings):
    """Finds and reads the modules of the projects that the linted files belong to."""

    def __init__(self, read: Callable[[str], bytes] = read_bytes, most_kept: int = _MAX_KEPT) -> None:
        super().__init__(read)
        self._most_kept = most_kept
        #: Whether linted files stay in memory, because the process ends after a few of them.
        self.frees_nothing = False
        self._names: dict[tuple[str, str], tuple[Value, ...] | None] = {}
        self._may_forward: dict[str, frozenset[str]] = {}
        #: The functions of each module that do, by name, once its loads were searched for.
        self.forwarding: dict[str, frozenset[str]] = {}
        self._within: dict[tuple[str, bytes, bytes], bool] = {}
        self._trees: dict[str, Tree | None] = {}
        self._evaluators: dict[Tree, Evaluator] = {}
        #: The modules whose loads were searched for, by path.
        self.looked_into: dict[str, Forgets] = {}

    def importer(self, path: str) -> Importer:
        """A function for one file that returns the values of a dotted import ("pkg.module.NAME") in the project."""
        return _Importer(self, os.path.abspath(path))

    def holder(self, dotted: str, asker: str) -> Scope | None:
        """The scope of the project module that a dotted import in a file refers to."""
        module, name = _module_of(dotted), dotted.rpartition(".")[2]
        if not name or name == "*" or module.partition(".")[0] in _NEVER_LOCAL:
            return None
        path = self._file(module, asker)
        tree = self._tree(path) if path is not None else None
        return tree.top if tree is not None else None

    def imported(self, dotted: str, asker: str) -> tuple[Value, ...] | None:
        """The values of a dotted import; None if it is not in the project."""
        top, name = self.holder(dotted, asker), dotted.rpartition(".")[2]
        if top is None:
            return None
        key = (top.tree.source.path, name)
        if key not in self._names:
            self._names[key] = None  # circular imports of a name bind nothing
            self._names[key] = self._evaluators[top.tree].module_name(name)
        values = self._names[key]
        if values is None or not any(map(_is_relative, values)):
            return values
        return tuple(_from_outside(value, _module_of(dotted), top.tree.source.path) for value in values)

    def may_forward(self, path: str) -> frozenset[str]:
        """The names of functions in a module that may pass `**kwargs` to a load; only then is it worth parsing."""
        if path not in self._may_forward:
            self._may_forward[path] = _with_open_keywords(self._bytes(path))
        return self._may_forward[path]

    def holds(self, symbol: str, path: str, *needles: bytes) -> bool:
        """Whether an import leads to a project module whose bytes contain all needles; parses nothing."""
        return any(
            all(needle in self._bytes(file) for needle in needles) for file in self.files(symbol, path)
        )

    def may_write(self, symbol: str, path: str, name: str, needle: bytes) -> bool:
        """Whether a function in an imported module may assign the attribute named by the needle; parses nothing.

        Based on the text only: a class does not, and neither does a function whose lines do not contain the
        needle.
        """
        return any(self._holds_within(file, name.encode(), needle) for file in self.files(symbol, path))

    def _holds_within(self, path: str, name: bytes, needle: bytes) -> bool:
        key = path, name, needle
        if key not in self._within:
            self._within[key] = _may_hold_within(self._bytes(path), name, needle)
        return self._within[key]

    def files(self, symbol: str, path: str) -> list[str]:
        """The module files that an imported symbol may refer to: its module, or the module itself."""
        if symbol.partition(".")[0] in _NEVER_LOCAL:
            return []
        module, _, _ = symbol.rpartition(".")
        asker = self.absolute(path)
        found = [self._file(each, asker) for each in (module, symbol) if each.strip(".")]
        return [each for each in found if each is not None]

    def tree_of(self, source: Source) -> Tree:
        """The tree of a linted file, shared with files that import it."""
        self._trim()
        path = self._current = self.absolute(source.path)
        tree = self._trees.get(path)
        if tree is not None and tree.source.data == source.data:
            return tree
        return Tree(source, self.importer(source.path))

    def _trim(self) -> None:
        """Forget everything if it has grown large; modules are then read again."""
        if sum(map(len, self._data.values())) > self._most_kept:
            for tree, evaluator in self._evaluators.items():
                tree.release()
                evaluator.release()
            for file in self.looked_into.values():
                file.forget()
            for kept in (self._data, self._trees, self._evaluators, self._names, self.looked_into):
                kept.clear()

    def keeps(self, tree: Tree) -> bool:
        """Whether a tree is kept after its file has been linted."""
        return tree in self._evaluators

    def tree(self, path: str) -> Tree | None:
        """The syntax tree of a module in the project."""
        self._note_read(path)
        return self._tree(path)

    def _file(self, module: str, asker: str) -> str | None:
        """The file of a module imported by a file of the project (an absolute path)."""
        asked = self._asked.setdefault(asker, {})
        if module not in asked:
            asked[module] = self._module_files.find(module, os.path.dirname(asker))
        return asked[module]

    def _tree(self, path: str) -> Tree | None:
        if path not in self._trees:
            self._trees[path] = None  # ends circular imports
            try:
                if (data := self._bytes(path)) and len(data) < MAX_BYTES:
                    tree = Tree(Source(path, data), self.importer(path))
                    self._evaluators[tree] = Evaluator(tree)
                    self._trees[path] = tree
            except (OSError, SourceError):
                pass  # an unreadable module has no values; linting it reports the problem
        return self._trees[path]


class _Importer:
    """Resolves the imports of one file."""

    __slots__ = ("_asker", "_modules")

    def __init__(self, modules: Modules, asker: str) -> None:
        self._modules = modules
        self._asker = asker

    def __call__(self, dotted: str) -> tuple[Value, ...] | None:
        return self._modules.imported(dotted, self._asker)

    def holder(self, dotted: str) -> Scope | None:
        return self._modules.holder(dotted, self._asker)


def _module_of(dotted: str) -> str:
    """The module in a dotted import: "pkg.module" in "pkg.module.NAME", "." in ".NAME"."""
    module = dotted.rpartition(".")[0]
    return module if module.strip(".") else dotted[: len(dotted) - len(dotted.lstrip("."))]


def _is_relative(value: Value) -> bool:
    """Whether a value is a relative import without a binding; usually it is a module of a package."""
    return value.kind == "symbol" and str(value.data).startswith(".")


def _from_outside(value: Value, module: str, path: str) -> Value:
    """Convert a relative import in a module (at `path`) to the form that a file which imports the module would use.

    Without this, it would refer to files next to that other file.
    """
    if not _is_relative(value):
        return value
    symbol = str(value.data)
    level = len(symbol) - len(symbol.lstrip("."))
    dots = len(module) - len(module.lstrip("."))
    parts = module[dots:].split(".") if module[dots:] else []
    up = level if os.path.basename(path) != "__init__.py" else level - 1
    if up > len(parts):
        if not dots:
            return Value("other", None, value.node, value.context, value.via)
        dots += up - len(parts)  # a relative import that starts in a higher folder
    kept = parts[: max(0, len(parts) - up)]
    named = "." * dots + ".".join([*kept, symbol[level:]])
    return Value("symbol", named, value.node, value.context, value.via)


def _with_open_keywords(data: bytes) -> frozenset[str]:
    """The functions of a module with loads whose signature has `**`, according to the text."""
    if b"from_pretrained" not in data or b"**" not in data:
        return frozenset()
    text = data.decode("utf-8", "replace")
    if not CodeWords(text).has("from_pretrained"):
        return frozenset()
    found: set[str] = set()
    for definition in text.split("def ")[1:]:
        name, bracket, _ = definition.partition("(")
        end = re.search(_PARAMETERS_END, definition)
        if bracket and "**" in definition[: end.start() if end is not None else None]:
            found.add(name.strip())
    # from_pretrained has the class's semantics; __init__ is called by the class's name.
    return frozenset(found - {"from_pretrained", "__init__"})


def _may_hold_within(data: bytes, name: bytes, needle: bytes) -> bool:
    """Whether the lines of a function in a module contain a needle; True for a name that the module imports."""
    defined, start = False, data.find(name)
    while start >= 0:
        end = start + len(name)
        definition = re.compile(_DEFINITION).fullmatch(data, data.rfind(b"\n", 0, start) + 1, start)
        if definition is not None and data[end : end + 1] in _BEHIND_NAME:
            defined = True
            held = data.find(needle, end)
            if held >= 0 and definition[2] != b"class":
                # The next definition on the same or an outer level ends the function.
                behind = re.compile(rb"\n[ \t]{0,%d}(?:async|def|class) " % len(definition[1]))
                if behind.search(data, end, held) is None:
                    return True
        start = data.find(name, end)
    return not defined


def written_attributes(function: ast.AST) -> frozenset[tuple[str, str]]:
    """The attributes that a function assigns, each with the name of its owner, or of the object that owns it."""
    found: set[tuple[str, str]] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            name = dotted(node.value)
            # `model.config.pad_token_id` belongs to the config, not to the model.
            if name is not None and not name.endswith("config"):
                found.add((name.partition(".")[0], node.attr))
    return frozenset(found)
