from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from telepathy_lint import facts
from telepathy_lint.facts.decided import Decision, decision, samples_unasked, ships_sampling
from telepathy_lint.facts.in_tests import is_of_a_test
from telepathy_lint.facts.out_of_use import is_bare, is_for_trying_out
from telepathy_lint.findings.finding import Finding
from telepathy_lint.knowledge.shipped_decoding import shipped_decoding
from telepathy_lint.rule import Meta, Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Known, Site


class MissingGenerationConfig(Rule):
    """A text-generating model is loaded, and the file does not say how it decodes.

    The checkpoint's own `generation_config.json` then decides. Chat models ship sampling settings with a temperature and a
    repetition penalty; these differ from model to model, and the penalty stays in effect under `do_sample=False`. Each model
    is checked separately. A config that is passed to the load, assigned or changed later, or passed to `generate` counts,
    also through aliases, wrappers and attributes.

    Unless strict, the rule only reports a model with which its file generates without stating `do_sample`, and it names that place. In a
    project, the checkpoint must also be known to sample (Llama 2 and 3, Qwen2 and Qwen2.5, Gemma 3), by its id or the only one that the file
    names; models that think before they answer are meant to sample. In a script that is alone, with no project around it, greedy calls of
    models that are known to ship a repetition penalty, which is in effect without sampling too, are reported as well; if it generates
    nothing, it is reported if it shows no other purpose of the model.

    Unless strict, the rule leaves out:

    - encoder-decoders, checkpoints that are known to ship no sampling, and tests
    - files that state a temperature or `top_p` for a model, where the checkpoint samples: they ask for it
    - pipelines that a project's file builds and does not call
    - calls whose settings come from elsewhere, and calls of a method `generate` that the project defines itself
    - code in a branch for other models than the load's (`if "qwen3" in name`)
    - scripts that only print answers, or only measure time or memory and decode nothing

    In a project, unless strict, it also leaves out:

    - files that print answers, if neither they nor the modules connected with them collect, save or judge any
    - scripts that talk to somebody (`input(...)`), draw at random without a seed, or set the seed of torch
    - a single answer that a script only prints, or that a cell of a notebook generates to look at
    - functions that generate and that nothing calls
    - greedy calls, whose only setting of the checkpoint is a repetition penalty
    - scripts that the documents and commands do not name, where they name others

    Bad:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("gpt2")

    Good:

        from telepathy_runtime import load_model

        model = load_model("gpt2", dtype=None, device_map=None, attn_implementation=None)

    Fix safety: the model decodes greedily afterwards, with at most 256 new tokens if no length is set. The
    checkpoint's stop tokens are kept: the loader merges its config into the checkpoint's, and `save_pretrained`,
    `push_to_hub` and trainers still write the checkpoint's. There is no fix if the file passes `max_length` to `generate` or to the pipeline (a config's
    `max_new_tokens` would override it), passes sampling arguments without `do_sample` (greedy decoding would turn them
    off), or pickles the model.
    """

    meta = Meta(
        code="TLP105",
        name="missing-generation-config",
        message="no generation config is set",
        since="0.1.0",
        kinds=("model", "pipeline"),
        setting="generation_config",
        fix="unsafe",
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        if not site.generative or facts.generation_config(site) is not Known.NO:
            return
        if not site.lacks("generation_config"):
            return
        yield site.at_call(partial(_detail, site, settings))

    def matters(self, site: Site, settings: Settings) -> bool:
        if not (is_bare(site) or samples_unasked(site)):
            return False
        return not (is_of_a_test(site) or decision(site).settled or is_for_trying_out(site))

    def withheld(self, site: Site, settings: Settings) -> str | None:
        from telepathy_lint.facts import evidence

        despite = settings.unsafe_fixes_despite
        if "length" not in despite and facts.max_length_at_generate(site):
            return "max_length is passed when the model generates, and a config's max_new_tokens would override it"
        return evidence.withheld(site, evidence.OF_GENERATION, despite)


def _detail(site: Site, settings: Settings) -> str:
    # Strict findings are about the load, whatever generates.
    asked = not settings.strict and (is_bare(site) or ships_sampling(site))
    found = decision(site) if asked else Decision(False)
    if found.penalty is not None and found.where is not None:
        name = found.penalty.rpartition("/")[2]
        return f"{name} ships a repetition_penalty, which also changes the greedy decoding at {found.where}"
    without = f"{found.where} generates without do_sample" if found.where is not None else None
    shipped = shipped_decoding(site.model_id) if site.model_id is not None else None
    if shipped is None or site.model_id is None:
        general = "decoding depends on the checkpoint's own settings"
        return f"{general}: {without}" if without is not None else general
    name = site.model_id.rpartition("/")[2]
    return f"{name} ships {shipped}{f', and {without}, so two runs differ' if without is not None else ''}"
