"""Chooses a tokenizer's pad token and padding side, without resizing embeddings or masking tokens by accident."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Union

from telepathy_runtime.choose import traits
from telepathy_runtime.choose.choice import plain
from telepathy_runtime.publishing import publish

RESOLVE = "resolve"
# Pad tokens, or reserved tokens that a model never generates: they need no new embedding. In order of
# preference. The first is in Llama 3.1; the last two are unused slots of Llama 3.0 and of Mistral's third
# tokenizer.
RESERVED = (
    "<|finetune_right_pad_id|>",
    "<pad>",
    "[PAD]",
    "<|pad|>",
    "<|padding|>",
    "<|reserved_special_token_0|>",
    "[control_8]",
)
Source = Literal["shipped", "given", "added", "reserved", "eos", "none"]
Target = Union[str, "os.PathLike[str]", Callable[["TokenizerReport"], object], None]


@dataclass(frozen=True)
class TokenizerRequest:
    model_id: str
    padding_side: str | None
    pad_token: Any
    keywords: Mapping[str, Any]


@dataclass(frozen=True)
class TokenizerReport:
    """The pad token and padding side of a tokenizer. `pad_source` says where the token comes from."""

    model_id: str
    tokenizer_class: str
    pad_token: str | None
    pad_token_id: int | None
    pad_source: Source
    padding_side: str
    warnings: tuple[str, ...] = field(default=())

    def to_json(self) -> str:
        """The report as one line of JSON."""
        content = {name: plain(value) for name, value in asdict(self).items()}
        return json.dumps({"event": "tokenizer_load", **content}, sort_keys=True)

    def describe(self) -> str:
        """The report as one line for a log."""
        pad = (
            "no pad token" if self.pad_token is None else f"pads with {self.pad_token!r} ({self.pad_source})"
        )
        use = "as batched generation needs" if self.padding_side == "left" else "as training needs"
        return f"loaded {self.model_id} tokenizer {self.tokenizer_class}: {pad} on the {self.padding_side}, {use}"

    def publish(self, target: Target = None) -> None:
        """Log the report and pass it to `target`: a path (a JSON line is appended) or a callable."""
        publish(self, target)


def request(
    model_id: str | os.PathLike[str], padding_side: str | None, pad_token: Any, keywords: Mapping[str, Any]
) -> TokenizerRequest:
    """Build the request. Raises ValueError for an unknown padding side."""
    if padding_side not in (None, "left", "right", "generation", "training"):
        raise ValueError(
            f'padding_side={padding_side!r} must be None, "left", "right", "generation" or "training"'
        )
    side = padding_side
    if side == "training":
        side = "right"
    elif side == "generation":
        side = "right" if _encoder_decoder(model_id, keywords) else "left"
    passed = dict(keywords)
    if side is not None:
        passed["padding_side"] = side
    # A string is set after loading: from_pretrained would add an unknown token to the vocabulary without a
    # warning.
    if pad_token is not None and not isinstance(pad_token, str):
        passed["pad_token"] = pad_token
    return TokenizerRequest(os.fspath(model_id), side, pad_token, passed)


def _encoder_decoder(model_id: str | os.PathLike[str], keywords: Mapping[str, Any]) -> bool:
    try:
        content = traits.config_dict(model_id, keywords)
    except Exception:
        return False  # a tokenizer without a model config; from_pretrained reports missing files
    return bool(content and content.get("is_encoder_decoder"))


def finish(tokenizer: Any, asked: TokenizerRequest) -> TokenizerReport:
    """Set the requested pad token on the loaded `tokenizer` and return its report."""
    if asked.padding_side not in (None, getattr(tokenizer, "padding_side", asked.padding_side)):
        tokenizer.padding_side = asked.padding_side  # a processor that does not pass its keywords on
    source, warnings = _set_pad_token(tokenizer, asked.pad_token)
    return TokenizerReport(
        model_id=asked.model_id,
        tokenizer_class=type(tokenizer).__name__,
        pad_token=getattr(tokenizer, "pad_token", None),
        pad_token_id=getattr(tokenizer, "pad_token_id", None),
        pad_source=source,
        padding_side=getattr(tokenizer, "padding_side", "right"),
        warnings=warnings,
    )


def _set_pad_token(tokenizer: Any, asked: Any) -> tuple[Source, tuple[str, ...]]:
    if not hasattr(tokenizer, "pad_token"):
        return "none", ()  # an image processor or a feature extractor
    if asked is None:
        return ("shipped" if tokenizer.pad_token is not None else "none"), ()
    if asked != RESOLVE:
        return _given(tokenizer, asked)
    if tokenizer.pad_token is not None:
        return "shipped", ()
    taken = {tokenizer.eos_token, tokenizer.bos_token, tokenizer.unk_token}
    for token in RESERVED:
        if token not in taken and in_vocabulary(tokenizer, token):
            tokenizer.pad_token = token
            return "reserved", ()
    if tokenizer.eos_token is None:
        return "none", (
            "no pad token, no reserved token and no eos token: padding will raise; pass pad_token=",
        )
    tokenizer.pad_token = tokenizer.eos_token
    return "eos", (
        f"pads with its eos token {tokenizer.eos_token!r}, because there is no other: a collator that masks pad tokens "
        "(DataCollatorForLanguageModeling) also masks the real eos from the loss",
    )


def _given(tokenizer: Any, asked: Any) -> tuple[Source, tuple[str, ...]]:
    if not isinstance(asked, str) or in_vocabulary(tokenizer, asked):
        tokenizer.pad_token = asked
        return "given", ()
    tokenizer.add_special_tokens({"pad_token": asked})
    return "added", (
        f"pad token {asked!r} was not in the vocabulary and became id {tokenizer.pad_token_id}: "
        "call model.resize_token_embeddings(len(tokenizer)), or padding raises an index error",
    )


def in_vocabulary(tokenizer: Any, token: str) -> bool:
    """Whether `token` is one token of the vocabulary; get_vocab() would build a dict of all 128,000."""
    index = tokenizer.convert_tokens_to_ids(token)
    return isinstance(index, int) and bool(tokenizer.convert_ids_to_tokens(index) == token)
