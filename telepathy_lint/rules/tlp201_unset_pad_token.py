from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint import facts
from telepathy_lint.facts.in_tests import is_of_a_test
from telepathy_lint.findings.finding import Finding
from telepathy_lint.knowledge import transformers_names as catalog
from telepathy_lint.rule import Meta, Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Known, Site


class UnsetPadToken(Rule):
    """A tokenizer for a text-generating model is loaded, and its pad token is never set.

    Llama, Mistral and GPT-2 have no pad token, so `padding=True` raises an error, and every script works around it
    differently. Each tokenizer is checked separately, in files that load a generative model. `generate(pad_token_id=...)`
    and `model.config.pad_token_id` do not set the tokenizer's pad token. Families that are known to have a pad token
    (Qwen2.5, Gemma, T5, ...) are not reported if the id is written in the file.

    Unless strict, the rule only reports scripts that are alone, with no project around them, and only if something pads, or may pad, or if
    nothing shows the use of the tokenizer. It leaves out tests, files that raise an error if there is no pad token, tokenizers of a
    checkpoint that was saved by a script, as its name tells (`args.output_dir`, `"./checkpoint-500"`), encoders, and
    more families that ship one (DeepSeek, Yi, Zephyr, Granite, ...), also if the id comes from elsewhere and all ids that the file
    names are of such families.

    Bad:

        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("gpt2")
        model = AutoModelForCausalLM.from_pretrained("gpt2")

    Good:

        from transformers import AutoModelForCausalLM
        from telepathy_runtime import load_tokenizer

        tokenizer = load_tokenizer("gpt2")
        model = AutoModelForCausalLM.from_pretrained("gpt2")

    Fix safety: padded batches that raised an error work afterwards. Code that checks for a pad token finds one, and a
    collator that masks pad tokens also masks the chosen token. For that reason, a reserved token of the vocabulary is
    preferred over the end-of-sequence token.
    """

    meta = Meta(
        code="TLP201",
        name="unset-pad-token",
        message="the tokenizer's pad token is never set",
        since="0.1.0",
        kinds=("tokenizer",),
        only_bare=("tokenizer",),
        setting="pad_token",
        fix="unsafe",
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        if (
            not facts.beside_generative(site)
            or facts.pad_token(site) is not Known.NO
            or not site.lacks("pad_token")
        ):
            return
        if site.model_id is not None and catalog.ships_pad_token(site.model_id):
            return
        if all(catalog.class_ships_pad_token(catalog.last(name)) for name in site.classes):
            return
        yield site.at_call()

    def matters(self, site: Site, settings: Settings) -> bool:
        from telepathy_lint.facts import tokenizers

        return not (
            is_of_a_test(site)
            or tokenizers.pads_by_itself(site)
            or tokenizers.is_saved_by_a_script(site)
            or tokenizers.nothing_pads(site)
        )

    def withheld(self, site: Site, settings: Settings) -> str | None:
        from telepathy_lint.facts import evidence

        return evidence.withheld(site, evidence.OF_PAD_TOKEN, settings.unsafe_fixes_despite)
