from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint.facts import evidence, relevance
from telepathy_lint.findings.finding import Finding
from telepathy_lint.knowledge.shipped_decoding import shipped_decoding
from telepathy_lint.rule import Meta, Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Known, Site


class MissingGenerationConfig(Rule):
    """A model that generates text is loaded and nothing in the file says how it decodes.

    The checkpoint's own `generation_config.json` then decides: chat models ship sampling with a temperature and a
    repetition penalty, which differ from model to model and survive `do_sample=False`. Judged per model: a config passed
    to the load, assigned or changed later, or passed to `generate` on it counts, through aliases, wrappers and attributes.

    Bad:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("gpt2")

    Good:

        from telepathy_runtime import load_model

        model = load_model("gpt2", dtype=None, device_map=None, attn_implementation=None)

    Fix safety: the model decodes greedily afterwards, with at most 256 new tokens wherever no length is stated. The
    shipped stop tokens are kept: the loader merges into the shipped config, and `save_pretrained` still writes the
    shipped one. There is no fix where the file passes `max_length` to `generate` or to the pipeline (a config's
    `max_new_tokens` wins over it), passes sampling arguments without `do_sample` (greedy decoding would turn them
    off), or trains or saves models.
    """

    meta = Meta(
        code="TLP105",
        name="missing-generation-config",
        message="no generation config is given",
        since="0.1.0",
        kinds=("model", "pipeline"),
        setting="generation_config",
        fix="unsafe",
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        if not site.generative or site.generation_config is not Known.NO:
            return
        if not site.lacks("generation_config"):
            return
        shipped = shipped_decoding(site.model_id) if site.model_id is not None else None
        if shipped is not None and site.model_id is not None:
            yield site.at_call(f"{site.model_id.rpartition('/')[2]} ships {shipped}, so two runs differ")
        else:
            yield site.at_call("the checkpoint's own settings decide how it decodes")

    def matters(self, site: Site, settings: Settings) -> bool:
        return not (relevance.ships_what_fits(site) or relevance.decoding_is_settled(site))

    def withheld(self, site: Site, settings: Settings) -> str | None:
        despite = settings.unsafe_fixes_despite
        if site.max_length_at_generate and "length" not in despite:
            return (
                "max_length is passed where the model generates, and a config's max_new_tokens wins over it"
            )
        return evidence.withheld(site, evidence.OF_GENERATION, despite)
