"""Finds the calls of interest in one file and makes a Site of each."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from telepathy_lint.facts.events import Events
from telepathy_lint.flow.arguments import Arguments
from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.evaluate import Evaluator
from telepathy_lint.flow.origins import OriginFinder
from telepathy_lint.flow.project import Modules
from telepathy_lint.flow.tree import Context, Scope, Tree
from telepathy_lint.flow.uses import Index
from telepathy_lint.knowledge import transformers_names as catalog
from telepathy_lint.settings import Settings
from telepathy_lint.sites.cache_paths import path_writes
from telepathy_lint.sites.configs_and_processors import companions
from telepathy_lint.sites.loaded_classes import Callees, Loader
from telepathy_lint.sites.moves import moves
from telepathy_lint.sites.pipelines import Pipelines
from telepathy_lint.sites.site import LOADS, Known, Site, single_string
from telepathy_lint.sites.uses import with_uses
from telepathy_lint.sites.wrappers import Wrappers
from telepathy_lint.source.prefilter import LOAD_WORDS, CodeWords, may_replace, may_set_cache
from telepathy_lint.source.text import Source

if TYPE_CHECKING:
    from telepathy_lint.sites.monkeypatches import Replaced, ReplacedParts

#: What a file imports, under its usual names, that puts things in others' places while a test runs.
_PATCHING = ("unittest", "mock", "patch", "pytest")
IDENTITY = "pretrained_model_name_or_path"


class SiteFinder:
    """One file's sites; `find` does the work.

    `imported` is the tree of a module that another file's import led to: its sites are asked for, nothing more.
    """

    def __init__(
        self,
        source: Source,
        words: CodeWords,
        settings: Settings,
        modules: Modules | None = None,
        imported: Tree | None = None,
    ) -> None:
        self.settings = settings
        self.source = source
        self.words = words
        self.modules = modules
        if imported is not None:
            self.tree = imported
        else:
            self.tree = modules.tree_of(source) if modules is not None else Tree(source)
        self.evaluator = Evaluator(self.tree)
        self.index = Index(self.tree, words)
        self.origins = OriginFinder(self.index, self.evaluator)
        self.arguments = Arguments(self.evaluator)
        self.callees = Callees(self.tree, self.evaluator, self.origins)
        self.pipelines = Pipelines(self.tree, self.evaluator, self.origins, self.arguments)
        self._forwarding: dict[ast.AST, Site] | None = None

    def release(self) -> None:
        """Nobody asks about the file any more."""
        if self.modules is None or not self.modules.keeps(self.tree):
            self.tree.release()
        self.evaluator.release()

    def find(self) -> list[Site]:
        """Every site of the file, in reading order."""
        sites, references = self.direct()
        known = {site.call for site in sites}
        for site in Wrappers(self).find(sites, references):
            if site.call not in known:
                known.add(site.call)
                sites.append(site)
        sites += self._beside(sites)
        beside = any(site.generative for site in sites)
        events = Events(self.tree, self.evaluator, self.origins, self.words, self.modules)
        found = with_uses(self, [_finished(site, events, beside) for site in sites])
        return sorted(found, key=lambda site: site.start)

    def _beside(self, sites: list[Site]) -> list[Site]:
        """What concerns loading without being a load of weights or of a tokenizer."""
        tree, evaluator, arguments = self.tree, self.evaluator, self.arguments
        known = {site.call for site in sites}
        calls = [call for call in self._loads if call not in known]
        found = list(companions(calls, tree, self.callees, arguments))
        found += moves(sites, tree, self.words, evaluator, arguments)
        if may_set_cache(self.source.text):
            found += path_writes(tree, self.words, evaluator)
        return found

    def direct(self) -> tuple[list[Site], list[ast.Attribute]]:
        """The loads that are called where they stand, and the `X.from_pretrained` that are not called there."""
        sites: list[Site] = []
        references: list[ast.Attribute] = []
        self._loads: list[ast.Call] = []
        offsets = self.words.find(*LOAD_WORDS, *self._pipeline_names, *self._loading_names)
        for node in self.tree.visit(self.tree.lines_of(offsets)):
            if isinstance(node, ast.Call):
                if (site := self._site_of(node) or self._known_load(node)) is not None:
                    sites.append(site)
                elif isinstance(node.func, ast.Attribute) and node.func.attr == "from_pretrained":
                    self._loads.append(node)
            elif isinstance(node, ast.Attribute) and node.attr == "from_pretrained":
                parent = self.tree.parent.get(node)
                if not (isinstance(parent, ast.Call) and parent.func is node):
                    references.append(node)
        return sites, references

    def forwarding(self) -> dict[ast.AST, Site]:
        """The functions of this module that pass their own `**kwargs` on to a load, each with that load."""
        if self._forwarding is None:
            self._forwarding = {}
            for site in self.direct()[0]:
                function = self.forwarded_by(site)
                # `from_pretrained` of another module's class has that class's contract.
                if function is not None and function.name != "from_pretrained":
                    self._forwarding.setdefault(function, site)
        return self._forwarding

    def forwarded_by(self, site: Site) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """The function whose own `**kwargs` the load gets."""
        for keyword in site.call.keywords:
            if keyword.arg is None:
                function = self.evaluator.dicts.content(keyword.value, site.context).forwards
                if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    return function
        return None

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
            return self.load(call, context, loader)
        name = dotted(func) or ""
        if name.endswith("pipeline") or name in self._pipeline_names:
            context = self.tree.context_of(call)
            values = self.evaluator.evaluate(func, context)
            if all(value.kind == "symbol" and catalog.is_pipeline(str(value.data)) for value in values):
                return self.pipelines.site(call, context) if not self._is_hidden(func, context) else None
        return None

    @cached_property
    def _pipeline_names(self) -> frozenset[str]:
        """Other names under which the file imports `pipeline`."""
        if "pipeline as " not in self.source.text:
            return frozenset()
        return frozenset(name for name, symbol in self.index.imports() if catalog.is_pipeline(symbol))

    @cached_property
    def _replaced(self) -> Replaced | None:
        """Where the file puts another function in the place of a class's; None in nearly every file."""
        offsets = [
            offset for offset in self.words.find("from_pretrained") if may_replace(self.tree.text, offset)
        ]
        if not offsets:
            return None
        from telepathy_lint.sites.monkeypatches import Replaced

        return Replaced(self.tree, self.evaluator, offsets)

    def _is_hidden(self, node: ast.expr, context: Context) -> bool:
        """Whether a class or function of transformers may be something else where the file looks it up."""
        if not (self._may_replace_parts or _is_given_patches(context.scope)):
            return False
        if (parts := self._replaced_parts) is None:
            return False
        values = self.callees.classes_of(self.evaluator.evaluate(node, context))
        return any(map(parts.hides, values))

    @cached_property
    def _assigns_parts(self) -> bool:
        return f"{catalog.ROOT}." in " ".join(self.tree.top.bindings)

    @cached_property
    def _may_replace_parts(self) -> bool:
        """Whether something of transformers may be replaced: told from the module's own statements, which are read already."""
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

        names = {name for name, symbol in self.index.imports() if symbol == catalog.ROOT}
        offsets += self.words.find(catalog.ROOT, *sorted(names))
        return ReplacedParts(self.tree, self.evaluator, offsets)

    def _known_load(self, call: ast.Call) -> Site | None:
        """A call of the companion loader, or of a function that the configuration says loads."""
        name = dotted(call.func)
        if name is None or catalog.last(name) not in self._loading_names:
            return None
        context = self.tree.context_of(call)
        values = self.evaluator.evaluate(call.func, context)
        own = self.settings.loader
        called = {str(value.data) if value.kind == "symbol" else name for value in values}
        if called == {f"{own.module}.{own.load_model}"}:
            loader = Loader("model", tuple(called), False)
            return self._loader_site(
                call, context, loader, "model_class", "transformers.AutoModelForCausalLM"
            )
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
        """What is absent gets the loader's defaults: only what is written can be wrong."""
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
        """The bare names by which the file may call what loads, those of `import load_model as ...` included."""
        own, words = self.settings.loader, self.settings.loading_words
        wanted = {f"{own.module}.{own.load_model}", f"{own.module}.{own.load_tokenizer}"}
        if not self.words.has(own.module.rpartition(".")[2]):
            return words
        return (
            *words,
            *(name for name, symbol in self.index.imports() if symbol in wanted and name not in words),
        )

    def load(self, call: ast.Call, context: Context, loader: Loader) -> Site:
        """The site of a call that reaches `from_pretrained` of known classes."""
        arguments, opaque = self.arguments.read(call, context, (IDENTITY,))
        identity = arguments.get(IDENTITY)
        return Site(
            kind=loader.kind,
            source=self.source,
            call=call,
            context=context,
            classes=loader.classes,
            arguments=arguments,
            opaque=opaque,
            model_id=single_string(identity.values) if identity is not None else None,
            generative=loader.generative,
        )


def _is_given_patches(scope: Scope | None) -> bool:
    """Whether a function, or one around it, gets one of the fixtures that replace things."""
    while scope is not None and scope.is_function:
        bound = scope.bindings
        if "monkeypatch" in bound or "mocker" in bound:
            return True
        scope = scope.parent
    return False


def _writes_modules(stmts: Iterable[ast.stmt]) -> bool:
    """Whether one of the statements is `sys.modules[...] = ...`, or calls a method of `sys.modules`."""
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


def _finished(site: Site, events: Events, beside: bool) -> Site:
    """The site with what happens to its object later in the file."""
    if site.kind not in LOADS:
        return site
    if site.kind == "tokenizer":
        return site._replace(beside_generative=beside, pad_token=events.pad_token(site))
    return site._replace(
        beside_generative=beside,
        generation_config=events.generation_config(site) if site.generative else Known.NO,
        max_length_at_generate=site.generative and events.max_length_at_generate(site),
        config_attention=events.config_attention(site),
    )
