"""Finds the calls of interest in one file and makes a Site of each."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from telepathy_lint.scan import catalog
from telepathy_lint.scan.events import Events
from telepathy_lint.scan.mappings import Mappings
from telepathy_lint.scan.origins import OriginFinder
from telepathy_lint.scan.scopes import Context, Tree, dotted, parameters
from telepathy_lint.scan.site import Argument, How, Kind, Known, Site, merged_values
from telepathy_lint.triggers import LOAD_WORDS, CodeWords
from telepathy_lint.scan.modules import Modules
from telepathy_lint.scan.values import Evaluator, Value
from telepathy_lint.source import Source

_PIPELINE_POSITIONS = ("task", "model", "config", "tokenizer")
#: Names by which people call a model's id or path when they pass it on.
_ID_NAME = re.compile(
    r"(?i)(?:^|[._])(?:model|base_model|checkpoint|ckpt|llm|backbone|repo|hf|hub)?_?(?:id|path|name|checkpoint|ckpt|dir|repo|"
    r"name_or_path|model_name|model_id|model_path)$|^model_(?:name|id|path)\w*$|_(?:model|checkpoint|id|path|name)$|^MODEL$|^checkpoint$"
)


@dataclass(frozen=True, slots=True, eq=False)
class _Callable:
    """A reference to a loader that was called: `X.from_pretrained`, directly or through a name or `partial`."""

    kind: Kind
    classes: tuple[str, ...]
    generative: bool
    partial: ast.Call | None = None
    partial_context: Context | None = None


class SiteFinder:
    """One file's sites; `find` does the work."""

    def __init__(
        self, source: Source, words: CodeWords, modules: Modules | None = None, imported: Tree | None = None
    ) -> None:
        self.source = source
        self.words = words
        self.modules = modules
        self.is_imported = imported is not None
        self.tree = imported or Tree(source, modules.importer(source.path) if modules is not None else None)
        self._forwarding: dict[ast.AST, Site] | None = None
        self.evaluator = Evaluator(self.tree)
        self.mappings = Mappings(self.evaluator)
        self.origins = OriginFinder(self.tree, self.evaluator, words)

    def find(self) -> list[Site]:
        """Every site of the file, in reading order."""
        sites = self._raw_sites()
        if not sites:
            return []
        beside = any(site.generative for site in sites)
        events = Events(self.tree, self.evaluator, self.mappings, self.origins, self.words, self.modules)
        finished = [self._finished(site, events, beside) for site in sites]
        return sorted(finished, key=lambda site: site.start)

    def _finished(self, site: Site, events: Events, beside: bool) -> Site:
        if site.kind == "tokenizer":
            return replace(site, beside_generative=beside, pad_token=events.pad_token(site))
        return replace(
            site,
            beside_generative=beside,
            generation_config=events.generation_config(site) if site.generative else Known.NO,
            config_attention=events.config_attention(site),
        )

    def _raw_sites(self) -> list[Site]:
        lines = self.tree.lines_of(self.words.find(*LOAD_WORDS))
        nodes = self.tree.visit(lines)
        sites: list[Site] = []
        references: list[ast.Attribute] = []
        for node in nodes:
            if isinstance(node, ast.Call):
                if (site := self._site_of(node)) is not None:
                    sites.append(site)
            elif isinstance(node, ast.Attribute) and node.attr == "from_pretrained":
                parent = self.tree.parent.get(node)
                if not (isinstance(parent, ast.Call) and parent.func is node):
                    references.append(node)
        known = {site.call for site in sites}
        for site in (*self._indirect(references, sites), *self._through_imports()):
            if site.call not in known:
                known.add(site.call)
                sites.append(site)
        return sites

    def _site_of(self, call: ast.Call) -> Site | None:
        func = call.func
        if isinstance(func, ast.Attribute) and func.attr == "from_pretrained":
            context = self.tree.context_of(call)
            found = self.loader(func.value, context)
        elif isinstance(func, (ast.Name, ast.Attribute)) and (dotted(func) or "").endswith("pipeline"):
            context = self.tree.context_of(call)
            values = self.evaluator.evaluate(func, context)
            symbols = [value.data for value in values if value.kind == "symbol"]
            if len(symbols) != len(values) or not all(map(catalog.is_pipeline, symbols)):
                return None
            return self._pipeline(call, context)
        else:
            return None
        return self._build(call, context, found) if found is not None else None

    # ---- callees

    def loader(self, node: ast.expr, context: Context) -> _Callable | None:
        """What `node.from_pretrained` loads; None where it is not sure to be a class of transformers."""
        if isinstance(node, ast.Call) and dotted(node.func) == "super" or _is_own_class(node, self.evaluator, context):
            owner = self.evaluator.enclosing_class(context.scope)
            if owner is None:
                return None
            own = isinstance(node, ast.Name)
            classes = [self._local_class(owner, inherited=not own)]
        else:
            classes = []
            for value in self.classes_of(self.evaluator.evaluate(node, context)):
                if value.is_none:
                    continue
                if value.kind == "symbol":
                    classes.append(self._known_class(str(value.data)))
                elif isinstance(value.node, ast.ClassDef) and value.context.scope.tree is self.tree:
                    classes.append(self._local_class(value.node, inherited=False))
                else:
                    return None
        if not classes or None in classes:
            return None
        found = [each for each in classes if each is not None]
        kinds = {each.kind for each in found}
        if len(kinds) != 1:
            return None
        names = tuple(dict.fromkeys(name for each in found for name in each.classes))
        return _Callable(kinds.pop(), names, all(each.generative for each in found))

    def classes_of(self, values: Iterable[Value], depth: int = 0) -> Iterator[Value]:
        """The alternatives of a class expression, with tables and parameters' defaults opened."""
        for value in values:
            if value.kind == "choice" and isinstance(value.data, Value):
                items = list(self.evaluator.items(value.data))
                yield from items or [value]
            elif value.kind == "param" and depth < 3:
                yield from self._parameter_classes(value, depth)
            else:
                yield value

    def _parameter_classes(self, value: Value, depth: int) -> Iterator[Value]:
        """A class that a function receives: its default and what the calls in the file pass."""
        function = value.node
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield value
            return
        default = default_of(function, str(value.data))
        outside = Context(value.context.scope.parent or self.tree.top, function)
        if default is None:  # whoever calls it, here or elsewhere, may pass anything
            yield value
            return
        found = list(self.evaluator.evaluate(default, outside))
        owner = value.context.scope.parent
        names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
        in_class = owner is not None and owner.is_class
        for call, context, bound in self.origins.callers(function, owner):
            if call is None:
                found.append(value)
                continue
            position = names.index(str(value.data)) - (1 if in_class and bound else 0) if value.data in names else -1
            passed = next((k.value for k in call.keywords if k.arg == value.data), None)
            if passed is None and 0 <= position < len(call.args):
                passed = call.args[position]
            if passed is not None:
                found += self.classes_of(self.evaluator.evaluate(passed, context), depth + 1)
        found = [each for each in found if not each.is_none]
        yield from found or [value]

    def _known_class(self, name: str) -> _Callable | None:
        if catalog.is_tokenizer_class(name):
            return _Callable("tokenizer", (name,), False)
        if catalog.is_model_class(name):
            return _Callable("model", (name,), catalog.is_generative(catalog.last(name)))
        return None

    def _local_class(
        self, owner: ast.ClassDef, inherited: bool, tree: Tree | None = None, depth: int = 0
    ) -> _Callable | None:
        """A class of the file that derives from one of transformers and keeps its `from_pretrained`."""
        tree = tree or self.tree
        if depth > 5:
            return None
        scope = tree.scope_at(owner)
        if not inherited and "from_pretrained" in scope.bindings:
            return None  # its own contract; the call inside it is the load
        outside = Context(scope.parent or tree.top, owner)
        for base in owner.bases:
            for value in self.evaluator.evaluate(base, outside):
                found = None
                if value.kind == "symbol":
                    found = self._known_class(str(value.data))
                elif isinstance(value.node, ast.ClassDef) and value.node is not owner:
                    found = self._local_class(value.node, False, value.context.scope.tree, depth + 1)
                if found is not None:
                    generative = found.kind == "model" and (found.generative or catalog.is_generative(owner.name))
                    return _Callable(found.kind, (owner.name,), generative)
        return None

    # ---- loads through names, partials and wrappers

    def _indirect(self, references: list[ast.Attribute], sites: list[Site]) -> Iterator[Site]:
        for reference in references:
            yield from self._through_reference(reference)
        for site in sites:
            yield from self._through_wrapper(site)

    def _through_reference(self, reference: ast.Attribute) -> Iterator[Site]:
        """`load = X.from_pretrained` or `partial(X.from_pretrained, ...)`: the calls of the name are the loads."""
        context = self.tree.context_of(reference)
        found = self.loader(reference.value, context)
        if found is None:
            return
        holder = self.tree.parent.get(reference)
        value: ast.AST = reference
        if isinstance(holder, ast.Call) and dotted(holder.func) in ("partial", "functools.partial"):
            if not holder.args or holder.args[0] is not reference:
                return
            found = replace(found, partial=holder, partial_context=context)
            value, holder = holder, self.tree.parent.get(holder)
        if isinstance(holder, ast.Call) and holder.func is value:
            yield from self._indirect_site(holder, found)
            return
        if not isinstance(holder, ast.Assign) or holder.value is not value or len(holder.targets) != 1:
            return
        name = dotted(holder.targets[0])
        if name is None:
            return
        for use in self.origins.uses(name.rpartition(".")[2]):
            call = self.tree.parent.get(use)
            if isinstance(call, ast.Call) and call.func is use and dotted(use) == name:
                where = self.tree.context_of(call)
                values = self.evaluator.evaluate(call.func, where)
                if all(each.node is value or _is_reference(each, reference) for each in values):
                    yield from self._indirect_site(call, found)

    def _indirect_site(self, call: ast.Call, found: _Callable) -> Iterator[Site]:
        site = self._build(call, self.tree.context_of(call), found)
        if site is not None:
            yield replace(site, indirect=True)

    def _through_wrapper(self, site: Site) -> Iterator[Site]:
        """A function that passes its own `**kwargs` on to the load is a load where it is called."""
        for keyword in site.call.keywords:
            if keyword.arg is not None:
                continue
            mappings = self.mappings.read(keyword.value, site.context)
            function = mappings[0].forwards if len(mappings) == 1 else None
            if not _is_wrapper(function):
                continue
            assert isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
            owner = self.tree.scope_at(function).parent
            for call, context, bound in self.origins.callers(function, owner):
                if call is not None and call in self.tree.parent:
                    yield self._wrapper_site(site, call, context, function, bound)

    def forwarding(self) -> dict[ast.AST, Site]:
        """The functions of this module that pass their own `**kwargs` on to a load, each with that load."""
        if self._forwarding is None:
            self._forwarding = {}
            for site in self._raw_sites():
                for keyword in site.call.keywords:
                    if keyword.arg is None:
                        mappings = self.mappings.read(keyword.value, site.context)
                        if len(mappings) == 1 and _is_wrapper(mappings[0].forwards):
                            assert mappings[0].forwards is not None
                            self._forwarding.setdefault(mappings[0].forwards, site)
        return self._forwarding

    def _through_imports(self) -> Iterator[Site]:
        """Wrappers imported from the project's own modules: their calls here are the loads."""
        modules = self.modules
        if modules is None or self.is_imported:
            return
        folder = os.path.dirname(os.path.abspath(self.source.path))
        names: set[str] = set()
        for scope in self.tree.all_scopes():
            for bound, bindings in scope.bindings.items():
                for binding in bindings:
                    if binding.kind != "import" or not modules.holds(
                        binding.symbol, self.source.path, b"from_pretrained", b"**"
                    ):
                        continue
                    for path in modules.files(binding.symbol, folder):
                        forwarding = self._finder_of(path).forwarding() if modules.tree(path) else {}
                        functions = {getattr(function, "name", ""): site for function, site in forwarding.items()}
                        names.update(functions)
                        if catalog.last(binding.symbol) in functions:
                            names.add(bound)
        for name in sorted(names):
            for use in self.origins.uses(name):
                call = self.tree.parent.get(use)
                if not isinstance(call, ast.Call) or call.func is not use:
                    continue
                context = self.tree.context_of(call)
                values = self.evaluator.evaluate(call.func, context)
                if len(values) == 1 and values[0].kind == "function":
                    where = values[0].context.scope.tree
                    inner = self._finder_of(where.source.path).forwarding().get(values[0].node)
                    if where is not self.tree and inner is not None:
                        yield self._wrapper_site(inner, call, context, values[0].node, bound=False)

    def _finder_of(self, path: str) -> SiteFinder:
        assert self.modules is not None
        if path not in self.modules.finders:
            tree = self.modules.tree(path)
            assert tree is not None
            self.modules.finders[path] = SiteFinder(tree.source, CodeWords(tree.text), self.modules, tree)
        found = self.modules.finders[path]
        assert isinstance(found, SiteFinder)
        return found

    def _wrapper_site(
        self, inner: Site, call: ast.Call, context: Context, function: ast.AST, bound: bool
    ) -> Site:
        assert isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        owned = {argument.arg for argument in parameters(function)}
        outer, opaque = self._arguments(call, context, ())
        passed = {name: argument for name, argument in outer.items() if name not in owned}
        inherited = {
            name: replace(argument, how="wrapper", node=call) for name, argument in inner.arguments.items()
        }
        positional = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
        id_values: tuple[Value, ...] = ()
        id_argument = inner.arguments.get("pretrained_model_name_or_path")
        if id_argument is not None and len(id_argument.values) == 1 and id_argument.values[0].kind == "param":
            name = str(id_argument.values[0].data)
            index = positional.index(name) if name in positional else len(call.args)
            index -= 1 if bound and positional[:1] in (["self"], ["cls"]) else 0
            given = next((k.value for k in call.keywords if k.arg == name), None)
            if given is None and 0 <= index < len(call.args):
                given = call.args[index]
            if given is not None:
                id_values = self.evaluator.evaluate(given, context)
        return replace(
            inner,
            source=self.source,
            call=call,
            context=context,
            arguments={**inherited, **passed},
            opaque=opaque,
            model_id=_single_string(id_values),
            indirect=True,
            inherited=frozenset(inherited) - frozenset(passed),
        )

    # ---- arguments

    def _build(self, call: ast.Call, context: Context, found: _Callable) -> Site | None:
        arguments, opaque = self._arguments(call, context, ("pretrained_model_name_or_path",))
        if found.partial is not None and found.partial_context is not None:
            bound = ast.Call(func=found.partial.func, args=found.partial.args[1:], keywords=found.partial.keywords)
            before, hidden = self._arguments(bound, found.partial_context, ("pretrained_model_name_or_path",))
            before = {name: replace(argument, node=call, how="wrapper") for name, argument in before.items()}
            if bound.args and call.args:
                arguments.pop("pretrained_model_name_or_path", None)
            arguments, opaque = {**before, **arguments}, opaque or hidden
        identity = arguments.get("pretrained_model_name_or_path")
        return Site(
            kind=found.kind,
            source=self.source,
            call=call,
            context=context,
            classes=found.classes,
            arguments=arguments,
            opaque=opaque,
            model_id=_single_string(identity.values) if identity is not None else None,
            generative=found.generative,
        )

    def _pipeline(self, call: ast.Call, context: Context) -> Site | None:
        arguments, opaque = self._arguments(call, context, _PIPELINE_POSITIONS)
        model = arguments.get("model")
        if model is None or not self._is_model_id(model, context):
            return None
        nested = arguments.get("model_kwargs")
        if nested is not None:
            inner, hidden = self._spread(nested.node, context)
            opaque = opaque or hidden
            arguments = {**{name: replace(a, how="model_kwargs") for name, a in inner.items()}, **arguments}
        task = arguments.get("task")
        tasks = [value.data for value in task.values] if task is not None else []
        return Site(
            kind="pipeline",
            source=self.source,
            call=call,
            context=context,
            classes=("transformers.pipeline",),
            arguments=arguments,
            opaque=opaque,
            model_id=_single_string(model.values),
            generative=bool(tasks) and all(isinstance(t, str) and catalog.is_generative_task(t) for t in tasks),
        )

    def _is_model_id(self, argument: Argument, context: Context) -> bool:
        """Whether what a pipeline is given is an id or path, not a loaded object."""
        node = argument.node.value if isinstance(argument.node, ast.keyword) else argument.node
        if isinstance(node, ast.expr):
            origins = self.origins.origins(node, context)
            for origin in origins:
                name = dotted(getattr(origin, "func", origin)) or ""
                if name.endswith("from_pretrained") or "model" in name.lower() and "name" not in name.lower():
                    return False
        for value in argument.values:
            if value.kind == "const" and isinstance(value.data, str) or value.kind == "text":
                continue
            if value.kind == "param":
                annotation = annotation_of(value.node, str(value.data))
                if annotation in ("str", "Optional[str]", "str | None") or _ID_NAME.search(str(value.data)):
                    continue
            elif value.kind in ("attribute", "choice", "call"):
                text = ast.unparse(node) if isinstance(node, ast.expr) else ""
                chain = re.split(r"[\[(]", text)[0]
                if re.match(r"(?:self\.)?(?:\w*args|cfg|config|conf|settings|opt|CFG|Config|FLAGS)\.", chain) and (
                    chain.split(".")[0] in ("args", "opt", "FLAGS") or _ID_NAME.search(chain)
                ):
                    continue
                if _ID_NAME.search(chain) or name_of(value).startswith(("os.environ", "os.getenv", "os.path")):
                    continue
            return False
        return True

    def _arguments(
        self, call: ast.Call, context: Context, positions: tuple[str, ...]
    ) -> tuple[dict[str, Argument], bool]:
        """What the call gets, by name, and whether it gets more than can be seen."""
        found: dict[str, Argument] = {}
        opaque = False
        for index, node in enumerate(call.args):
            if isinstance(node, ast.Starred):
                opaque = opaque or index < len(positions) > 1
                break
            if index < len(positions):
                values = self.evaluator.evaluate(node, context)
                found[positions[index]] = Argument(positions[index], values, "positional", node)
        for keyword in call.keywords:
            if keyword.arg is not None:
                values = self.evaluator.evaluate(keyword.value, context)
                found[keyword.arg] = Argument(keyword.arg, values, "keyword", keyword)
            else:
                inner, hidden = self._spread(keyword, context)
                opaque = opaque or hidden
                for name, argument in inner.items():
                    found.setdefault(name, argument)
        return found, opaque

    def _spread(self, node: ast.AST, context: Context) -> tuple[dict[str, Argument], bool]:
        """The entries that a dict brings in, over all alternatives of what it can be."""
        expression = node.value if isinstance(node, ast.keyword) else node
        assert isinstance(expression, ast.expr)
        mappings = self.mappings.read(expression, context)
        names = dict.fromkeys(name for mapping in mappings for name in mapping.entries)
        how: How = "spread"
        return {
            name: Argument(
                name,
                merged_values(mapping.entries[name] for mapping in mappings if name in mapping.entries),
                how,
                node,
                optional=not all(name in mapping.entries for mapping in mappings),
            )
            for name in names
        }, any(mapping.open for mapping in mappings)


