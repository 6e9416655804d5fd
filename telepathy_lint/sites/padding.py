"""Finds out how a file's tokenizers pad (side and token), and which collators use them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cached_property

from telepathy_lint.flow import same_object
from telepathy_lint.flow.arguments import Argument
from telepathy_lint.flow.bindings import dotted, targets_of
from telepathy_lint.flow.evaluate import Evaluator
from telepathy_lint.flow.file import File
from telepathy_lint.flow.makers import are_open
from telepathy_lint.flow.objects import SURELY_IS, Makers
from telepathy_lint.flow.tree import Context
from telepathy_lint.flow.value import Value
from telepathy_lint.knowledge import transformers_names as catalog
from telepathy_lint.sites.loads import surely
from telepathy_lint.sites.site import Site

_PADS = (True, "longest", "max_length")
#: Names of variables for several texts; a single text is not padded.
_SEVERAL = (
    r"(?i)(?:\w*(?:prompts|texts|questions|sentences|queries|instructions|examples|messages)|\w*batch\w*)"
)
_COLLATOR = "DataCollatorForLanguageModeling"


class Tokenizing:
    """Answers questions about the tokenizers of one file; each kind of assignment is searched for on first use."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.tree = file.tree
        self.words = file.words
        self.values = file.values
        self._writes: dict[str, list[tuple[Makers, ast.expr, ast.stmt]]] = {}

    def written(self, attribute: str) -> list[tuple[Makers, ast.expr, ast.stmt]]:
        """All assignments `x.attribute = value`: the possible objects, the value, the statement."""
        if attribute not in self._writes:
            found: list[tuple[Makers, ast.expr, ast.stmt]] = []
            for node in self.tree.visit(self.tree.lines_of(self.words.find(attribute))):
                if isinstance(node, ast.Assign):
                    for target in node.targets:
                        for written, path in targets_of(target):
                            if isinstance(written, ast.Attribute) and written.attr == attribute and not path:
                                owner = self.file.objects.makers(written.value, policy=SURELY_IS)
                                found.append((owner, node.value, node))
            self._writes[attribute] = found
        return self._writes[attribute]

    @cached_property
    def _may_add_pad_token(self) -> bool:
        """Whether a tokenizer may get a pad token from `add_special_tokens`."""
        named = "pad_token" in self.tree.text.replace(".pad_token", "")
        return named and self.words.has("add_special_tokens")

    # ---- padding on the right

    def right_padded(self, node: ast.expr, context: Context) -> Value | None:
        """The tokenizer call that certainly produces a right-padded batch of several texts; None if there is none."""
        # inputs.input_ids, inputs["input_ids"], either of them moved to a device
        while True:
            given = same_object.given_back(node) if isinstance(node, ast.Call) else None
            if isinstance(node, (ast.Attribute, ast.Subscript)):
                node = node.value
            elif given is not None and given.how == "method":
                node = given.node
            else:
                break
        made_by = self.file.objects.makers(node, context, SURELY_IS)
        if len(made_by) != 1:
            return None
        (call,) = made_by
        if not isinstance(call, ast.Call):
            return None
        value = Value("call", dotted(call.func) or "", call, self.tree.context_of(call))
        func = call.func
        if isinstance(func, ast.Attribute) and func.attr == "batch_encode_plus":
            func = func.value
        tokenizers = surely(self.file, func, value.context, "tokenizer")
        if not tokenizers or not all(self._pads_right(site) for site in tokenizers):
            return None
        return value if self._pads_several(call, value.context) else None

    def right_padded_by(self, site: Site) -> Argument | None:
        """The argument of a `generate` call that is a batch padded on the right by a tokenizer in the file."""
        call, context = site.call, site.context
        if not site.about or site.about[0].kind != "model":
            return None
        given: list[tuple[ast.AST, ast.expr]] = [(node, node) for node in call.args[:1]]
        given += [(k, k.value) for k in call.keywords if k.arg in (None, "inputs", "input_ids")]
        for node, expression in given:
            if (made := self.right_padded(expression, context)) is not None:
                name = node.arg if isinstance(node, ast.keyword) else "inputs"
                return Argument(name or "**", (made,), "keyword", node)
        return None

    def _pads_several(self, call: ast.Call, context: Context) -> bool:
        keywords = {keyword.arg: keyword.value for keyword in call.keywords}
        if None in keywords or "padding_side" in keywords or "padding" not in keywords or not call.args:
            return False
        padding = self.values.evaluate(keywords["padding"], context)
        if not all(value.kind == "const" and value.data in _PADS for value in padding):
            return False
        if all(value.data == "max_length" for value in padding):
            return True
        return _holds_several(call.args[0], self.values, context)

    def _pads_right(self, site: Site) -> bool:
        argument = site.argument("padding_side")
        values = list(argument.values) if argument is not None else []
        if site.unseen:
            return False
        for owner, value, stmt in self.written("padding_side"):
            if site.call in owner or are_open(owner):
                values += self.values.evaluate(value, self.tree.context_of(stmt))
        if not values and site.loader and (site.pair or site.argument("purpose") is not None):
            return _purpose(site) in TRAINS
        if not values:
            return self._pads_right_by_default(site)
        return all(value.kind == "const" and value.data == "right" for value in values)

    def _pads_right_by_default(self, site: Site) -> bool:
        """Whether the family's tokenizers pad on the right, in a file that does not set a side."""
        if "padding_side" in self.tree.text or "setattr" in self.tree.text:
            return False
        return site.model_id is not None and catalog.pads_on_the_right(site.model_id)

    # ---- the end-of-sequence token as padding

    def eos_padded(self, site: Site) -> int | None:
        """The line that certainly makes the tokenizer pad with its end-of-sequence token."""
        if site.unseen or site.argument("pad_token") is not None:
            return None
        lines = []
        for attribute in ("pad_token", "pad_token_id", "_pad_token"):
            for owner, value, stmt in self.written(attribute):
                if site.call not in owner and not are_open(owner):
                    continue
                if len(owner) > 1 or not _is_eos(value) or not self._is_run(stmt, site):
                    return None
                lines.append(stmt.lineno)
        if self._may_add_pad_token:
            return None  # it may get its own pad token there
        return min(lines, default=None)

    def _is_run(self, stmt: ast.stmt, site: Site) -> bool:
        """Whether the statement certainly runs; a check for a missing pad token is true if the model ships none."""
        child: ast.AST = stmt
        while not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Module)):
            parent = self.tree.parent.get(child)
            if parent is None:
                break
            if isinstance(parent, ast.ExceptHandler):
                return False
            if isinstance(parent, ast.If):
                guards = (
                    "pad_token" in ast.unparse(parent.test) and child in parent.body and not parent.orelse
                )
                known = site.model_id is not None and catalog.ships_no_pad_token(site.model_id)
                if not guards or not known:
                    return False
            child = parent
        return True

    # ---- collators

    def collators(self) -> Iterator[tuple[ast.Call, Context, tuple[Site, ...]]]:
        """Yield the calls of transformers' language-modelling collator, with the tokenizers they certainly get."""
        named = {name for name, symbol in self.file.uses.imports() if catalog.last(symbol) == _COLLATOR}
        named.add(_COLLATOR)
        for node in self.tree.visit(self.tree.lines_of(self.words.find(*named))):
            if not isinstance(node, ast.Call) or catalog.last(dotted(node.func) or "") not in named:
                continue
            context = self.tree.context_of(node)
            values = self.values.evaluate(node.func, context)
            if not all(v.kind == "symbol" and catalog.in_transformers(str(v.data)) for v in values):
                continue
            given = next((k.value for k in node.keywords if k.arg == "tokenizer"), None)
            given = given or (node.args[0] if node.args else None)
            if given is not None and (tokenizers := surely(self.file, given, context, "tokenizer")):
                yield node, context, tokenizers


#: Purposes for which the companion loader pads on the right.
TRAINS = ("training", "finetune-adapters")


def _purpose(site: Site) -> object:
    """The purpose in a call of the companion loader; None if there is none, or it is uncertain."""
    given = site.argument("purpose")
    return given.values[0].data if given is not None and len(given.values) == 1 else None


def _is_eos(value: ast.expr) -> bool:
    return isinstance(value, ast.Attribute) and value.attr in ("eos_token", "eos_token_id")


def _holds_several(node: ast.expr, evaluator: Evaluator, context: Context) -> bool:
    """Whether the tokenized value is certainly more than one text."""
    for value in evaluator.evaluate(node, context):
        made = value.node
        if isinstance(made, (ast.List, ast.Tuple)):
            if len(made.elts) < 2:
                return False
        elif value.kind in ("const", "text"):
            return False
        elif not isinstance(made, ast.ListComp):
            name = catalog.last(dotted(node.value if isinstance(node, ast.Subscript) else node) or "")
            if not re.fullmatch(_SEVERAL, name):
                return False
            if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Slice):
                return False
    return True
