from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint.findings.finding import Finding
from telepathy_lint.rule import Meta, Rule, line_name
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site


class UnresizedEmbeddings(Rule):
    """A token is added to a tokenizer, and the model's embeddings are not resized.

    The new token's id lies behind the last row of the embeddings. The first batch that holds it raises `IndexError`, or
    stops the GPU with "device-side assert triggered", which says nothing of tokens. A pad token is in every padded batch.
    Reported where the token is surely new, for models that have exactly one row for each token of their tokenizer; others
    have rows to spare.

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
