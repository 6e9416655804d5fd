from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from telepathy_lint import facts
from telepathy_lint.facts import attention
from telepathy_lint.facts.attention_elsewhere import chosen_elsewhere
from telepathy_lint.facts.in_tests import is_of_a_test
from telepathy_lint.findings.finding import Finding
from telepathy_lint.knowledge import sdpa
from telepathy_lint.rule import Meta, Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Known, Site


class MissingAttnImplementation(Rule):
    """A model is loaded without an attention implementation.

    transformers then silently uses SDPA if the class supports it, and eager attention otherwise. The choice differs
    between releases: for Gemma 2, 4.48 to 5.20 pick SDPA, which leaves out the soft-capping of its attention, and 5.21 picks eager
    attention. FlashAttention is never chosen automatically.
    Which implementation can be used depends on the class, the dtype, the GPU and the installed packages; the loader checks
    all of them. transformers below 4.36 has no such argument: nothing is reported for a project that pins such a release.
    The old `use_flash_attention_2=True` does not count as a choice, because no release since 4.53 takes it (TLP107).

    Unless strict, the rule reports a load where another implementation changes results: a model that needs eager attention where
    the release that the project names picks SDPA (Gemma 2: 4.42 to 4.44, and 4.48 to 5.20; not in a file that samples, trains, or asks for questions), and a model for which another module, or another load of the file, sets an implementation of its own. Eager attention is chosen in order to
    read or change it, and computes the same as FlashAttention and SDPA.
    A script that is alone, with no project around it, is also reported if another of its loads asks for FlashAttention, or if it states neither a dtype
    nor a quantization. Of these, it leaves out small models, float32, the CPU, tests, a module's try of itself under `if __name__ == "__main__"`, and code that reads or
    replaces attention. Models without attention, such as Mamba, are never reported.

    Bad:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("mistralai/Mistral-7B-v0.3")

    Good:

        from telepathy_runtime import load_model

        model = load_model("mistralai/Mistral-7B-v0.3", dtype=None, device_map=None, generation_config=None)

    Fix safety: the resolver picks the fastest implementation that can be used, which may differ from the choice of
    transformers. Results then differ by rounding, 4D attention masks fail under FlashAttention, code that patches attention
    is bypassed, and only eager attention returns attention weights.
    """

    meta = Meta(
        code="TLP104",
        name="missing-attn-implementation",
        message="attn_implementation is not set",
        since="0.1.0",
        kinds=("model", "pipeline"),
        setting="attn_implementation",
        fix="unsafe",
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        if not site.lacks("attn_implementation", "_attn_implementation"):
            return
        if facts.config_attention(site) is not Known.NO:
            return
        if settings.target_version is not None and settings.target_version < (4, 36):
            return  # which has no such argument
        if sdpa.has_no_attention(site.model_id or "", site.loaded):
            return
        yield site.at_call(partial(_chosen, site, settings))

    def matters(self, site: Site, settings: Settings) -> bool:
        return not (is_of_a_test(site) or attention.is_settled(site, settings))

    def withheld(self, site: Site, settings: Settings) -> str | None:
        from telepathy_lint.facts import evidence

        return evidence.withheld(site, evidence.OF_ATTENTION, settings.unsafe_fixes_despite)


def _chosen(site: Site, settings: Settings) -> str:
    """What else in the project is chosen, or what transformers picks, by itself, for the class of the model."""
    elsewhere = chosen_elsewhere(site, settings) if not settings.strict else None
    if elsewhere is not None:
        return elsewhere
    name = (site.model_id or "").rpartition("/")[2]
    if sdpa.drops_soft_capping(site.model_id or "", site.loaded, settings.target_version):
        picking = sdpa.picking(settings.target_version, settings.newest)
        return f"transformers {picking} pick sdpa, which leaves out the soft-capping of {name or 'Gemma 2'}; eager applies it"
    if site.model_id is not None and sdpa.always(site.model_id, ()):
        return f"transformers picks sdpa for {name}"
    return "transformers picks sdpa or eager, depending on the class and the release"
