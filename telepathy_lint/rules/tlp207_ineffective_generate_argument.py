from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint.facts.generate_arguments import Problem, problems_of
from telepathy_lint.findings.change import Repair
from telepathy_lint.findings.finding import Finding
from telepathy_lint.rule import Meta, Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site


class IneffectiveGenerateArgument(Rule):
    """An argument of `generate` does nothing, or makes the call raise.

    `max_tokens`, `stop`, `n` and other names of servers' APIs are no arguments of `generate`, which raises. Greedy decoding
    gives one sequence, so `num_return_sequences=3` raises with it. `max_length` does nothing beside `max_new_tokens`.
    `early_stopping` and `length_penalty` are read by beam search only. `output_scores=True` and its like are computed and
    dropped without `return_dict_in_generate=True`. Reported where the model surely comes from a load in the file.

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

    Fix safety: taking out what nothing looks at is safe. A name that `generate` does not have becomes the one that is
    meant; the call raised before, so that fix is unsafe.
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
            yield site.at(problem.argument, problem.detail, fix=self.repair(problem))

    def repair(self, problem: Problem) -> Repair | None:
        if problem.argument.how != "keyword" or problem.change is None:
            return None
        return Repair(problem.safety, f"correct {problem.argument.name}", problem.change)
