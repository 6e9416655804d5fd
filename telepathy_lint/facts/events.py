"""What happens to loaded objects later in the file: generation configs, pad tokens, attention set on a config.

Each event is found by its words and followed back to the calls its object may come from. An event whose object comes
from outside the file could concern any load, so it leaves those loads undecided.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from telepathy_lint.flow.bindings import dotted, filled_parameter, targets_of
from telepathy_lint.flow.contents import Effect
from telepathy_lint.flow.evaluate import Evaluator
from telepathy_lint.flow.origins import UNKNOWN, OriginFinder, Origins
from telepathy_lint.flow.project import Modules, written_attributes
from telepathy_lint.flow.tree import Context, Tree
from telepathy_lint.knowledge import transformers_names as catalog
from telepathy_lint.sites.site import Known, Site
from telepathy_lint.source.prefilter import CodeWords

if TYPE_CHECKING:
    from telepathy_lint.facts.max_length import Lengths

_HELPERS = (
    r"(?i)(?:pad|special_?tok|setup_chat_format|(?:set_?up|prepare|fix|configure|patch|smart|resize|ensure|adapt|add|update)"
    r"\w*tok|tok\w*(?:set_?up|fix|patch|resize|embedding))"
)
#: The companion loader's function that gives a model its generation config.
_APPLY = "apply_generation_config"
_PAD_ATTRIBUTES = frozenset({"pad_token", "pad_token_id", "_pad_token"})
_ATTENTION_NAMES = frozenset({"attn_implementation", "_attn_implementation", "_attn_implementation_internal"})


class Events:
    """The later events of one file, each kind collected when first asked for."""

    def __init__(
        self,
        tree: Tree,
        evaluator: Evaluator,
        origins: OriginFinder,
        words: CodeWords,
        modules: Modules | None,
    ) -> None:
        self.modules = modules
        self.tree = tree
        self.evaluator = evaluator
        self.origins = origins
        self.words = words
        self._generation: Origins | None = None
        self._pad: Origins | None = None
        self._attention: Origins | None = None
        self._lengths: Lengths | None = None
        self._written: dict[ast.AST, frozenset[tuple[str, str]]] = {}

    # ---- the three questions

    def generation_config(self, site: Site) -> Known:
        """Whether the loaded model gets a generation config after the load."""
        if self._generation is None:
            self._generation = frozenset().union(*self._generation_events())
        return _answer(site.call, self._generation)

    def max_length_at_generate(self, site: Site) -> bool:
        """Whether a call that generates, with any model of the file or with a pipeline of this one, says `max_length`."""
        if "max_length" not in self.tree.text:
            return False
        if self._lengths is None:
            from telepathy_lint.facts.max_length import Lengths

            self._lengths = Lengths(self.origins)
        return self._lengths.given(site)

    def pad_token(self, site: Site) -> Known:
        """Whether the tokenizer gets a pad token after the load."""
        if self._pad is None:
            self._pad = frozenset().union(*self._pad_events())
        if self._is_only_asked(site.call):
            return Known.UNDECIDED
        return _answer(site.call, self._pad)

    def _is_only_asked(self, call: ast.Call) -> bool:
        """Whether nothing is left of a tokenizer but its length or an attribute: it never comes to pad."""
        parent = self.tree.parent.get(call)
        if isinstance(parent, ast.Attribute):
            user = self.tree.parent.get(parent)
            return not (isinstance(user, ast.Call) and user.func is parent)
        return isinstance(parent, ast.Call) and dotted(parent.func) == "len"

    def config_attention(self, site: Site) -> Known:
        """Whether the config passed to the load visibly chooses an attention implementation."""
        argument = site.arguments.get("config")
        if argument is None or not isinstance(argument.node, (ast.keyword, ast.expr)):
            return Known.NO
        node = argument.node.value if isinstance(argument.node, ast.keyword) else argument.node
        if self._attention is None:
            self._attention = frozenset().union(*self._attention_events())
        passed = self.origins.origins(node, site.context)
        if passed & self._attention - {UNKNOWN}:
            return Known.YES
        spread = [content for call in passed if isinstance(call, ast.Call) for content in self._spread(call)]
        if any(_ATTENTION_NAMES & content.changes.keys() for content in spread):
            return Known.YES
        return Known.UNDECIDED if any(content.open for content in spread) else Known.NO

    # ---- generation configs

    def _generation_events(self) -> Iterator[Origins]:
        # Parts of words: `apply_generation_config` is found with the rest.
        offsets = self.words.find("generation_config", whole=False) + self.words.find(
            "generate", "generate_kwargs", "setattr"
        )
        for node in self.tree.visit(self.tree.lines_of(offsets)):
            if isinstance(node, ast.Attribute) and node.attr == "generation_config":
                if self._is_written(node):
                    yield self._from(node.value)
            elif isinstance(node, ast.Call):
                yield from self._generation_call(node)

    def _generation_call(self, call: ast.Call) -> Iterator[Origins]:
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
        passed = self.evaluator.dicts.gives(call, "generation_config", context)
        if passed:
            yield from self._handed_on(call, context)
        elif isinstance(func, ast.Attribute) and func.attr == "generate":
            passed = len(call.args) > 1 and self._is_config(call.args[1], context)
        if not passed:
            return
        last = name.rpartition(".")[2] or getattr(func, "attr", "")
        if last in ("from_pretrained", "from_config") or last[:1].isupper():
            return  # the load itself, or a trainer, callback or arguments object: not counted
        if isinstance(func, ast.Attribute):
            yield self.origins.origins(func.value, context)
            yield self.origins.origins(func, context) - {UNKNOWN}  # a pipeline kept there
        elif isinstance(func, ast.Name):
            if list(self.origins.called(call, context)):
                return  # a function of the file: what it does with it is seen there
            yield self.origins.origins(func, context)
            for argument in [*call.args, *(k.value for k in call.keywords if k.arg in ("model", None))]:
                yield self.origins.origins(argument, context) - {UNKNOWN}
        else:
            yield self.origins.origins(func, context)  # pipes[0](...)

    def _handed_on(self, call: ast.Call, context: Context) -> Iterator[Origins]:
        """`Thread(target=model.generate, kwargs={...})`, `partial(model.generate, generation_config=...)`."""
        for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
            if isinstance(argument, ast.Attribute) and argument.attr == "generate":
                yield self.origins.origins(argument.value, context)

    def _is_config(self, argument: ast.expr, context: Context) -> bool:
        """Whether a second positional argument of `generate` may be a generation config; remote code has its own order."""
        if isinstance(argument, ast.Starred):
            return False
        if re.search(r"(?i)config|cfg", ast.unparse(argument)):
            return True
        values = self.evaluator.evaluate(argument, context)
        return any(
            value.kind == "dict" or (value.kind == "call" and str(value.data).endswith("GenerationConfig"))
            for value in values
        )

    def _is_written(self, node: ast.Attribute) -> bool:
        """Whether `x.generation_config` is assigned, changed, or taken under a name that is changed."""
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
        for use in self.origins.uses(name):
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

    def _pad_events(self) -> Iterator[Origins]:
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
            yield self.origins.origins(argument, self.tree.context_of(call)) - {UNKNOWN}

    def _pad_owner(self, owner: ast.expr) -> Origins:
        """Whose pad token is written: `model.config.pad_token_id` is the model's, not the tokenizer's."""
        if isinstance(owner, ast.Attribute) and owner.attr in ("config", "generation_config", "text_config"):
            return frozenset()
        return self._from(owner)

    def _pad_call(self, call: ast.Call) -> Iterator[Origins]:
        func = call.func
        if (
            isinstance(func, ast.Attribute)
            and func.attr == "add_special_tokens"
            and (call.args or call.keywords)
        ):
            given = call.args[0] if call.args else call.keywords[0].value
            context = self.tree.context_of(call)
            content = self.evaluator.dicts.content(given, context)
            if "pad_token" in content.changes or content.open:
                yield self._from(func.value)
        elif dotted(func) == "setattr" and len(call.args) >= 2:
            name = call.args[1]
            if isinstance(name, ast.Constant) and name.value in ("pad_token", "pad_token_id"):
                yield self._from(call.args[0])

    def _handed_to_helpers(self) -> Iterator[tuple[ast.Call, ast.expr]]:
        """What is handed to imported helpers that set a pad token on it, by their code or by their name."""
        for name, symbol in dict.fromkeys(self.origins.index.imports()):
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
        """Whether what a call runs of an imported module is worth a parse."""
        function = call.func.attr if isinstance(call.func, ast.Attribute) else catalog.last(symbol)
        modules = self.modules
        return modules is not None and modules.may_write(symbol, self.tree.source.path, function, needle)

    def _calls_of(self, name: str) -> Iterator[ast.Call]:
        for use in self.origins.uses(name):
            node: ast.AST = use
            parent = self.tree.parent.get(node)
            while isinstance(parent, ast.Attribute):  # module.function(...)
                node, parent = parent, self.tree.parent.get(parent)
            if isinstance(parent, ast.Call) and parent.func is node:
                yield parent

    def _is_written_by(self, call: ast.Call, argument: ast.expr, attributes: frozenset[str]) -> bool:
        """Whether a function of another module of the project writes such an attribute of the argument."""
        for value in self.evaluator.evaluate(call.func, self.tree.context_of(call)):
            if value.context.scope.tree is not self.tree:
                parameter = filled_parameter(value.node, call, argument)
                if parameter is not None and self._writes(value.node, parameter, attributes):
                    return True
        return False

    def _writes(self, function: ast.AST, parameter: str, attributes: frozenset[str]) -> bool:
        """Whether a function assigns one of the attributes of what it gets for a parameter, or of a part of it."""
        if function not in self._written:
            self._written[function] = written_attributes(function)
        return any((parameter, each) in self._written[function] for each in attributes)

    # ---- attention on a config

    def _spread(self, call: ast.Call) -> Iterator[Effect]:
        """What a config's own load gets by `**`."""
        for keyword in call.keywords:
            if keyword.arg is None:
                yield self.evaluator.dicts.content(keyword.value, self.tree.context_of(call))

    def _attention_events(self) -> Iterator[Origins]:
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

    def _from(self, node: ast.expr) -> Origins:
        context: Context = self.tree.context_of(node)
        return self.origins.origins(node, context)


@cache
def _sets_pad_token(symbol: str) -> bool:
    """Whether an imported function is known, or named, to set a pad token on the tokenizer it gets."""
    if symbol in catalog.PAD_SETTING_HELPERS:
        return True
    name = catalog.last(symbol)
    if (
        name[:1].isupper()
        or name in ("pad", "pad_sequence")
        or symbol.startswith(("torch.", "numpy.", "transformers."))
    ):
        return False
    return re.search(_HELPERS, name) is not None


def _answer(call: ast.Call, origins: Origins) -> Known:
    if call in origins:
        return Known.YES
    return Known.UNDECIDED if UNKNOWN in origins else Known.NO