def _is_wrapper(function: ast.AST | None) -> bool:
    """Whether calls of the function are loads; a `from_pretrained` of a project's own class has its own contract."""
    return isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)) and function.name != "from_pretrained"


def default_of(function: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> ast.expr | None:
    """The default of a parameter."""
    positional = [*function.args.posonlyargs, *function.args.args]
    offset = len(positional) - len(function.args.defaults)
    for index, argument in enumerate(positional):
        if argument.arg == name:
            return function.args.defaults[index - offset] if index >= offset else None
    for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        if argument.arg == name:
            return default
    return None


def annotation_of(function: ast.AST, name: str) -> str:
    if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return ""
    for argument in parameters(function):
        if argument.arg == name and argument.annotation is not None:
            return ast.unparse(argument.annotation)
    return ""


def name_of(value: Value) -> str:
    return value.data if isinstance(value.data, str) else ""


def _single_string(values: tuple[Value, ...]) -> str | None:
    if len(values) == 1 and values[0].kind == "const" and isinstance(values[0].data, str):
        return values[0].data
    return None


def _is_own_class(node: ast.expr, evaluator: Evaluator, context: Context) -> bool:
    """Whether the expression is `cls` inside a class."""
    return isinstance(node, ast.Name) and node.id == "cls" and evaluator.enclosing_class(context.scope) is not None


def _is_reference(value: Value, reference: ast.Attribute) -> bool:
    return value.kind in ("symbol", "attribute") and value.node is reference or value.node is reference
