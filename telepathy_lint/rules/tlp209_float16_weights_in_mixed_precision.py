from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint.facts.decoding import is_always
from telepathy_lint.findings.finding import Finding
from telepathy_lint.rule import Meta, Rule, line_name
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site


class Float16WeightsInMixedPrecision(Rule):
    """A model that is loaded in float16 is trained with `fp16=True`.

    float16 mixed precision keeps the weights in float32 and computes in float16. If the weights themselves
    are float16, the first step raises "Attempting to unscale FP16 gradients". Load the model in float32, or
    load it in bfloat16 and train with `bf16=True`. Adapters are not affected, because PEFT keeps them in
    float32.

    Bad:

        import torch
        from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

        model = AutoModelForCausalLM.from_pretrained("gpt2", torch_dtype=torch.float16)
        Trainer(model=model, args=TrainingArguments("out", fp16=True)).train()

    Good:

        import torch
        from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

        model = AutoModelForCausalLM.from_pretrained("gpt2", torch_dtype=torch.bfloat16)
        Trainer(model=model, args=TrainingArguments("out", bf16=True)).train()
    """

    meta = Meta(
        code="TLP209",
        name="float16-weights-in-mixed-precision",
        message="float16 mixed precision raises over float16 weights",
        since="0.1.0",
        kinds=("mixed_precision",),
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        argument = site.argument("fp16")
        if argument is None or not is_always(argument, True):
            return
        if all(map(_is_float16, site.about)):
            load = site.about[0]
            yield site.at(argument, f"{line_name(load.source, load.call.lineno)} loads float16")


def _is_float16(load: Site) -> bool:
    argument = load.argument("dtype", "torch_dtype")
    return (
        argument is not None
        and not argument.optional
        and all(value.data in ("torch.float16", "torch.half", "float16", "half") for value in argument.values)
    )
