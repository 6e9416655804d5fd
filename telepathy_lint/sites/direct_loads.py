"""Finds the direct loads of a file, and mentions of `from_pretrained` that are not direct loads."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cached_property

from telepathy_lint.flow.arguments import single_string
from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.file import File
from telepathy_lint.flow.tree import Context, Scope
from telepathy_lint.flow.uses import Function
from telepathy_lint.hints import TYPE_CHECKING, NamedTuple
from telepathy_lint.knowledge import transformers_names as catalog
from telepathy_lint.sites.loaded_classes import Callees, Loader
from telepathy_lint.sites.site import Site
from telepathy_lint.source.prefilter import COMPANION, LOAD_WORDS, may_replace

if TYPE_CHECKING:
    from telepathy_lint.sites.monkeypatches import Replaced, ReplacedParts
    from telepathy_lint.sites.pipelines import Pipelines

#: Imports with which tests replace objects.
_PATCHING = ("unittest", "mock", "patch", "pytest")
IDENTITY = "pretrained_model_name_or_path"
#: A function of the companion loader that fixes do not write, so a project's own loader need not have it.
PAIR = f"{COMPANION}.load"
PROCESSOR = f"{COMPANION}.load_processor"


class Direct(NamedTuple):
    """The direct loads of a file, and other mentions of `from_pretrained`."""

    sites: list[Site]
    #: `X.from_pretrained` without a call.
    references: list[ast.Attribute]
    #: Calls of `from_pretrained` that do not load a model or tokenizer, and of the companion's
    #: `load_processor`.
    others: list[ast.Call]


class Loads:
    """Finds the direct loads of one file."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.settings = file.settings
        self.words = file.words
        self.tree = file.tree
        self.values = file.values
        self.callees = Callees(file)

    @cached_property
    def _pipelines(self) -> Pipelines:
        from telepathy_lint.sites.pipelines import Pipelines  # most files have none

        return Pipelines(self.file)

    @cached_property
    def direct(self) -> Direct:
        """The calls of interest in the file, in reading order."""
        found = Direct([], [], [])
        offsets = self.words.find(
            *LOAD_WORDS, *self._pipeline_names, *self._loading_names, *self._processor_names
        )
        for node in self.tree.visit(self.tree.lines_of(offsets)):
            if isinstance(node, ast.Call):
                if (site := self._site_of(node) or self._known_load(node)) is not None:
                    found.sites.append(site)
                elif (
                    isinstance(node.func, ast.Attribute) and node.func.attr == "from_pretrained"
                ) or self.loads_processor(node):
                    found.others.append(node)
            elif isinstance(node, ast.Attribute) and node.attr == "from_pretrained":
                parent = self.tree.parent.get(node)
                if not (isinstance(parent, ast.Call) and parent.func is node):
                    found.references.append(node)
        return found

    @cached_property
    def forwarding(self) -> dict[Function, list[Site]]:
        """The functions in the file that always pass their `**kwargs` on to loads, with these loads."""
        found: dict[Function, list[Site]] = {}
        for site in self.direct.sites:
            function = self._forwarded_by(site)
            if function is not None:
                found.setdefault(function, []).append(site)
        return {
            function: sites
            for function, sites in found.items()
            if len({site.kind for site in sites}) == 1 and self._always_loads(function.body, sites)
        }

    def _forwarded_by(self, site: Site) -> Function | None:
        """The function whose `**kwargs` the load gets."""
        for keyword in site.call.keywords:
            if keyword.arg is None:
                function = self.file.dicts.content(keyword.value, site.context).forwards
                if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    return function
        return None

    def _always_loads(self, block: list[ast.stmt], sites: list[Site]) -> bool:
        """Whether every path through the statements reaches one of the loads or raises."""
        own = {site.context.stmt for site in sites}
        for stmt in block:
            if isinstance(stmt, ast.Raise) or (stmt in own and not self._is_chosen(stmt, sites)):
                return True
            if isinstance(stmt, ast.Return):
                return False
            if isinstance(stmt, (ast.With, ast.AsyncWith, ast.Try)):
                if self._always_loads(stmt.body, sites):
                    return True
            elif isinstance(stmt, ast.If):
                body, orelse = (self._always_loads(each, sites) for each in (stmt.body, stmt.orelse))
                if body and orelse:
                    return True
                # If one branch leaves the function, the rest of the block belongs to the other.
                if (not body and leaves(stmt.body)) or (not orelse and leaves(stmt.orelse)):
                    return False
                if not (body and leaves(stmt.body)) and not (orelse and leaves(stmt.orelse)):
                    continue
        return False

    def _is_chosen(self, stmt: ast.stmt, sites: list[Site]) -> bool:
        """Whether a statement runs its load only under a condition inside it."""
        for site in sites:
            node: ast.AST | None = site.call
            while node is not None and node is not stmt:
                parent = self.tree.parent.get(node)
                if isinstance(parent, ast.IfExp) and node is not parent.test:
                    other = parent.orelse if node is parent.body else parent.body
                    if not any(other is each.call for each in sites):
                        return True
                node = parent
        return False

    def _site_of(self, call: ast.Call) -> Site | None:
        func = call.func
        if isinstance(func, ast.Attribute) and func.attr == "from_pretrained":
            context = self.tree.context_of(call)
            loader = self.callees.loader(func.value, context)
            if (
                loader is None
                or (self._replaced is not None and self._replaced.covers(call, loader))
                or self._is_hidden(func.value, context)
            ):
                return None
            site = self.load(call, context, loader)
            # A class that is looked up by an unknown name may also be a tokenizer's.
            unsure = catalog.UNKNOWN_MODEL in loader.classes and len(loader.classes) == 1
            return site if not unsure or catalog.MODEL_ONLY & site.arguments.keys() else None
        name = dotted(func) or ""
        if name.endswith("pipeline") or name in self._pipeline_names:
            context = self.tree.context_of(call)
            values = self.values.evaluate(func, context)
            if all(value.kind == "symbol" and catalog.is_pipeline(str(value.data)) for value in values):
                return self._pipelines.site(call, context) if not self._is_hidden(func, context) else None
        return None

    @cached_property
    def _pipeline_names(self) -> frozenset[str]:
        """Aliases under which the file imports `pipeline`."""
        if "pipeline as " not in self.tree.text:
            return frozenset()
        return frozenset(name for name, symbol in self.file.uses.imports() if catalog.is_pipeline(symbol))

    @cached_property
    def _replaced(self) -> Replaced | None:
        """Where the file replaces a class's function; None in nearly all files."""
        offsets = [
            offset for offset in self.words.find("from_pretrained") if may_replace(self.tree.text, offset)
        ]
        if not offsets:
            return None
        from telepathy_lint.sites.monkeypatches import Replaced

        return Replaced(self.file, offsets)

    def _is_hidden(self, node: ast.expr, context: Context) -> bool:
        """Whether a transformers class or function may be replaced where the file looks it up."""
        if not (self._may_replace_parts or _is_given_patches(context.scope)):
            return False
        if (parts := self._replaced_parts) is None:
            return False
        values = self.callees.classes_of(self.values.evaluate(node, context))
        return any(map(parts.hides, values))

    @cached_property
    def _assigns_parts(self) -> bool:
        return f"{catalog.ROOT}." in " ".join(self.tree.top.bindings)

    @cached_property
    def _may_replace_parts(self) -> bool:
        """Whether anything in transformers may be replaced, judged by the statements at module level."""
        bound = self.tree.top.bindings
        return (
            any(name in bound for name in _PATCHING)
            or self._assigns_parts
            or ("sys" in bound and _writes_modules(self.tree.top.statements))
        )

    @cached_property
    def _replaced_parts(self) -> ReplacedParts | None:
        offsets = self.words.find("setattr", "patch", "modules")
        if not offsets and not self._assigns_parts:
            return None
        from telepathy_lint.sites.monkeypatches import ReplacedParts

        names = {name for name, symbol in self.file.uses.imports() if symbol == catalog.ROOT}
        offsets += self.words.find(catalog.ROOT, *sorted(names))
        return ReplacedParts(self.file, offsets)

    def _known_load(self, call: ast.Call) -> Site | None:
        """The site of a call of the companion loader, or of a configured loading function."""
        name = dotted(call.func)
        if name is None or catalog.last(name) not in self._loading_names:
            return None
        context = self.tree.context_of(call)
        values = self.values.evaluate(call.func, context)
        own = self.settings.loader
        called = {str(value.data) if value.kind == "symbol" else name for value in values}
        if called == {f"{own.module}.{own.load_model}"} or called == {PAIR}:
            loader = Loader("model", tuple(called), False)
            return self._loader_site(
                call, context, loader, "model_class", "transformers.AutoModelForCausalLM"
            )._replace(pair=called == {PAIR})
        if called == {f"{own.module}.{own.load_tokenizer}"}:
            loader = Loader("tokenizer", tuple(called), False)
            return self._loader_site(call, context, loader, "tokenizer_class", "transformers.AutoTokenizer")
        if any(each == wanted or name == wanted for each in called for wanted in self.settings.wrappers):
            loader = Loader("model", (name,), False)
            return self.load(call, context, loader)._replace(configured=True, indirect=True)
        return None

    def _loader_site(
        self, call: ast.Call, context: Context, loader: Loader, argument: str, default: str
    ) -> Site:
        """Missing arguments have the loader's defaults, so only written ones can be wrong."""
        site = self.load(call, context, loader)
        given = next((keyword.value for keyword in call.keywords if keyword.arg == argument), None)
        known = self.callees.loader(given, context) if given is not None else None
        loads: tuple[str, ...] = ("",)
        generative = False
        if known is not None:
            loads, generative = known.classes, known.generative
        elif given is None and not site.opaque and argument not in site.arguments:
            loads, generative = (default,), loader.kind == "model"
        named = site.argument(IDENTITY, "model_id")
        model_id = single_string(named.values) if named is not None else None
        return site._replace(
            loader=True,
            opaque=True,
            loads=loads,
            spreads=site.opaque,
            model_id=model_id,
            generative=generative,
        )

    @cached_property
    def _loading_names(self) -> tuple[str, ...]:
        """The names by which the file may call loading functions, including `import load_model as ...`."""
        own, words = self.settings.loader, self.settings.loading_words
        wanted = {f"{own.module}.{own.load_model}", f"{own.module}.{own.load_tokenizer}"}
        if self.words.has(COMPANION):
            wanted.add(PAIR)
            words = (*words, catalog.last(PAIR))
        elif not self.words.has(own.module.rpartition(".")[2]):
            return words
        return (
            *words,
            *(name for name, symbol in self.file.uses.imports() if symbol in wanted and name not in words),
        )

    @cached_property
    def _processor_names(self) -> tuple[str, ...]:
        """The names by which the file may call the companion's `load_processor`."""
        own = catalog.last(PROCESSOR)
        if not self.words.has(own):
            return ()
        return (
            own,
            *(name for name, symbol in self.file.uses.imports() if symbol == PROCESSOR and name != own),
        )

    def loads_processor(self, call: ast.Call) -> bool:
        """Whether the call is one of the companion's `load_processor`."""
        name = dotted(call.func)
        if name is None or catalog.last(name) not in self._processor_names:
            return False
        values = self.values.evaluate(call.func, self.tree.context_of(call))
        return all(value.kind == "symbol" and value.data == PROCESSOR for value in values)

    def load(self, call: ast.Call, context: Context, loader: Loader) -> Site:
        """The site of a call of `from_pretrained` of known classes."""
        arguments, opaque = self.file.arguments.read(call, context, (IDENTITY,))
        identity = arguments.get(IDENTITY)
        return Site(
            kind=loader.kind,
            file=self.file,
            node=call,
            context=context,
            classes=loader.classes,
            arguments=arguments,
            opaque=opaque,
            model_id=single_string(identity.values) if identity is not None else None,
            generative=loader.generative,
        )


def leaves(block: list[ast.stmt]) -> bool:
    """Whether a block always leaves the function."""
    return bool(block) and isinstance(block[-1], (ast.Return, ast.Raise))


def _is_given_patches(scope: Scope | None) -> bool:
    """Whether a function or an enclosing one has a fixture parameter that replaces objects."""
    while scope is not None and scope.is_function:
        bound = scope.bindings
        if "monkeypatch" in bound or "mocker" in bound:
            return True
        scope = scope.parent
    return False


def _writes_modules(stmts: Iterable[ast.stmt]) -> bool:
    """Whether a statement is `sys.modules[...] = ...`, or calls a method of `sys.modules`."""
    for stmt in stmts:
        if type(stmt) is ast.Assign:
            part: ast.expr = stmt.targets[0]
        elif type(stmt) is ast.Expr and type(stmt.value) is ast.Call:
            part = stmt.value.func
        else:
            continue
        table = getattr(part, "value", None)
        if type(table) is ast.Attribute and table.attr == "modules" and dotted(table) == "sys.modules":
            return True
    return False
