"""Decides whether a tokenizer is used for padding, in the file and in the modules that get the tokenizer."""

from __future__ import annotations

import ast
import re

from telepathy_lint.facts.handled import LOOKERS, Use, handled
from telepathy_lint.facts.reach import reach_of
from telepathy_lint.sites import Site
from telepathy_lint.source.occurs import occurs

_PLAIN_TOKENIZING = frozenset({
    "encode", "encode_plus", "batch_encode_plus", "tokenize", "decode", "batch_decode", "convert_tokens_to_ids",
    "convert_ids_to_tokens", "convert_tokens_to_string", "apply_chat_template", "get_vocab", "save_pretrained", "push_to_hub",
    "num_special_tokens_to_add", "build_inputs_with_special_tokens", "get_added_vocab",
})  # fmt: skip
_PLAIN_OF_TOKENIZERS = frozenset({
    "eos_token", "eos_token_id", "bos_token", "bos_token_id", "unk_token", "unk_token_id", "vocab_size", "chat_template",
    "model_max_length", "name_or_path", "is_fast", "vocab", "all_special_ids", "all_special_tokens", "mask_token",
    "mask_token_id", "sep_token", "sep_token_id", "cls_token", "cls_token_id",
})  # fmt: skip
_NO_PADDING = frozenset({"TextStreamer", "TextIteratorStreamer"})


#: Code for models that may be decoders, whose tokenizers may have no pad token.
_DECODERS = r"CausalLM|LMHeadModel|ImageTextToText|Vision2Seq|text-generation|pipeline\("


#: Embedding models and rerankers, whose tokenizers come from encoders and ship a pad token.
_ENCODERS = (
    r"(?i)(?:^|[/_-])(?:e5|gte|bge|minilm|mpnet|reranker|contriever|sbert|specter2?|colbert)(?:[_-]|$)"
)


def pads_by_itself(site: Site) -> bool:
    """Whether the tokenizer is an encoder's, or the file only loads encoder-decoders or writes a pad token into a dict."""
    if site.model_id is not None and re.search(_ENCODERS, site.model_id) is not None:
        return True
    return bool(site.source.once(_loads_encoder_decoders) or site.source.once(_prepares_a_pad_token))


def _prepares_a_pad_token(text: str) -> bool:
    return occurs(r"""\[["']pad_token["']\]\s*=""", text)


def _loads_encoder_decoders(text: str) -> bool:
    return (
        not occurs(_DECODERS, text)
        and re.search(r"Seq2Seq(?:LM\b|\b)|(?:T5|Bart|Pegasus|Marian)For", text) is not None
    )


def nothing_pads(site: Site) -> bool:
    """Whether the tokenizer is certainly not used for padding, or modules of the project set its pad token."""
    return bool(handled(site, _pads_nothing)) or _is_prepared(site)


#: Code that pads, or may pad, with a tokenizer argument.
_PADS = r"padding\s*=\s*(?!False)|\.pad\(|[Cc]ollat|pad_to_|batch_encode|\.pad_token(?:_id)?\b"
#: transformers' trainer pads with its tokenizer, and a pipeline pads its batches; a project's own trainer has
#: such code.
_BATCHES = (
    r"(?<![A-Za-z])(?:Seq2Seq)?Trainer\((?:[^()]|\([^()]{0,200}\)){0,3000}?\b(?:tokenizer|processing_class)\s*="
    r"|pipeline\([^)]{0,1000}batch_size"
)
_SETS_A_PAD_TOKEN = r"\.pad_token(?:_id)?\s*=(?!=)|add_special_tokens\([^)]*pad_token|\bpad_token\s*=(?!=)"
#: Code that tokenizes texts or chats.
_TOKENIZES = (
    r"tok(?:enizer)?\w*(?:\(|\.(?:encode|tokenize|apply_chat_template|decode|convert_tokens_to_ids)\()"
)


def _is_prepared(site: Site) -> bool:
    """Whether all tokenizers in the file, and in the modules that get them, work without padding, or get a pad token."""
    reach = reach_of(site)
    users = reach.users if reach is not None else ()
    if any(occurs(_SETS_A_PAD_TOKEN, text) for text in users):
        return True
    texts = (site.source.text, *(reach.texts if reach is not None else ()))
    return not any(map(_pads, texts)) and any(map(_tokenizes, (site.source.text, *users)))


def _pads(text: str) -> bool:
    return occurs(_PADS, text) or ("transformers" in text and occurs(_BATCHES, text))


def _tokenizes(text: str) -> bool:
    return occurs(_TOKENIZES, text)


def _pads_nothing(use: Use) -> bool:
    if use.how == "argument":
        # TRL's trainer sets the end-of-sequence token as the pad token if there is none.
        return use.name in LOOKERS | _NO_PADDING or use.name == "SFTTrainer"
    if use.how in ("attribute", "store"):
        return use.name in _PLAIN_OF_TOKENIZERS
    if use.how == "method" and use.name not in _PLAIN_TOKENIZING:
        return False
    padding = use.keyword("padding")
    none = padding is None or (isinstance(padding, ast.Constant) and padding.value is False)
    return none and use.keyword("pad_to_max_length") is None and not use.spreads
