"""Decides whether a tokenizer is used for padding, in the file and in the modules that get the tokenizer."""

from __future__ import annotations

import ast
import re

from telepathy_lint.facts import named_models
from telepathy_lint.facts.another_load import is_of_another_load
from telepathy_lint.facts.handled import LOOKERS, Use, handled
from telepathy_lint.flow.bindings import dotted
from telepathy_lint.knowledge import transformers_names as catalog
from telepathy_lint.knowledge.published import hub_id
from telepathy_lint.sites import Site
from telepathy_lint.sites.direct_loads import IDENTITY
from telepathy_lint.source.occurs import occurs, places

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

#: Names of variables for a checkpoint that a script has saved; `model_path` may as well be an id of the hub.
_OF_A_FOLDER = (
    r"(?i)(?:^|_)(?:dir|directory|folder|ckpt|checkpoint|adapter|output|saved|finetuned|lora)(?:_|$)"
)
_PATH = r"\.{0,2}/|~/|[A-Za-z]:\\"


def pads_by_itself(site: Site) -> bool:
    """Whether the tokenizer ships a pad token, by its id or the only ids of the file, is an encoder's, or is handled in the file."""
    model_id = named_models.written_id(site)
    if model_id is not None:
        model_id = hub_id(model_id)
        if re.search(_ENCODERS, model_id) is not None or catalog.surely_ships_pad_token(model_id):
            return True
    elif named_models.are_all(site, catalog.surely_ships_pad_token):
        return True
    return bool(site.source.once(_loads_encoder_decoders) or site.source.once(_prepares_a_pad_token))


def is_saved_by_a_script(site: Site) -> bool:
    """Whether the tokenizer lies in a folder that a script has written, with the pad token that it had set."""
    identity = site.argument(IDENTITY)
    if identity is None:
        return False
    paths = [str(value.data) for value in identity.values if value.kind == "const"]
    if paths or site.model_id is not None:
        return bool(paths) and all(re.match(_PATH, each) for each in paths)
    node = identity.node.value if isinstance(identity.node, ast.keyword) else identity.node
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return re.search(_OF_A_FOLDER, name) is not None


def _prepares_a_pad_token(text: str) -> bool:
    return occurs(r"""\[["']pad_token["']\]\s*=""", text) or re.search(_REFUSES, text) is not None


#: Code that refuses a tokenizer without a pad token.
_REFUSES = r"if (?:not )?[\w.]*\.pad_token(?:_id)?(?: is None)?:\s*(?:#[^\r\n]*[\r\n]\s*)?raise\b|assert [\w.]*\.pad_token(?:_id)?(?: is not None)?\b"


def _loads_encoder_decoders(text: str) -> bool:
    return (
        not occurs(_DECODERS, text)
        and re.search(r"Seq2Seq(?:LM\b|\b)|(?:T5|Bart|Pegasus|Marian)For", text) is not None
    )


def nothing_pads(site: Site) -> bool:
    """Whether the tokenizer is certainly not used for padding, or modules of the project set its pad token."""
    return bool(handled(site, _pads_nothing, scoped=True)) or _is_prepared(site)


#: Calls that pad with a tokenizer, or may.
_PADDING_CALLS = r"padding\s*=\s*(?!False)|\.pad\(|DataCollator\w*\(|batch_encode"
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
_TOKENIZES = r"pipeline\([^)]*tokenizer|(?<!load_)tok(?:enizer)?\w*(?:\(|\.(?:encode|tokenize|apply_chat_template|decode|convert_tokens_to_ids)\()"


def _is_prepared(site: Site) -> bool:
    """Whether nothing pads in the file, nor in the modules that may get the tokenizer, or one of these sets a pad token."""
    modules = site.file.modules
    others = modules.connected(site.source.path) or () if modules is not None else ()
    if handled(site, _stays, scoped=True) is not None:
        others = ()  # no other module gets it
    if modules is not None and others:
        importers = modules.importers(site.source.path)
        if any(
            modules.told(path, _sets_a_pad_token)
            for path in (importers[1] if importers is not None else others)
        ):
            return True
        if any(modules.told(path, _pads) for path in others):
            return False
    if _is_padded_with(site):
        return False
    alone = modules is None or modules.is_alone(site.source.path)
    return not alone or bool(site.source.once(_tokenizes))


def _stays(use: Use) -> bool:
    return use.how != "argument" or use.name in LOOKERS | _NO_PADDING


def _sets_a_pad_token(text: str) -> bool:
    return occurs(_SETS_A_PAD_TOKEN, text)


def _is_padded_with(site: Site) -> bool:
    """Whether something in the file pads, unless all of it certainly does so with tokenizers from other loads."""
    if not site.source.once(_pads):
        return False
    offsets = list(places(_PADDING_CALLS, site.source.text))
    tree = site.context.scope.tree
    if not offsets or not site.source.once(_only_in_calls):
        return True
    calls = [node for node in tree.visit(tree.lines_of(offsets)) if isinstance(node, ast.Call)]
    for offset in offsets:
        around = [call for call in calls if site.source.start_of(call) <= offset < site.source.end_of(call)]
        call = min(
            around, key=lambda each: site.source.end_of(each) - site.source.start_of(each), default=None
        )
        given = _padding_tokenizer(call) if call is not None else None
        if given is None or not is_of_another_load(site, given):
            return True
    return False


def _padding_tokenizer(call: ast.Call) -> ast.expr | None:
    """The tokenizer with which a call pads: the called object, the owner of the method, or a collator's argument."""
    if "ollat" in (dotted(call.func) or ""):
        named = [each.value for each in call.keywords if each.arg == "tokenizer"]
        return next(iter([*named, *call.args]), None)
    if isinstance(call.func, ast.Attribute) and call.func.attr in _PLAIN_TOKENIZING | {"pad"}:
        return call.func.value
    return call.func


def _only_in_calls(text: str) -> bool:
    """Whether the file pads with nothing but calls of tokenizers and collators."""
    return not _pads(re.sub(_PADDING_CALLS, "", text))


#: Code that hands a pad token to `generate`, where it may as well be None for single texts, or sets it for another tokenizer.
_READS_ALONE = r"""pad_token_id["']?\s*[=:]\s*[\w.]*\.pad_token_id|\.pad_token(?:_id)?\s*=(?!=)|\bif [^\r\n]{0,60}\.pad_token(?:_id)?(?: is None)?:|\.pad_token(?:_id)?\s+(?:or|is not None)\b"""


def _pads(text: str) -> bool:
    text = re.sub(_READS_ALONE, "", text)
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
