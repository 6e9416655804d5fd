from __future__ import annotations

from telepathy_lint.facts.decoding import (
    SAMPLING,
    ignored_by,
    is_always,
    is_left_to_the_checkpoint,
    is_number,
    is_zero,
)
from telepathy_lint.findings.change import Change, Repair
from telepathy_lint.findings.violation import Safety
from telepathy_lint.rule import Meta, Report, Rule, line_name, origin, shown
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Argument, Site


class ContradictoryDecoding(Rule):
    """Decoding arguments that contradict each other: one of them is ignored, or the call raises.

    Greedy decoding (`do_sample=False`) ignores temperature, top_p, top_k, min_p and typical_p, with a warning a call; who
    reads the script believes otherwise. `temperature=0` is an error as soon as the model samples, by `do_sample=True` or by
    the checkpoint's own choice. A generation config written for sampling that carries a repetition penalty keeps it under
    `do_sample=False`, and the output is no longer the plain greedy one.

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

    Fix safety: taking out what greedy decoding ignores changes nothing where the model comes from a load in the file;
    elsewhere it may have a `generate` of its own, so the fix is unsafe. `temperature=0` is turned into `do_sample=False`,
    which is what it means; as the call raised or sampled by chance before, that fix is unsafe.
    """

    meta = Meta(
        code="TLP204",
        name="contradictory-decoding",
        message="contradictory decoding",
        since="0.1.0",
        kinds=("generate", "decoding", "pipeline"),
        fix="safe",
    )

    def check(self, site: Site, settings: Settings) -> Report | None:
        if site.kind == "pipeline" and not site.generative:
            return None
        do_sample, temperature = site.argument("do_sample"), site.argument("temperature")
        if is_always(do_sample, False):
            if ignored := ignored_by(site):
                names = ", ".join(f"{each.name}={shown(each.values[0])}" for each in ignored)
                via = origin(ignored[0].values[0], site)
                return self.at(site, ignored[0].node, f"do_sample=False ignores {names}{via}")
            return self._kept_penalty(site, do_sample)
        if temperature is None or not is_zero(temperature):
            return None
        if is_always(do_sample, True):
            return self.at(site, temperature.node, "temperature=0 raises with do_sample=True")
        if do_sample is None and is_left_to_the_checkpoint(site):
            detail = "temperature=0 raises where the checkpoint samples and is ignored elsewhere; say do_sample=False"
            return self.at(site, temperature.node, detail)
        return None

    def _kept_penalty(self, site: Site, do_sample: Argument | None) -> Report | None:
        config = site.config
        if config is None or do_sample is None or site.argument("repetition_penalty") is not None:
            return None
        penalty = config.argument("repetition_penalty")
        if penalty is None or is_always(config.argument("do_sample"), False) or not is_number(penalty, (1,)):
            return None
        line = line_name(config.source, config.call.lineno)
        detail = f"greedy, with the repetition_penalty={shown(penalty.values[0])} of the config on {line}"
        return self.at(site, do_sample.node, detail)

    def repair(self, site: Site, settings: Settings) -> Repair | None:
        do_sample = site.argument("do_sample")
        if is_always(do_sample, False):
            unused = ignored_by(site)
            # Another library's `generate`, or a model's own, may demand what transformers ignores.
            safety: Safety = "safe" if site.about or site.kind != "generate" else "unsafe"
            change = Change(removed=tuple(each.name for each in unused))
        else:
            unused = [each for name in SAMPLING if (each := site.argument(name)) is not None]
            safety = "unsafe"
            change = Change(removed=tuple(each.name for each in unused))
            greedy = (("do_sample", "False"),)
            change |= Change(replaced=greedy) if do_sample is not None else Change(added=greedy)
        written = [*unused, *([do_sample] if do_sample is not None and safety == "unsafe" else [])]
        if not unused or any(each.how != "keyword" for each in written):
            return None
        return Repair(safety, f"decode greedily without {', '.join(change.removed)}", change)
