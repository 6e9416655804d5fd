from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint.facts.decoding import decides_nothing, writes_from_an_encoder
from telepathy_lint.findings.finding import Finding
from telepathy_lint.knowledge.shipped_decoding import ships_greedy
from telepathy_lint.rule import Meta, Rule, literal
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site

_LENGTHS = ("max_new_tokens", "max_length")


class ImplicitDecoding(Rule):
    """`generate` is called without decoding settings, so the checkpoint decides.

    Chat models enable sampling in their `generation_config.json`, and base models do not. The same line gives different text
    on every run with one model, and the same text with another. Without a length, it stops after 20 new tokens
    (transformers 4.46: 20 including the prompt). The rule reports a call if the model certainly comes from a load in this
    file, nothing sets its generation config, and the call lacks `do_sample` or a length (or both).

    Unless strict, the rule only reports scripts that are alone, with no project around them: elsewhere, TLP105 reports the load of a model that is known to
    sample. There, a missing `do_sample` is left out for encoder-decoders and other checkpoints that ship no sampling.

    Bad:

        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("Qwen/Qwen3-8B")
        model = AutoModelForCausalLM.from_pretrained("Qwen/Qwen3-8B")
        inputs = tokenizer("Once", return_tensors="pt")
        print(tokenizer.decode(model.generate(**inputs, max_new_tokens=40)[0]))

    Good:

        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("Qwen/Qwen3-8B")
        model = AutoModelForCausalLM.from_pretrained("Qwen/Qwen3-8B")
        inputs = tokenizer("Once", return_tensors="pt")
        print(tokenizer.decode(model.generate(**inputs, do_sample=False, max_new_tokens=40)[0]))
    """

    meta = Meta(
        code="TLP203",
        name="implicit-decoding",
        message="decoding depends on the checkpoint",
        since="0.1.0",
        kinds=("generate",),
        only_bare=("generate",),  # in a project, the load is reported if its checkpoint is known to sample
        covered_by="TLP105",
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        if not site.about or site.opaque or site.argument("generation_config") is not None:
            return
        if not all(decides_nothing(load) for load in site.about):
            return
        top_k = site.argument("top_k")
        # With penalty_alpha, it is contrastive search; with a single candidate, sampling is greedy.
        one_candidate = top_k is not None and literal(top_k) == 1
        decided = one_candidate or site.argument("do_sample", "penalty_alpha") is not None
        missing = [] if decided else ["do_sample"]
        if site.argument(*_LENGTHS) is None:
            missing.append("max_new_tokens")
        if missing:
            yield site.at_call(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set")

    def matters(self, site: Site, settings: Settings) -> bool:
        return site.argument(*_LENGTHS) is None or not all(map(_ships_no_sampling, site.about))


def _ships_no_sampling(load: Site) -> bool:
    return writes_from_an_encoder(load) or (load.model_id is not None and ships_greedy(load.model_id))
