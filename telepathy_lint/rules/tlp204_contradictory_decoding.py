from __future__ import annotations

from collections.abc import Iterator, Sequence

from telepathy_lint.facts.decided import ships_sampling
from telepathy_lint.facts.decoding import (
    SAMPLING,
    ignored_by,
    is_always,
    is_left_to_the_checkpoint,
    is_number,
    is_zero,
    says_greedy,
)
from telepathy_lint.facts.decoding_reach import has_effect_in_sight
from telepathy_lint.facts.out_of_use import is_bare
from telepathy_lint.findings.change import Change, Repair
from telepathy_lint.findings.finding import Finding
from telepathy_lint.findings.violation import Safety
from telepathy_lint.rule import Meta, Rule, line_name, origin, shown
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Argument, Site


class ContradictoryDecoding(Rule):
    """Decoding arguments contradict each other: one of them is ignored, or the call raises an error.

    Greedy decoding (`do_sample=False`) ignores temperature, top_p, top_k, min_p and typical_p, with a warning per call, so
    the script is misleading. `temperature=0` is an error if the model samples, because of `do_sample=True` or because of
    the checkpoint's settings. If a generation config for sampling sets a repetition penalty, the penalty also applies under
    `do_sample=False`, and the output is no longer plain greedy decoding.

    Unless strict, an ignored value that asks for greedy decoding too (`temperature=0.0`, `top_k=1`) is left out, and so is
    what is left over beside contrastive search (`penalty_alpha`), in a project what a call with `do_sample=False` ignores, and in a project `temperature=0` without `do_sample` for a checkpoint that is not known to sample.

    Bad:

        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("gpt2")
        model = AutoModelForCausalLM.from_pretrained("gpt2")
        inputs = tokenizer("Once", return_tensors="pt")
        model.generate(**inputs, do_sample=False, temperature=0.7, max_new_tokens=40)

    Good:

        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("gpt2")
        model = AutoModelForCausalLM.from_pretrained("gpt2")
        inputs = tokenizer("Once", return_tensors="pt")
        model.generate(**inputs, do_sample=False, max_new_tokens=40)

    Fix safety: if the model comes from a load in the file, removing arguments that greedy decoding ignores changes nothing.
    Otherwise the model may have its own `generate`, so the fix is unsafe, and so it is if the file replaces `generate`. In a
    `GenerationConfig` or a pipeline the fix is safe if all that happens to it is in sight: it is only passed to `generate`, or only
    called, without another `do_sample`. `temperature=0` is replaced with
    `do_sample=False`, which is what it means. This fix is unsafe, because the call raised an error or sampled before.
    """

    meta = Meta(
        code="TLP204",
        name="contradictory-decoding",
        message="contradictory decoding",
        since="0.1.0",
        kinds=("generate", "decoding", "pipeline"),
        fix="safe",
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        if site.kind == "pipeline" and not site.generative:
            return
        do_sample, temperature = site.argument("do_sample"), site.argument("temperature")
        if is_always(do_sample, False):
            ignored = ignored_by(site)
            for each in ignored:
                value = each.values[0]
                detail = f"do_sample=False ignores {each.name}={shown(value)}{origin(value, site)}"
                yield site.at(each, detail, fix=self.repair(site, [each]))
            if not ignored:
                yield from self._kept_penalty(site, do_sample)
        elif temperature is not None and is_zero(temperature):
            if is_always(do_sample, True):
                detail = "temperature=0 is an error with do_sample=True"
            elif do_sample is None and is_left_to_the_checkpoint(site):
                detail = "temperature=0 is an error if the checkpoint samples and is ignored otherwise; use do_sample=False"
            else:
                return
            yield site.at(temperature, detail, fix=self._made_greedy(site, do_sample))

    def matters(self, site: Site, settings: Settings) -> bool:
        if not is_always(site.argument("do_sample"), False):
            # In a project, a checkpoint that is not known to sample ignores `temperature=0`, and is greedy as meant.
            return (
                site.argument("do_sample") is not None
                or is_bare(site)
                or any(map(ships_sampling, site.about))
            )
        if site.argument("penalty_alpha") is not None:
            return False
        ignored = ignored_by(site)
        # A project's call is greedy, as it says; what it ignores besides changes nothing.
        return not ignored or (is_bare(site) and not all(map(says_greedy, ignored)))

    def _kept_penalty(self, site: Site, do_sample: Argument | None) -> Iterator[Finding]:
        config = site.config
        if config is None or do_sample is None or site.argument("repetition_penalty") is not None:
            return
        penalty = config.argument("repetition_penalty")
        if penalty is None or is_always(config.argument("do_sample"), False) or not is_number(penalty, (1,)):
            return
        line = line_name(config.source, config.call.lineno)
        detail = (
            f"do_sample=False keeps repetition_penalty={shown(penalty.values[0])} of the config on {line}"
        )
        yield site.at(do_sample, detail)

    def repair(self, site: Site, unused: Sequence[Argument]) -> Repair | None:
        """Remove arguments that greedy decoding ignores."""
        if not unused or any(each.how != "keyword" for each in unused):
            return None
        # Another library's `generate`, or a model's own, may need arguments that transformers ignores.
        safety: Safety = "safe" if has_effect_in_sight(site, "do_sample") else "unsafe"
        names = tuple(each.name for each in unused)
        return Repair(safety, f"decode greedily without {', '.join(names)}", Change(removed=names))

    def _made_greedy(self, site: Site, do_sample: Argument | None) -> Repair | None:
        """Set do_sample=False, and remove arguments that only affect sampling."""
        if do_sample is not None and do_sample.how != "keyword":
            return None
        without = self.repair(site, [each for name in SAMPLING if (each := site.argument(name)) is not None])
        if without is None:
            return None
        greedy = (("do_sample", "False"),)
        said = Change(replaced=greedy) if do_sample is not None else Change(added=greedy)
        return without._replace(safety="unsafe", change=without.change | said)
