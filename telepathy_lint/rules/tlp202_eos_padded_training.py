from __future__ import annotations

from telepathy_lint.facts import relevance
from telepathy_lint.rule import Meta, Report, Rule, line_name
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site


class EosPaddedTraining(Rule):
    """A language model is trained with its end-of-sequence token as padding, so it never learns to stop.

    `DataCollatorForLanguageModeling` takes every pad token out of the loss. Where the pad token is the end-of-sequence
    token, that includes the real end of every text: the model is never asked to predict it, and generates up to the cap
    afterwards. Collators that pad labels themselves (`DataCollatorForSeq2Seq`, TRL's own) are not affected. Reported where
    the tokenizer is surely this one: the pad token is set to `eos_token` unconditionally, or for a model known to ship
    none, and `mlm` is False.

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
        message="the collator takes the real end-of-sequence tokens out of the loss",
        since="0.1.0",
        kinds=("collator",),
    )

    def check(self, site: Site, settings: Settings) -> Report | None:
        mlm = site.argument("mlm")
        if mlm is None or site.opaque or site.eos_padded is None:
            return None
        if not all(value.kind == "const" and value.data is False for value in mlm.values):
            return None
        return self.at_call(site, f"pad_token is eos_token since {line_name(site.source, site.eos_padded)}")

    def matters(self, site: Site, settings: Settings) -> bool:
        return site.source.once(relevance.has_real_ends)
