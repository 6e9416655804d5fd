from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint import facts
from telepathy_lint.facts.out_of_use import is_bare
from telepathy_lint.findings.finding import Finding
from telepathy_lint.rule import Meta, Rule, line_name
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site


class EosPaddedTraining(Rule):
    """A language model is trained with its end-of-sequence token as padding, so it never learns to stop.

    `DataCollatorForLanguageModeling` masks every pad token in the loss. If the pad token is the end-of-sequence
    token, this includes the real end of every text: the model never learns to predict it, and later generates up to the
    maximum length. Collators that pad labels themselves (`DataCollatorForSeq2Seq`, TRL's own) are not affected. The rule
    reports a collator only if its tokenizer is certainly affected: the pad token is set to `eos_token` unconditionally, or
    for a model that is known to have no pad token, and `mlm` is False.

    Unless strict, texts must be seen to end with the token: by its name, or as it is written for a model that the file names. Code that drops it from the ids, as with `if token < tokenizer.vocab_size`, is left out, and
    so are a file that cuts its texts to 64 tokens or fewer, and a project's script that neither saves nor uses what it trains.

    Bad:

        from transformers import AutoTokenizer, DataCollatorForLanguageModeling

        tokenizer = AutoTokenizer.from_pretrained("gpt2")
        tokenizer.pad_token = tokenizer.eos_token
        texts = [text + tokenizer.eos_token for text in ("Once", "Twice")]
        collator = DataCollatorForLanguageModeling(tokenizer, mlm=False)

    Good:

        from telepathy_runtime import load_tokenizer
        from transformers import DataCollatorForLanguageModeling

        tokenizer = load_tokenizer("meta-llama/Llama-3.2-1B")
        texts = [text + tokenizer.eos_token for text in ("Once", "Twice")]
        collator = DataCollatorForLanguageModeling(tokenizer, mlm=False)
    """

    meta = Meta(
        code="TLP202",
        name="eos-padded-training",
        message="the collator masks the real end-of-sequence tokens in the loss",
        since="0.1.0",
        kinds=("collator",),
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        mlm = site.argument("mlm")
        if mlm is None or site.opaque or (padded := facts.eos_padded(site)) is None:
            return
        if not all(value.kind == "const" and value.data is False for value in mlm.values):
            return
        yield site.at_call(f"pad_token is eos_token since {line_name(site.source, padded)}")

    def matters(self, site: Site, settings: Settings) -> bool:
        from telepathy_lint.facts import relevance

        if not site.source.once(relevance.has_real_ends) or site.source.once(relevance.cuts_ends):
            return False
        return is_bare(site) or site.source.once(relevance.keeps_what_it_trains)
