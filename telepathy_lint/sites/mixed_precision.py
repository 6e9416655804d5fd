"""Trainings in float16 mixed precision whose model is surely one that the file loads."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.identity import Identity
from telepathy_lint.knowledge.transformers_names import last
from telepathy_lint.sites.arguments import Arguments
from telepathy_lint.sites.site import Site

_CONFIG = r"(?:Seq2Seq)?TrainingArguments|(?:SFT|DPO|KTO|ORPO|CPO|Reward)Config"
_TRAINER = r"(?:Seq2Seq|SFT|DPO|KTO|ORPO|CPO|Reward)?Trainer"
#: Words of a file in which other weights than the loaded ones may be trained, or in another precision.
_OTHERWISE = (
    r"(?i)peft|lora|adapter|requires_grad|freez|\.float\(\)|\.half\(\)|\.to\((?:dtype=)?torch\.|float32|upcast|deepspeed|fsdp"
    r"|load_in_|quant|bf16\s*=|model_init"
)


def mixed_precision(identity: Identity, arguments: Arguments, loads: list[Site]) -> Iterator[Site]:
    """The training arguments with `fp16`; `about` has the model that is trained, all of it."""
    tree, words = identity.tree, identity.index.words
    if not words.has("fp16") or not words.has("train") or re.search(_OTHERWISE, tree.text):
        return
    known = {site.node: site for site in loads if site.kind == "model"}
    for trainer in tree.visit(tree.lines_of(words.find("Trainer", whole=False))):
        if not isinstance(trainer, ast.Call) or not re.fullmatch(_TRAINER, last(dotted(trainer.func) or "")):
            continue
        trained: dict[str | None, ast.expr] = {keyword.arg: keyword.value for keyword in trainer.keywords}
        trained |= dict(zip(("model", "args"), trainer.args, strict=False))
        if None in trained or "model" not in trained or "args" not in trained:
            continue
        context = tree.context_of(trainer)
        models = identity.made_by(trained["model"], context)
        configs = identity.made_by(trained["args"], context)
        if not models or not all(each in known for each in models) or len(configs) != 1:
            continue
        config = next(iter(configs))
        if not isinstance(config, ast.Call) or not re.fullmatch(_CONFIG, last(dotted(config.func) or "")):
            continue
        about = tuple(known[each] for each in models)
        where = tree.context_of(config)
        given, opaque = arguments.read(config, where, ())
        if "fp16" in given:
            yield Site(
                kind="mixed_precision",
                source=tree.source,
                node=config,
                context=where,
                classes=(dotted(config.func) or "",),
                arguments=given,
                opaque=opaque,
                model_id=about[0].model_id,
                about=about,
            )
