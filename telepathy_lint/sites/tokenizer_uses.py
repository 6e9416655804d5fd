"""Uses of tokenizers that changed in transformers 5: methods that are gone, and what is made of `apply_chat_template`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.file import File
from telepathy_lint.flow.tree import Context
from telepathy_lint.knowledge.migration import TOKENIZER_ARGUMENTS, TOKENIZER_ATTRIBUTES, TOKENIZER_METHODS
from telepathy_lint.knowledge.transformers_names import last
from telepathy_lint.sites.loads import loads_of
from telepathy_lint.sites.site import Site
from telepathy_lint.source.occurs import lower_case

_NAMED_SO = r"(?:\w*_)?(?:tokenizer|tok|tokeniser)(?:_\w+|\d)?"
TEMPLATE = "apply_chat_template"


def find(file: File) -> Iterator[Site]:
    """Each call; the first of `classes` is `transformers.<method>`, or `transformers.tokenizer` for a call of the object itself."""
    tree = file.tree
    if "tok" not in lower_case(tree.text):
        return
    for node, method in file.uses.method_calls(*TOKENIZER_METHODS, TEMPLATE):
        context = tree.context_of(node)
        if _is_tokenizer(file, method.value, context, method.attr):
            yield _site(file, node, context, method.attr)
    for read in tree.visit(tree.lines_of(file.words.find(*TOKENIZER_ATTRIBUTES))):
        if (
            isinstance(read, ast.Attribute)
            and read.attr in TOKENIZER_ATTRIBUTES
            and isinstance(read.ctx, ast.Load)
        ):
            context = tree.context_of(read)
            if _is_tokenizer(file, read.value, context, read.attr):
                classes = (f"transformers.{read.attr}",)
                yield Site("tokenizer_use", file, read, context, classes, {}, opaque=False, model_id=None)
    for call in tree.visit(tree.lines_of(file.words.find(*TOKENIZER_ARGUMENTS))):
        if isinstance(call, ast.Call) and any(each.arg in TOKENIZER_ARGUMENTS for each in call.keywords):
            context, func = tree.context_of(call), call.func
            called = func.attr if isinstance(func, ast.Attribute) else ""
            if called == "encode" and isinstance(func, ast.Attribute):
                if _is_tokenizer(file, func.value, context, "encode"):
                    yield _site(file, call, context, "encode")
            elif called not in TOKENIZER_METHODS and _is_tokenizer(file, func, context, "__call__"):
                yield _site(file, call, context, "tokenizer")


def _is_tokenizer(file: File, node: ast.expr, context: Context, method: str) -> bool:
    """Whether an object is a tokenizer of transformers: it is loaded here, or is called so where nothing else of that name is."""
    if loads_of(file, node, context, "tokenizer"):
        return True
    name = last(dotted(node) or "")
    if not re.fullmatch(_NAMED_SO, name, re.IGNORECASE) or file.uses.methods(method):
        return False
    if not any(
        symbol.partition(".")[0] in ("transformers", "trl", "peft") for _, symbol in file.uses.imports()
    ):
        return False
    # Made by something of the file or another library, it is that one's.
    makers = file.objects.makers(node, context)
    return not any(isinstance(maker, ast.Call) for maker in makers)


def _site(file: File, node: ast.Call, context: Context, called: str) -> Site:
    arguments, opaque = file.arguments.read(node, context, ("text", "text_pair"))
    return Site("tokenizer_use", file, node, context, (f"transformers.{called}",), arguments, opaque, None)
