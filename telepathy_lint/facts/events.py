"""Events in the life of loaded objects: a generation config is set, a pad token is set, attention is set on a config.

Each event is found by its words and followed back to the loads that its object may come from. If the object
comes from outside the file, the event may concern any load, so these loads are undecided.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache, partial

from telepathy_lint.facts.handled import Use, handled
from telepathy_lint.flow.bindings import dotted, filled_parameter, targets_of
from telepathy_lint.flow.file import File
from telepathy_lint.flow.makers import OUTSIDE, UNFILLED, UNKNOWN, Makers
from telepathy_lint.flow.project import written_attributes
from telepathy_lint.flow.tree import Context
from telepathy_lint.hints import TYPE_CHECKING
from telepathy_lint.knowledge import transformers_names as catalog
from telepathy_lint.sites.site import Known, Site

if TYPE_CHECKING:
    from telepathy_lint.flow.contents import Effect

_HELPERS = (
    r"(?i)(?:pad|special_?tok|setup_chat_format|(?:set_?up|prepare|fix|configure|patch|smart|resize|ensure|adapt|add|update)"
    r"\w*tok|tok\w*(?:set_?up|fix|patch|resize|embedding))"
)
#: One of these is in each of their names.
_IN_HELPERS = ("pad", "tok", "chat_format")
#: The companion loader's function that gives a model its generation config.
_APPLY = "apply_generation_config"
_PAD_ATTRIBUTES = frozenset({"pad_token", "pad_token_id", "_pad_token"})
_ATTENTION_NAMES = frozenset({"attn_implementation", "_attn_implementation", "_attn_implementation_internal"})


class Events:
    """The later events in one file; each kind is collected on first use."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.modules = file.modules
        self.tree = file.tree
        self.values = file.values
        self.objects = file.objects
        self.words = file.words
        self._generation: Makers | None = None
        self._pad: Makers | None = None
        self._attention: Makers | None = None
        self._written: dict[ast.AST, frozenset[tuple[str, str]]] = {}

    # ---- the questions

    def generation_config(self, site: Site) -> Known:
        """Whether the loaded model gets a generation config after the load."""
        if self._generation is None:
            self._generation = frozenset().union(*self._generation_events())
        return _answer(site, self._generation)

    def pad_token(self, site: Site) -> Known:
        """Whether the tokenizer gets a pad token after the load."""
        if self._pad is None:
            self._pad = frozenset().union(*self._pad_events())
        if self._is_only_asked(site.call):
            return Known.UNDECIDED
        return _answer(site, self._pad)

    def _is_only_asked(self, call: ast.Call) -> bool:
        """Whether only the length or an attribute of a tokenizer is used, so that it never pads."""
        parent = self.tree.parent.get(call)
        if isinstance(parent, ast.Attribute):
            user = self.tree.parent.get(parent)
            return not (isinstance(user, ast.Call) and user.func is parent)
        return isinstance(parent, ast.Call) and dotted(parent.func) == "len"

    def config_attention(self, site: Site) -> Known:
        """Whether the config passed to the load certainly sets an attention implementation."""
        argument = site.arguments.get("config")
        if argument is None or not isinstance(argument.node, (ast.keyword, ast.expr)):
            return Known.NO
        node = argument.node.value if isinstance(argument.node, ast.keyword) else argument.node
        if self._attention is None:
            self._attention = frozenset().union(*self._attention_events())
        passed = self.objects.makers(node, site.context)
        if passed & self._attention - OUTSIDE:
            return Known.YES
        spread = [content for call in passed if isinstance(call, ast.Call) for content in self._spread(call)]
        if any(_ATTENTION_NAMES & content.changes.keys() for content in spread):
            return Known.YES
        return Known.UNDECIDED if any(content.open for content in spread) else Known.NO

    # ---- generation configs

    def _generation_events(self) -> Iterator[Makers]:
        # Not whole words, to find `apply_generation_config` too.
        offsets = self.words.find("generation_config", whole=False) + self.words.find(
            "generate", "generate_kwargs", "setattr"
        )
        for node in self.tree.visit(self.tree.lines_of(offsets)):
            if isinstance(node, ast.Attribute) and node.attr == "generation_config":
                if self._is_written(node):
                    yield self._from(node.value)
            elif isinstance(node, ast.Call):
                yield from self._generation_call(node)

    def _generation_call(self, call: ast.Call) -> Iterator[Makers]:
        func = call.func
        name = dotted(func) or ""
        if name == "setattr" and len(call.args) >= 2:
            if isinstance(call.args[1], ast.Constant) and call.args[1].value == "generation_config":
                yield self._from(call.args[0])
            return
        if catalog.last(name) == _APPLY and call.args:
            yield self._from(call.args[0])
            return
        context = self.tree.context_of(call)
        passed = self.file.arguments.gives(call, "generation_config", context)
        if passed:
            yield from self._handed_on(call, context)
        elif isinstance(func, ast.Attribute) and func.attr == "generate":
            passed = len(call.args) > 1 and self._is_config(call.args[1], context)
        if not passed:
            return
        last = name.rpartition(".")[2] or getattr(func, "attr", "")
        if last in ("from_pretrained", "from_config") or last[:1].isupper():
            return  # the load itself, or a trainer, callback or arguments object: does not count
        if isinstance(func, ast.Attribute):
            yield self.objects.makers(func.value, context)
            yield self.objects.makers(func, context) - OUTSIDE  # a pipeline stored there
        elif isinstance(func, ast.Name):
            if list(self.file.calls.called(call, context)):
                return  # a function in the file: its body is searched
            yield self.objects.makers(func, context)
            for argument in [*call.args, *(k.value for k in call.keywords if k.arg in ("model", None))]:
                yield self.objects.makers(argument, context) - OUTSIDE
        else:
            yield self.objects.makers(func, context)  # pipes[0](...)

    def _handed_on(self, call: ast.Call, context: Context) -> Iterator[Makers]:
        """`Thread(target=model.generate, kwargs={...})` or `partial(model.generate, generation_config=...)`."""
        for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
            if isinstance(argument, ast.Attribute) and argument.attr == "generate":
                yield self.objects.makers(argument.value, context)

    def _is_config(self, argument: ast.expr, context: Context) -> bool:
        """Whether the second positional argument of `generate` may be a generation config; remote code may differ."""
        if isinstance(argument, ast.Starred):
            return False
        if re.search(r"(?i)config|cfg", ast.unparse(argument)):
            return True
        values = self.values.evaluate(argument, context)
        return any(
            value.kind == "dict" or (value.kind == "call" and str(value.data).endswith("GenerationConfig"))
            for value in values
        )

    def _is_written(self, node: ast.Attribute) -> bool:
        """Whether `x.generation_config` is assigned or changed, or has an alias that is changed."""
        child: ast.AST = node
        parent = self.tree.parent.get(child)
        while isinstance(parent, (ast.Attribute, ast.Subscript)) and parent.value is child:
            child, parent = parent, self.tree.parent.get(parent)
        if isinstance(parent, (ast.Tuple, ast.List)):
            child, parent = parent, self.tree.parent.get(parent)
        if isinstance(parent, ast.Assign):
            if any(each is child for each in parent.targets):
                return True
            if parent.value is node and len(parent.targets) == 1:
                return self._alias_is_written(parent.targets[0])
            return False
        if isinstance(parent, (ast.AugAssign, ast.AnnAssign)):
            return parent.target is child
        if isinstance(parent, ast.Delete):
            return True
        if isinstance(parent, ast.Call):
            if parent.func is child and child is not node:  # x.generation_config.update(...)
                return getattr(child, "attr", "") not in (
                    "to_dict",
                    "to_json_string",
                    "save_pretrained",
                    "to_diff_dict",
                )
            return dotted(parent.func) in ("setattr", "delattr") and parent.args[:1] == [child]
        return False

    def _alias_is_written(self, target: ast.expr) -> bool:
        name = dotted(target)
        if name is None or not isinstance(target, ast.Name):
            return False
        for use in self.file.uses.of(name):
            child: ast.AST = use
            parent = self.tree.parent.get(child)
            if not isinstance(parent, ast.Attribute):
                continue
            holder = self.tree.parent.get(parent)
            if isinstance(holder, (ast.Assign, ast.AugAssign)) and parent in (
                holder.targets if isinstance(holder, ast.Assign) else [holder.target]
            ):
                return True
            if isinstance(holder, ast.Call) and holder.func is parent and parent.attr == "update":
                return True
        return False

    # ---- pad tokens

    def _pad_events(self) -> Iterator[Makers]:
        offsets = self.words.find("pad_token", whole=False)  # and `pad_token_id`, `_pad_token`
        offsets = offsets + self.words.find("add_special_tokens", "setattr")
        for node in self.tree.visit(self.tree.lines_of(offsets)):
            if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    for written, _ in targets_of(target):
                        if isinstance(written, ast.Attribute) and written.attr in _PAD_ATTRIBUTES:
                            yield self._pad_owner(written.value)
            elif isinstance(node, ast.Call):
                yield from self._pad_call(node)
        for call, argument in self._handed_to_helpers():
            yield self.objects.makers(argument, self.tree.context_of(call)) - OUTSIDE

    def _pad_owner(self, owner: ast.expr) -> Makers:
        """The owner of a written pad token: `model.config.pad_token_id` belongs to the model, not to the tokenizer."""
        if isinstance(owner, ast.Attribute) and owner.attr in ("config", "generation_config", "text_config"):
            return frozenset()
        return self._from(owner)

    def _pad_call(self, call: ast.Call) -> Iterator[Makers]:
        func = call.func
        if (
            isinstance(func, ast.Attribute)
            and func.attr == "add_special_tokens"
            and (call.args or call.keywords)
        ):
            given = call.args[0] if call.args else call.keywords[0].value
            context = self.tree.context_of(call)
            content = self.values.dicts.content(given, context)
            if "pad_token" in content.changes or content.open:
                yield self._from(func.value)
        elif dotted(func) == "setattr" and len(call.args) >= 2:
            name = call.args[1]
            if isinstance(name, ast.Constant) and name.value in ("pad_token", "pad_token_id"):
                yield self._from(call.args[0])

    def _handed_to_helpers(self) -> Iterator[tuple[ast.Call, ast.expr]]:
        """The arguments of imported helpers that set a pad token on them, according to their code or name."""
        for name, symbol in dict.fromkeys(self.file.uses.imports()):
            by_name = _sets_pad_token(symbol)
            if by_name or self._leads_to(symbol, b"pad_token"):
                for call in self._calls_of(name):
                    if not (by_name or self._may_be_written_by(call, symbol, b"pad_token")):
                        continue
                    for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
                        if by_name or self._is_written_by(call, argument, _PAD_ATTRIBUTES):
                            yield call, argument

    def _leads_to(self, symbol: str, needle: bytes) -> bool:
        modules = self.modules
        return modules is not None and modules.holds(symbol, self.tree.source.path, needle)

    def _may_be_written_by(self, call: ast.Call, symbol: str, needle: bytes) -> bool:
        """Whether the functions of an imported module that a call runs are worth parsing."""
        function = call.func.attr if isinstance(call.func, ast.Attribute) else catalog.last(symbol)
        modules = self.modules
        return modules is not None and modules.may_write(symbol, self.tree.source.path, function, needle)

    def _calls_of(self, name: str) -> Iterator[ast.Call]:
        for use in self.file.uses.of(name):
            node: ast.AST = use
            parent = self.tree.parent.get(node)
            while isinstance(parent, ast.Attribute):  # module.function(...)
                node, parent = parent, self.tree.parent.get(parent)
            if isinstance(parent, ast.Call) and parent.func is node:
                yield parent

    def _is_written_by(self, call: ast.Call, argument: ast.expr, attributes: frozenset[str]) -> bool:
        """Whether a function in another module of the project sets such an attribute on the argument."""
        for value in self.values.evaluate(call.func, self.tree.context_of(call)):
            if value.context.scope.tree is not self.tree:
                parameter = filled_parameter(value.node, call, argument)
                if parameter is not None and self._writes(value.node, parameter, attributes):
                    return True
        return False

    def _writes(self, function: ast.AST, parameter: str, attributes: frozenset[str]) -> bool:
        """Whether a function sets one of the attributes on its parameter, or on a part of it."""
        if function not in self._written:
            self._written[function] = written_attributes(function)
        return any((parameter, each) in self._written[function] for each in attributes)

    # ---- attention on a config

    def _spread(self, call: ast.Call) -> Iterator[Effect]:
        """The arguments that a config's load gets with `**`."""
        for keyword in call.keywords:
            if keyword.arg is None:
                yield self.values.dicts.content(keyword.value, self.tree.context_of(call))

    def _attention_events(self) -> Iterator[Makers]:
        for node in self.tree.visit(self.tree.lines_of(self.words.find(*_ATTENTION_NAMES, "setattr"))):
            if isinstance(node, ast.Attribute) and node.attr in _ATTENTION_NAMES:
                if isinstance(node.ctx, ast.Store):
                    yield self._from(node.value)
            elif isinstance(node, ast.Call):
                if any(keyword.arg in _ATTENTION_NAMES for keyword in node.keywords):
                    yield frozenset((node,))
                elif dotted(node.func) == "setattr" and len(node.args) >= 2:
                    name = node.args[1]
                    if isinstance(name, ast.Constant) and name.value in _ATTENTION_NAMES:
                        yield self._from(node.args[0])

    def _from(self, node: ast.expr) -> Makers:
        context: Context = self.tree.context_of(node)
        return self.objects.makers(node, context)


