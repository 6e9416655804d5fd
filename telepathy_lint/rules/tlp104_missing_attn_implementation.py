from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint import facts
from telepathy_lint.facts import attention
from telepathy_lint.findings.finding import Finding
from telepathy_lint.knowledge import sdpa
from telepathy_lint.rule import Meta, Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Known, Site


class MissingAttnImplementation(Rule):
    """A model is loaded without an attention implementation.

    transformers then silently uses SDPA if the class supports it, and eager attention otherwise. The choice differs
    between releases (Gemma2 accepted SDPA up to 5.20, but not in 5.23). FlashAttention is never chosen automatically.
    Which implementation can be used depends on the class, the dtype, the GPU and the installed packages; the loader checks
    all of them. transformers below 4.36 has no such argument: nothing is reported for a project that pins such a release.

    Unless strict, the rule leaves out models for which every release picks SDPA (Llama, Mistral, Qwen2 and similar models), projects
    whose requirements list transformers and do not mention FlashAttention, float32, the CPU, small encoders, and code that
    reads or replaces attention. Models without attention, such as Mamba, are never reported. It always reports models for which the choice differs between releases.

    Bad:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("gpt2")

    Good:

        from telepathy_runtime import load_model

        model = load_model("gpt2", dtype=None, device_map=None, generation_config=None)

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
        yield site.at_call(_chosen(site))

    def matters(self, site: Site, settings: Settings) -> bool:
        return not attention.is_settled(site, settings)


def _chosen(site: Site) -> str:
    """What transformers picks, by itself, for the class of the model."""
    if site.model_id is not None and sdpa.always(site.model_id, ()):
        return f"transformers picks sdpa for {site.model_id.rpartition('/')[2]}"
    return "transformers picks sdpa or eager, depending on the class and the release"
