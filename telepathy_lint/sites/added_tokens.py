"""Finds tokens that are certainly new to a tokenizer, in files that never resize the embeddings of its model."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from telepathy_lint.flow.arguments import Argument
from telepathy_lint.flow.file import File
from telepathy_lint.flow.tree import Tree
from telepathy_lint.sites.loads import loads, loads_of
from telepathy_lint.sites.site import Site
from telepathy_lint.source.occurs import occurs

_METHODS = ("add_special_tokens", "add_tokens")
#: Words of code that may resize the model's embeddings.
_RESIZES = r"resize_|resize=|smart_tokenizer|setup_chat_format|clone_chat_template|\.vocab_size\s*=|set_input_embeddings|embed_tokens"
#: Families whose embeddings have exactly one row per token, with their own special tokens. Others have spare
#: rows (Qwen, Pythia, OPT, T5), so a few new tokens need no resizing.
_EXACT: tuple[tuple[str, str], ...] = (
    (
        r"(?:openai-community/)?(?:distil)?gpt2(?:-medium|-large|-xl)?|distilbert/distilgpt2",
        r"<\|endoftext\|>",
    ),
    (r"microsoft/DialoGPT-(?:small|medium|large)", r"<\|endoftext\|>"),
    (r"meta-llama/(?:Meta-)?Llama-3(?:\.[123])?-\d+B(?:-Instruct)?", r"<\|.*\|>"),
    (r"meta-llama/Llama-2-\d+b(?:-chat)?-hf", r"</?s>|<unk>|<0x..>"),
    (r"mistralai/Mistral-7B-(?:Instruct-)?v0\.[12]", r"</?s>|<unk>|<0x..>"),
    (r"(?:google-bert/)?bert-(?:base|large)-(?:un)?cased", r"\[(?:PAD|UNK|CLS|SEP|MASK|unused\d+)\]"),
    (r"(?:FacebookAI/)?roberta-(?:base|large)", r"</?s>|<pad>|<unk>|<mask>"),
)
#: Attributes of tokenizers with tokens other than the one for padding.
_OTHER_TOKENS = r"\.(?:eos|bos|unk|sep|cls|mask)_token"
#: Tokens that are in no vocabulary by chance.
_MARKED = r"<\S+>|\[\S+\]"


def find(file: File) -> Iterator[Site]:
    """Yield the calls that add tokens; `about` are models without a row for them, `token` is the first such token."""
    tree, words = file.tree, file.words
    if not words.has(*_METHODS) or occurs(_RESIZES, tree.text):
        return
    for node, method in file.uses.method_calls(*_METHODS):
        context = tree.context_of(node)
        if _is_for_other_tokenizers(node, tree):
            continue
        tokenizers = loads_of(file, method.value, context, "tokenizer")
        ids = {site.model_id for site in tokenizers}
        (name,) = ids if len(ids) == 1 else (None,)
        own = next((tokens for family, tokens in _EXACT if re.fullmatch(family, name or "")), None)
        models = tuple(site for site in file.fact(loads) if site.kind == "model" and site.model_id == name)
        token = next(iter(_new(node, own)), None) if own is not None else None
        if token is None or not models:
            continue
        given, opaque = file.arguments.read(node, context, ("tokens",))
        given["token"] = Argument("token", file.values.evaluate(token, context), "keyword", token)
        yield Site(
            kind="added_token",
            file=file,
            node=node,
            context=context,
            classes=(f"{tokenizers[0].class_name}.{method.attr}",),
            arguments=given,
            opaque=opaque,
            model_id=name,
            about=models,
        )


def _is_for_other_tokenizers(call: ast.Call, tree: Tree) -> bool:
    """Whether a condition asks for a token that these families may have: `if tokenizer.eos_token: ... else: add`."""
    node: ast.AST | None = call
    while node is not None and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        if isinstance(node, (ast.If, ast.IfExp)) and re.search(_OTHER_TOKENS, ast.unparse(node.test)):
            return True
        node = tree.parent.get(node)
    return False


def _new(call: ast.Call, own: str) -> Iterator[ast.Constant]:
    """Yield the literal tokens in a call that the family's tokenizer does not have."""
    for given in [*call.args, *(keyword.value for keyword in call.keywords)]:
        values: list[ast.expr | None] = [given]
        if isinstance(given, ast.Dict):
            values = [*given.values]
        for value in values:
            for each in value.elts if isinstance(value, (ast.List, ast.Tuple)) else [value]:
                if not isinstance(each, ast.Constant) or not isinstance(each.value, str):
                    continue
                if re.fullmatch(_MARKED, each.value) and not re.fullmatch(own, each.value):
                    yield each
