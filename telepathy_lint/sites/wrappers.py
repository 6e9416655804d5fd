"""Finds loads under another name: references, partials, and functions that pass their `**kwargs` on.

The call under that name is the load and is reported.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.flow.arguments import Argument, single_string
from telepathy_lint.flow.bindings import dotted, parameters
from telepathy_lint.flow.file import File
from telepathy_lint.flow.tree import Context
from telepathy_lint.flow.uses import Function
from telepathy_lint.flow.value import Value
from telepathy_lint.knowledge import transformers_names as catalog
from telepathy_lint.sites.direct_loads import Loads
from telepathy_lint.sites.loaded_classes import Loader
from telepathy_lint.sites.site import Site
from telepathy_lint.source.prefilter import CodeWords

_IDENTITY = "pretrained_model_name_or_path"
_PARTIAL = ("partial", "functools.partial")


class Wrappers:
    """Finds the indirect loads of one file."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.tree = file.tree
        self.modules = file.modules

    def find(self) -> Iterator[Site]:
        loads = self.file.fact(Loads)
        for reference in loads.direct.references:
            yield from self._through_reference(reference)
        for function, sites in loads.forwarding.items():
            yield from self._through_function(function, sites)
        yield from self._through_imports()

    # ---- references and partials

    def _through_reference(self, reference: ast.Attribute) -> Iterator[Site]:
        """`load = X.from_pretrained` or `partial(X.from_pretrained, ...)`: the calls of this name are the loads."""
        context = self.tree.context_of(reference)
        loader = self.file.fact(Loads).callees.loader(reference.value, context)
        if loader is None:
            return
        holder = self.tree.parent.get(reference)
        value: ast.AST = reference
        partial: ast.Call | None = None
        if isinstance(holder, ast.Call) and dotted(holder.func) in _PARTIAL:
            if not holder.args or holder.args[0] is not reference:
                return
            value = partial = holder
            holder = self.tree.parent.get(holder)
        if isinstance(holder, ast.Call) and holder.func is value:
            yield self._called(holder, loader, partial, context)
        elif isinstance(holder, ast.Assign) and holder.value is value and len(holder.targets) == 1:
            name = dotted(holder.targets[0])
            for use in self.file.uses.of(name.rpartition(".")[2]) if name is not None else ():
                call = self.tree.parent.get(use)
                if isinstance(call, ast.Call) and call.func is use and dotted(use) == name:
                    values = self.file.values.evaluate(call.func, self.tree.context_of(call))
                    if all(each.node is value for each in values):
                        yield self._called(call, loader, partial, context)

    def _called(self, call: ast.Call, loader: Loader, partial: ast.Call | None, context: Context) -> Site:
        site = self.file.fact(Loads).load(call, self.tree.context_of(call), loader)
        if partial is None:
            return site._replace(indirect=True)
        bound = ast.Call(func=partial.func, args=partial.args[1:], keywords=partial.keywords)
        before, hidden = self.file.arguments.read(bound, context, (_IDENTITY,))
        given = dict(site.arguments)
        if bound.args and call.args:
            given.pop(_IDENTITY, None)  # the partial already sets the first positional argument
        arguments = {name: each._replace(node=call, how="wrapper") for name, each in before.items()} | given
        identity = arguments.get(_IDENTITY)
        return site._replace(
            arguments=arguments,
            opaque=site.opaque or hidden,
            model_id=single_string(identity.values) if identity is not None else None,
            indirect=True,
        )

    # ---- functions that pass their keyword arguments on

    def _through_function(self, function: Function, sites: list[Site]) -> Iterator[Site]:
        owner = self.tree.scope_at(function).parent
        method_of = owner.node if owner is not None and isinstance(owner.node, ast.ClassDef) else None
        for call, context, bound in self.file.calls.callers(function):
            if call is None or call not in self.tree.parent:
                continue
            if self._surely_calls(call, context, function, method_of):
                yield self._forwarded(sites, call, context, function, bound)

    def _surely_calls(
        self, call: ast.Call, context: Context, function: ast.AST, method_of: ast.ClassDef | None
    ) -> bool:
        """Whether a call by the function's name certainly calls it: `json.load` is not the file's `load`."""
        func, evaluator = call.func, self.file.values
        if method_of is None:
            return isinstance(func, ast.Name) and all(
                value.node is function for value in evaluator.evaluate(func, context)
            )
        if isinstance(func, ast.Name):  # the constructor
            return all(self._is_a(value.node, method_of) for value in evaluator.evaluate(func, context))
        if not isinstance(func, ast.Attribute):
            return False
        receiver = func.value
        if isinstance(receiver, ast.Name) and receiver.id in ("self", "cls"):
            own = evaluator.enclosing_class(context.scope)
            return own is not None and self._is_a(own, method_of)
        if all(self._is_a(value.node, method_of) for value in evaluator.evaluate(receiver, context)):
            return True
        made = self.file.objects.makers(receiver, context)
        return bool(made) and all(
            isinstance(origin, ast.Call)
            and all(
                self._is_a(value.node, method_of)
                for value in evaluator.evaluate(origin.func, self.tree.context_of(origin))
            )
            for origin in made
        )

    def _is_a(self, node: ast.AST, owner: ast.ClassDef) -> bool:
        """Whether a node is the class itself or a subclass in the file."""
        return (
            isinstance(node, ast.ClassDef)
            and node in self.tree.parent
            and owner in self.file.calls.ancestors(node)
        )

    def _through_imports(self) -> Iterator[Site]:
        """Yield loads through functions imported from the project's modules."""
        for name in sorted(self._imported_names()):
            for use in self.file.uses.of(name):
                call = self.tree.parent.get(use)
                if not isinstance(call, ast.Call) or call.func is not use:
                    continue
                context = self.tree.context_of(call)
                values = self.file.values.evaluate(call.func, context)
                function, where = values[0].node, values[0].context.scope.tree
                if len(values) != 1 or values[0].kind != "function" or where is self.tree:
                    continue
                assert isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
                if inner := self._forwarding(where.source.path).get(function):
                    yield self._forwarded(inner, call, context, function, bound=False)

    def _imported_names(self) -> set[str]:
        """Names by which this file may call forwarding functions of other modules."""
        names: set[str] = set()
        modules, path = self.modules, self.tree.source.path
        if modules is None:
            return names
        for bound, symbol in dict.fromkeys(self.file.uses.imports()):
            for file in modules.files(symbol, path):
                functions = modules.forwarding.get(file)
                if functions is None:
                    if not any(map(self.file.words.has, modules.may_forward(file))):
                        continue
                    functions = frozenset([function.name for function in self._forwarding(file)])
                    modules.forwarding[file] = functions
                names |= functions
                if catalog.last(symbol) in functions:
                    names.add(bound)
        return names

    def _forwarding(self, path: str) -> dict[Function, list[Site]]:
        """The functions in another module that pass their keyword arguments on to a load."""
        assert self.modules is not None
        module = self.modules.looked_into.get(path)
        if not isinstance(module, File):
            tree = self.modules.tree(path)
            if tree is None:
                return {}
            module = File(tree.source, self.file.settings, self.modules, CodeWords(tree.text), tree)
            self.modules.looked_into[path] = module
        found = module.fact(Loads).forwarding
        # A `from_pretrained` that a class in another module defines has its own semantics.
        return {function: loads for function, loads in found.items() if function.name != "from_pretrained"}

    def _forwarded(
        self,
        loads: list[Site],
        call: ast.Call,
        context: Context,
        function: Function,
        bound: bool,
    ) -> Site:
        """The load from the caller's point of view: the function's own arguments, and those passed through."""
        owned = {argument.arg for argument in parameters(function)}
        outer, opaque = self.file.arguments.read(call, context, ())
        passed = {name: argument for name, argument in outer.items() if name not in owned}
        inner = loads[0]
        inherited = {
            name: each._replace(how="wrapper", node=call)
            for load in reversed(loads)
            for name, each in load.arguments.items()
        }
        # What the function itself writes under a name wins over what the caller passes.
        passed = {
            name: argument if name not in inherited else _either(inherited[name], argument, function)
            for name, argument in passed.items()
            if name not in inherited or _may_keep(inherited[name], function)
        }
        return inner._replace(
            file=self.file,
            node=call,
            context=context,
            classes=tuple(dict.fromkeys(name for load in loads for name in load.classes)),
            generative=all(load.generative for load in loads),
            arguments={**inherited, **passed},
            opaque=opaque,
            model_id=single_string(self._identity(inner, call, context, function, bound)),
            indirect=True,
            inherited=frozenset(inherited) - frozenset(passed),
        )

    def _identity(
        self,
        inner: Site,
        call: ast.Call,
        context: Context,
        function: Function,
        bound: bool,
    ) -> tuple[Value, ...]:
        """The argument that the caller passes for the id."""
        argument = inner.arguments.get(_IDENTITY)
        if argument is None or len(argument.values) != 1 or argument.values[0].kind != "param":
            return argument.values if argument is not None else ()
        name = str(argument.values[0].data)
        names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
        if bound and names[:1] in (["self"], ["cls"]):
            del names[0]
        given = next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
        if given is None and name in names[: len(call.args)]:
            given = call.args[names.index(name)]
        return self.file.values.evaluate(given, context) if given is not None else ()


def _is_passed_on(value: Value, function: Function) -> bool:
    """Whether a value is what the function's `**kwargs` have under the name."""
    return (
        value.kind == "param"
        and value.node is function
        and function.args.kwarg is not None
        and value.data == function.args.kwarg.arg
    )


def _may_keep(inner: Argument, function: Function) -> bool:
    """Whether the function only writes the argument under a condition, so that the caller's may arrive."""
    return any(_is_passed_on(value, function) for value in inner.values)


def _either(inner: Argument, outer: Argument, function: Function) -> Argument:
    """The caller's argument, together with what the function may write in its place."""
    own = tuple(value for value in inner.values if not _is_passed_on(value, function))
    return outer._replace(values=outer.values + own)
