from __future__ import annotations

from collections.abc import Iterator, Sequence

from telepathy_lint.facts.ineffective import Problem, into_model_kwargs, problems_of
from telepathy_lint.findings.change import Change, Repair
from telepathy_lint.findings.finding import Finding
from telepathy_lint.rule import Meta, Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site


class IneffectiveLoadArgument(Rule):
    """An argument is accepted and then ignored, or makes the load or the first call fail.

    A tokenizer takes a model's arguments without a word; `pipeline` keeps `attn_implementation` and `load_in_8bit` to
    itself, loads the model without them and raises when it generates (they belong into `model_kwargs`); `max_memory` means
    nothing without a `device_map`; `"bf16"`, `"torch.bfloat16"` and `"flash_attn"` are no names of dtypes and attention
    implementations; `output_attentions=True` selects eager attention, and raises next to another; FlashAttention cannot
    compute in float32. A pipeline that is given a loaded model does not look at `dtype`, `device_map` and `model_kwargs`; one
    that loads raises where the dtype stands in `model_kwargs` too, or where `device` stands beside `device_map`.

    Bad:

        from transformers import pipeline

        ask = pipeline("text-generation", model="gpt2", attn_implementation="sdpa")

    Good:

        from transformers import pipeline

        ask = pipeline("text-generation", model="gpt2", model_kwargs={"attn_implementation": "sdpa"})

    Fix safety: what is taken out had no effect, and a dtype's name that raised is replaced by the one it stands for; such
    fixes are safe. What a pipeline gets through `model_kwargs` takes effect from then on (another attention, a quantized
    model), and an attention's name is taken to mean the nearest one: these fixes are unsafe.
    """

    meta = Meta(
        code="TLP108",
        name="ineffective-load-argument",
        message="misleading argument",
        since="0.1.0",
        kinds=("model", "tokenizer", "pipeline", "object_pipeline"),
        fix="unsafe",
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        problems = problems_of(site)
        for each in problems:
            detail = f"{each.argument.name} {each.detail}"
            yield site.at(each.argument, detail, fix=self.repair(site, each, problems))

    def repair(self, site: Site, problem: Problem, problems: Sequence[Problem]) -> Repair | None:
        if problem.argument.how != "keyword":
            return None
        change = problem.change
        if problem.moved:
            # `model_kwargs` is one argument: what moves into it moves together.
            into = into_model_kwargs(
                site, {each.argument.name: each.moved for each in problems if each.moved}
            )
            change = into | (change or Change()) if into is not None else None
        if change is None:
            return None
        return Repair(problem.safety, f"correct {problem.argument.name}", change)
