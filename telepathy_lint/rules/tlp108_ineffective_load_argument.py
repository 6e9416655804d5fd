from __future__ import annotations

from telepathy_lint.facts.ineffective import into_model_kwargs, problems_of
from telepathy_lint.findings.change import Change, Repair
from telepathy_lint.rule import Meta, Report, Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site


class IneffectiveLoadArgument(Rule):
    """An argument is accepted and then ignored, or makes the load or the first call fail.

    A tokenizer takes a model's arguments without a word; `pipeline` keeps `attn_implementation` and `load_in_8bit` to
    itself, loads the model without them and raises when it generates (they belong into `model_kwargs`); `max_memory` means
    nothing without a `device_map`; `"bf16"`, `"torch.bfloat16"` and `"flash_attn"` are no names of dtypes and attention
    implementations; `output_attentions=True` selects eager attention, and raises next to another; FlashAttention cannot
    compute in float32.

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
        kinds=("model", "tokenizer", "pipeline"),
        fix="unsafe",
    )

    def check(self, site: Site, settings: Settings) -> Report | None:
        problems = problems_of(site)
        if not problems:
            return None
        first = problems[0]
        others = [problem.argument.name for problem in problems[1:]]
        also = f"; also {', '.join(others)}" if others else ""
        return self.at(site, first.argument.node, f"{first.argument.name} {first.detail}{also}")

    def repair(self, site: Site, settings: Settings) -> Repair | None:
        change = Change()
        fixed = [
            problem
            for problem in problems_of(site)
            if problem.argument.how == "keyword" and (problem.change is not None or problem.moved)
        ]
        if not fixed:
            return None
        for problem in fixed:
            change |= problem.change or Change()
        moved = {problem.argument.name: problem.moved for problem in fixed if problem.moved}
        if moved:
            into = into_model_kwargs(site, moved)
            if into is None:
                return None
            change |= into
        unsafe = any(problem.safety == "unsafe" for problem in fixed)
        names = ", ".join(problem.argument.name for problem in fixed)
        return Repair("unsafe" if unsafe else "safe", f"correct {names}", change)
