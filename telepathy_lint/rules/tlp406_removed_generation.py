from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from telepathy_lint.facts.none_values import is_never_none, may_be_none
from telepathy_lint.facts.versions_told_apart import depends_on_release
from telepathy_lint.findings.change import Change, Repair
from telepathy_lint.findings.finding import Finding
from telepathy_lint.knowledge.migration import GENERATE_ARGUMENTS, REMOTE_DECODING
from telepathy_lint.knowledge.model_attributes import UNSET_BY_DEFAULT
from telepathy_lint.rule import Meta, Rule, literal
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site


class RemovedGeneration(Rule):
    """`generate` is asked for a way to decode that transformers 5 no longer has.

    Group beam search, constrained beam search and DoLa moved to the Hub: with `num_beam_groups`, `constraints`, `force_words_ids`
    or `dola_layers` a call raises a ValueError unless it also says `trust_remote_code=True`, which downloads and runs code.
    `return_legacy_cache` and `use_model_defaults` raise a ValueError. So do `generate` and `save_pretrained` if a setting such as `max_length`
    or `num_beams` was written to `model.config`: they belong into `model.generation_config`.

    The rule is on by default where the project's requirements allow transformers 5. Unless strict, it leaves out a setting in `model.config`
    whose value may be None, which raises nothing: the code checks it, or it is a token id that is None unless somebody asks for it.
    Unless strict, what is in a file of older libraries is left out, as by TLP107.

    Bad:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("gpt2")
        model.config.max_length = 64
        print(model.generate(num_beams=4))

    Good:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("gpt2")
        model.generation_config.max_length = 64
        print(model.generate(num_beams=4))

    Fix safety: where the project allows transformers 4, the fix of a setting in `model.config` is unsafe. One setting in the generation
    config makes 4 look there for all of them. It is unsafe as well if the file does not show that the model generates: other models have
    no generation config; or if it reads the setting from the config.
    """

    meta = Meta(
        code="TLP406",
        name="removed-generation",
        message="removed from generate",
        since="0.1.0",
        kinds=("generate", "config_write"),
        fix="unsafe",
        five=("admits", "needs"),
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        if depends_on_release(site):
            return
        if isinstance(site.node, ast.Attribute):
            detail = f"{site.node.attr} in a model's config raises a ValueError in generate and save_pretrained of transformers 5"
            advice = "set it in generation_config"
            yield site.at(site.node, f"{detail}: {advice}", fix=self.repair(site, site.node, settings))
            return
        if not site.about:
            return
        for name, mode in REMOTE_DECODING.items():
            argument = site.argument(name)
            if (
                argument is None
                or argument.optional
                or site.argument("trust_remote_code", "custom_generate") is not None
            ):
                continue
            if literal(argument) in (None, 1, False):
                continue  # that turns it off
            if name == "penalty_alpha" and not _is_contrastive(site):
                continue
            detail = f"{name} asks for {mode}, which raises a ValueError in transformers 5 without trust_remote_code=True"
            yield site.at(argument, f"{detail}: the code is loaded from the Hub")
        for name in GENERATE_ARGUMENTS:
            argument = site.argument(name)
            if argument is not None and not argument.optional:
                yield site.at(argument, f"{name} raises a ValueError in transformers 5: leave it out")

    def matters(self, site: Site, settings: Settings) -> bool:
        if not isinstance(site.node, ast.Attribute):
            return True
        written = site.context.scope.tree.parent.get(site.node)
        assert isinstance(written, ast.Assign)
        if site.node.attr in UNSET_BY_DEFAULT:
            return is_never_none(site, written.value) and not may_be_none(site, written.value)
        return not may_be_none(site, written.value)

    def repair(self, site: Site, node: ast.Attribute, settings: Settings) -> Repair | None:
        """The setting in the model's generation config, for all settings of the file alike."""
        config = node.value
        assert isinstance(config, ast.Attribute)
        end = site.source.end_of(config)
        start = end - len("config")
        if site.source.text[start:end] != "config":
            return None
        generates = _generates(site, config.value)
        if generates is False:
            return None  # it has no generation config
        # In 4, one setting of a generation config makes generate look there for all of them.
        safe = generates and settings.target_version is not None and settings.target_version >= (5, 0)
        # What reads the setting from the config would find none.
        safe = safe and re.search(_READ.format(node.attr), site.source.text) is None
        change = Change(texts=((start, end, "generation_config"),))
        return Repair("safe" if safe else "unsafe", "set it in generation_config", change)


#: A setting of `config`, other than a write to it.
_READ = r"(?<![\w])(?:config|cfg)\.{}\b(?!\s*=(?!=))"


def _generates(site: Site, model: ast.expr) -> bool | None:
    """Whether a model generates text; None where that cannot be told."""
    from telepathy_lint.flow.bindings import dotted
    from telepathy_lint.sites.loads import loads_of

    found = loads_of(site.file, model, site.context, "model")
    if found:
        return all(load.generative for load in found)
    makers = site.file.objects.makers(model, site.context)
    called = [dotted(maker.func) or "" for maker in makers if isinstance(maker, ast.Call)]
    generating = (
        "EncoderDecoderModel",
        "ForCausalLM",
        "LMHeadModel",
        "ForConditionalGeneration",
        "Seq2SeqLM",
    )
    return True if called and all(any(name in each for name in generating) for each in called) else None


def _is_contrastive(site: Site) -> bool:
    """Whether `penalty_alpha` has an effect: with several candidates, and without sampling."""
    candidates, sampling = site.argument("top_k"), site.argument("do_sample")
    if candidates is None or literal(candidates) in (0, 1, None):
        return False
    return sampling is None or literal(sampling) is False
