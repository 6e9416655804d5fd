from __future__ import annotations

import re
from collections.abc import Iterator

from telepathy_lint.findings.finding import Finding
from telepathy_lint.rule import Meta, Rule, line_name
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site

_REPLACED = r"[)\s]*(?:#[^\r\n]*)?[\r\n]+[ \t]*[\w.]*tok\w*\.pad_token\s*=\s*[\w.]*\.eos_token\b"
_NEAR = 300
_LOOKS_FOR = r"\.(?:index|remove)\(\s*[\"']"


class UnresizedEmbeddings(Rule):
    """A token is added to a tokenizer, but the model's embeddings are not resized.

    The model has no embedding for the id of the new token. The first batch with the token raises
    `IndexError`, or fails on the GPU with "device-side assert triggered", without naming the token. A pad
    token is in each padded batch. The rule reports a token if it is certainly new, and the model has exactly
    one embedding per token of its tokenizer; other models have spare ones. It leaves out tokens that are added
    under a condition about another token (`if tokenizer.eos_token is None`), and, unless strict, a pad token that the next line replaces
    and a token that the file only looks for, to put other words in its place.

    Bad:

        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("gpt2")
        tokenizer.add_special_tokens({"pad_token": "[PAD]"})
        model = AutoModelForCausalLM.from_pretrained("gpt2")

    Good:

        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("gpt2")
        tokenizer.add_special_tokens({"pad_token": "[PAD]"})
        model = AutoModelForCausalLM.from_pretrained("gpt2")
        model.resize_token_embeddings(len(tokenizer))
    """

    meta = Meta(
        code="TLP208",
        name="unresized-embeddings",
        message="a token is added for which the model has no embedding",
        since="0.1.0",
        kinds=("added_token",),
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        token = site.argument("token")
        assert token is not None
        load = site.about[0]
        line = line_name(load.source, load.call.lineno)
        name = f"{token.values[0].data}"
        yield site.at(token, f"{name}; call resize_token_embeddings(len(tokenizer)) on the model of {line}")

    def matters(self, site: Site, settings: Settings) -> bool:
        # Another pad token takes the place of the new one at once.
        behind = site.source.text[site.end : site.end + _NEAR]
        if re.match(_REPLACED, behind) is not None:
            return False
        token = site.argument("token")
        assert token is not None
        return not any(_is_taken_out(str(value.data), site.source.text) for value in token.values)


def _is_taken_out(token: str, text: str) -> bool:
    """Whether the code looks for a token in a list of words, and writes it nowhere else: it puts other words in its place."""
    found = len(re.findall(rf"{_LOOKS_FOR}{re.escape(token)}[\"']", text))
    return 0 < found == text.count(token) - 1
