from __future__ import annotations

from telepathy_lint.facts.decoding import decides_nothing
from telepathy_lint.rule import Meta, Report, Rule, literal
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site

_LENGTHS = ("max_new_tokens", "max_length")


class ImplicitDecoding(Rule):
    """`generate` is called without saying how to decode, so the checkpoint decides.

    Chat models ship sampling in their `generation_config.json`, base models do not: the same line gives other text on every
    run with one model and the same text with another. Without a length it stops after 20 new tokens (transformers 4.46: 20
    with the prompt). Reported where the model surely comes from a load in this file, nothing gives it a generation config,
    and the call lacks `do_sample` or a length (or both).

    Bad:

        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("gpt2")
        model = AutoModelForCausalLM.from_pretrained("gpt2")
        inputs = tokenizer("Once", return_tensors="pt")
        print(tokenizer.decode(model.generate(**inputs, max_new_tokens=40)[0]))

    Good:

        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("gpt2")
        model = AutoModelForCausalLM.from_pretrained("gpt2")
        inputs = tokenizer("Once", return_tensors="pt")
        print(tokenizer.decode(model.generate(**inputs, do_sample=False, max_new_tokens=40)[0]))
    """

    meta = Meta(
        code="TLP203",
        name="implicit-decoding",
        message="the checkpoint decides how this decodes",
        since="0.1.0",
        kinds=("generate",),
        covered_by="TLP105",
    )

    def check(self, site: Site, settings: Settings) -> Report | None:
        if not site.about or site.opaque or site.argument("generation_config") is not None:
            return None
        if not all(decides_nothing(load) for load in site.about):
            return None
        top_k = site.argument("top_k")
        # With a penalty_alpha it is contrastive search; of one candidate, sampling takes the greedy one.
        one_candidate = top_k is not None and literal(top_k) == 1
        decided = one_candidate or site.argument("do_sample", "penalty_alpha") is not None
        missing = [] if decided else ["do_sample"]
        if site.argument(*_LENGTHS) is None:
            missing.append("max_new_tokens")
        return self.at_call(site, f"no {' and no '.join(missing)}") if missing else None