@cache
def _sets_pad_token(symbol: str) -> bool:
    """Whether an imported function sets a pad token on its tokenizer argument, according to a table or its name."""
    if symbol in catalog.PAD_SETTING_HELPERS:
        return True
    name = catalog.last(symbol)
    if (
        name[:1].isupper()
        or name in ("pad", "pad_sequence")
        or symbol.startswith(("torch.", "numpy.", "transformers."))
    ):
        return False
    lowered = name.lower()
    return any(word in lowered for word in _IN_HELPERS) and re.search(_HELPERS, name) is not None


def _answer(site: Site, makers: Makers) -> Known:
    """Whether one of the events' objects is the site's."""
    if site.call in makers:
        return Known.YES
    if UNKNOWN in makers:
        return Known.UNDECIDED
    # A function that nothing in the file calls can only get this object if the object leaves the file.
    if UNFILLED not in makers:
        return Known.NO
    return Known.NO if handled(site, partial(_stays, site.file)) is not None else Known.UNDECIDED


def _stays(file: File, use: Use) -> bool:
    """Whether an object stays in the file with this use: libraries do not pass it on to functions in the file."""
    if use.how != "argument" or use.call is None:
        return True
    values = file.values.evaluate(use.call.func, file.tree.context_of(use.call))
    return all(
        value.kind == "symbol"
        and (file.modules is None or not file.modules.files(str(value.data), file.source.path))
        for value in values
    )
