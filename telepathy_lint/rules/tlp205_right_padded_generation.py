from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint import facts
from telepathy_lint.findings.finding import Finding
from telepathy_lint.rule import Meta, Rule, line_name
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site

_DECODER_ONLY = ("ForCausalLM", "LMHeadModel")


class RightPaddedGeneration(Rule):
    """A batch that is padded on the right is passed to `generate` of a decoder-only model.

    The model continues the text after the padding. All texts in the batch except the longest get an unrelated
    continuation, and only a warning in the log reports it. Training needs padding on the right, generation on
    the left. The rule reports a call if it certainly gets several texts, and the tokenizer is set to pad on
    the right, or nothing sets the side for a family that pads on the right by default (GPT-2, Pythia, Llama
    3, Qwen2).

    Bad:

        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("gpt2", padding_side="right", pad_token="<|endoftext|>")
        model = AutoModelForCausalLM.from_pretrained("gpt2")
        batch = tokenizer(["Once", "Once upon a time"], padding=True, return_tensors="pt")
        model.generate(**batch, do_sample=False, max_new_tokens=40)

    Good:

        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("gpt2", padding_side="left", pad_token="<|endoftext|>")
        model = AutoModelForCausalLM.from_pretrained("gpt2")
        batch = tokenizer(["Once", "Once upon a time"], padding=True, return_tensors="pt")
        model.generate(**batch, do_sample=False, max_new_tokens=40)
    """

    meta = Meta(
        code="TLP205",
        name="right-padded-generation",
        message="the batch is padded on the right",
        since="0.1.0",
        kinds=("generate",),
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        padded = facts.right_padded(site)
        if padded is None or not site.about:
            return
        if not all(name.endswith(_DECODER_ONLY) for load in site.about for name in load.loaded):
            return
        line = line_name(site.source, getattr(padded.values[0].node, "lineno", site.call.lineno))
        default = "padding_side" not in site.source.text
        side = "that pads on the right by default" if default else "with padding_side='right'"
        yield site.at(padded, f"on {line}, by a tokenizer {side}")
