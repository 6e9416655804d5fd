from __future__ import annotations

from collections.abc import Iterator, Sequence

from telepathy_lint.facts.ineffective import Problem, into_model_kwargs, is_harmless, problems_of
from telepathy_lint.findings.change import Change, Repair
from telepathy_lint.findings.finding import Finding
from telepathy_lint.rule import Meta, Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site


class IneffectiveLoadArgument(Rule):
    """An argument is accepted and then ignored, or makes the load or the first call fail.

    A tokenizer silently accepts the arguments of a model. `pipeline` does not pass `attn_implementation` and
    `load_in_8bit` to the model, and raises an error when it generates; they must be in `model_kwargs`. Nor does it
    send the token of `use_auth_token`: it must be `token`.
    `max_memory` has no effect without a `device_map`. `"bf16"`, `"torch.bfloat16"` and `"flash_attn"` are not
    valid names of dtypes and attention implementations. `output_attentions=True` selects eager attention, and
    is an error with another implementation. FlashAttention does not support float32. A pipeline that gets a
    loaded model ignores `dtype`, `device_map` and `model_kwargs`. A pipeline that loads a model raises an
    error if `model_kwargs` also has the dtype, or if both `device` and `device_map` are passed.

    Unless strict, the rule leaves out an argument that asks for what the model has already: a `device_map` for a pipeline whose model
    was placed by its own load or by `.to(...)`, the dtype that the model was loaded with, in a project what a load of the file states in the same words, any dtype for a model whose load states one,
    and a `device_map` for a small model, which the pipeline moves to the first GPU, an argument of a tokenizer that
    only says where weights lie or that a model of the file gets as well, and `output_attentions=True` alone.

    Unless strict, the rule leaves out a project's tokenizers, which ignore such arguments without harm, and tokens that are empty.

    Bad:

        from transformers import pipeline

        ask = pipeline("text-generation", model="gpt2", attn_implementation="sdpa")

    Good:

        from transformers import pipeline

        ask = pipeline("text-generation", model="gpt2", model_kwargs={"attn_implementation": "sdpa"})

    Fix safety: removing an argument without effect and correcting an invalid dtype name are safe. An argument
    that moves to `model_kwargs` takes effect (another attention, a quantized model), and an invalid attention
    name is replaced by the closest valid one; these fixes are unsafe.
    """

    meta = Meta(
        code="TLP108",
        name="ineffective-load-argument",
        message="misleading argument",
        since="0.1.0",
        kinds=("model", "tokenizer", "pipeline", "object_pipeline"),
        only_bare=("tokenizer",),
        fix="unsafe",
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        problems = problems_of(site)
        for each in problems:
            if not settings.strict and is_harmless(site, each):
                continue
            detail = f"{each.argument.name} {each.detail}"
            yield site.at(each.argument, detail, fix=self.repair(site, each, problems))

    def matters(self, site: Site, settings: Settings) -> bool:
        return not all(is_harmless(site, each) for each in problems_of(site))

    def repair(self, site: Site, problem: Problem, problems: Sequence[Problem]) -> Repair | None:
        if problem.argument.how != "keyword":
            return None
        change = problem.change
        if problem.moved:
            # `model_kwargs` is a single argument, so all arguments that move into it move together.
            into = into_model_kwargs(
                site, {each.argument.name: each.moved for each in problems if each.moved}
            )
            change = into | (change or Change()) if into is not None else None
        if change is None:
            return None
        return Repair(problem.safety, f"correct {problem.argument.name}", change)
