from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint.facts.generate_arguments import Problem, problems_of, says_the_same
from telepathy_lint.findings.change import Repair
from telepathy_lint.findings.finding import Finding
from telepathy_lint.knowledge.generate_arguments import MIN_LENGTH_YIELDS
from telepathy_lint.rule import Meta, Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site


class IneffectiveGenerateArgument(Rule):
    """An argument of `generate` has no effect, or makes the call raise an error.

    `max_tokens`, `stop`, `n` and other argument names of inference servers are errors in `generate`. Greedy
    decoding returns one sequence, so `num_return_sequences=3` is an error. `max_length` has no effect next to
    `max_new_tokens`. `early_stopping` and `length_penalty` only affect beam search. The outputs of
    `output_scores=True` and similar arguments are dropped without `return_dict_in_generate=True`. The rule
    reports a call if the model certainly comes from a load in the file.

    Unless strict, the rule leaves out a length that is the same as the one that takes effect, or that the project's code takes out of such dicts (`pop("max_length")`), and `early_stopping` where there
    is one beam.

    Bad:

        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("gpt2")
        model = AutoModelForCausalLM.from_pretrained("gpt2")
        inputs = tokenizer("Once", return_tensors="pt")
        model.generate(**inputs, do_sample=False, max_length=512, max_new_tokens=40)

    Good:

        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("gpt2")
        model = AutoModelForCausalLM.from_pretrained("gpt2")
        inputs = tokenizer("Once", return_tensors="pt")
        model.generate(**inputs, do_sample=False, max_new_tokens=40)

    Fix safety: removing an argument without effect is safe; in a `GenerationConfig`, only if all that happens to it is that calls of
    `generate` get it, without a length of their own. Below 4.40, `min_length` holds beside `min_new_tokens`. Replacing an unknown name by the correct one is
    unsafe, because the call raised an error before.
    """

    meta = Meta(
        code="TLP207",
        name="ineffective-generate-argument",
        message="misleading argument",
        since="0.1.0",
        kinds=("generate", "decoding"),
        fix="safe",
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        for problem in problems_of(site):
            yield site.at(problem.argument, problem.detail, fix=self.repair(problem, settings))

    def matters(self, site: Site, settings: Settings) -> bool:
        return not all(says_the_same(site, each) for each in problems_of(site))

    def repair(self, problem: Problem, settings: Settings) -> Repair | None:
        if problem.argument.how != "keyword" or problem.change is None:
            return None
        name, lowest = problem.argument.name, settings.target_version
        both = name == "min_length" and lowest is not None and lowest < MIN_LENGTH_YIELDS
        return Repair("unsafe" if both else problem.safety, f"correct {name}", problem.change)
