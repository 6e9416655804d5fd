"""Finds training in float16 mixed precision with a model that the file certainly loads."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.file import File
from telepathy_lint.flow.objects import SURELY_IS
from telepathy_lint.knowledge.transformers_names import last
from telepathy_lint.sites.loads import surely
from telepathy_lint.sites.site import Site
from telepathy_lint.source.occurs import occurs

_CONFIG = r"(?:Seq2Seq)?TrainingArguments|(?:SFT|DPO|KTO|ORPO|CPO|Reward)Config"
_TRAINER = r"(?:Seq2Seq|SFT|DPO|KTO|ORPO|CPO|Reward)?Trainer"
#: Words of code that may train other weights or use another precision.
_OTHERWISE = (
    r"(?i)peft|lora|adapter|requires_grad|freez|\.float\(\)|\.half\(\)|\.to\((?:dtype=)?torch\.|float32|upcast|deepspeed|fsdp"
    r"|load_in_|quant|bf16\s*=|model_init"
)


def find(file: File) -> Iterator[Site]:
    """Yield the training arguments with `fp16`; `about` is the model, all of whose weights are trained."""
    tree, words = file.tree, file.words
    if not words.has("fp16") or not words.has("train") or occurs(_OTHERWISE, tree.text):
        return
    for trainer in tree.visit(tree.lines_of(words.find("Trainer", whole=False))):
        if not isinstance(trainer, ast.Call) or not re.fullmatch(_TRAINER, last(dotted(trainer.func) or "")):
            continue
        trained: dict[str | None, ast.expr] = {keyword.arg: keyword.value for keyword in trainer.keywords}
        trained |= dict(zip(("model", "args"), trainer.args, strict=False))
        if None in trained or "model" not in trained or "args" not in trained:
            continue
        context = tree.context_of(trainer)
        about = surely(file, trained["model"], context, "model")
        configs = file.objects.makers(trained["args"], context, SURELY_IS)
        if not about or len(configs) != 1:
            continue
        config = next(iter(configs))
        if not isinstance(config, ast.Call) or not re.fullmatch(_CONFIG, last(dotted(config.func) or "")):
            continue
        where = tree.context_of(config)
        given, opaque = file.arguments.read(config, where, ())
        if "fp16" in given:
            yield Site(
                kind="mixed_precision",
                file=file,
                node=config,
                context=where,
                classes=(dotted(config.func) or "",),
                arguments=given,
                opaque=opaque,
                model_id=about[0].model_id,
                about=about,
            )
