from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint import facts
from telepathy_lint.facts.out_of_use import is_bare
from telepathy_lint.findings.finding import Finding
from telepathy_lint.flow.bindings import dotted
from telepathy_lint.rule import Meta, Rule, line_name
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site


class EosPaddedTraining(Rule):
    """A language model is trained with its end-of-sequence token as padding, so it never learns to stop.

    `DataCollatorForLanguageModeling` masks every pad token in the loss. If the pad token is the end-of-sequence
    token, this includes the real end of every text: the model never learns to predict it, and later generates up to the
    maximum length. Collators that pad labels themselves (`DataCollatorForSeq2Seq`, TRL's own) are not affected. The rule
    reports a collator only if its tokenizer is certainly affected: the pad token is set to `eos_token` unconditionally, or
    for a model that is known to have no pad token, and `mlm` is False. A collator that nothing reads, beside a trainer without one, is left out.

    Unless strict, texts must be seen to end with the token: by its name, or as it is written for a model that the file names. Code that drops it from the ids, as with `if token < tokenizer.vocab_size`, is left out, and
    so are ends that only stand in labels of their own, which the collator replaces, a file that cuts its texts to 64 tokens or fewer, and a project's script that neither saves nor uses what it trains.

    Bad:

        from transformers import AutoTokenizer, DataCollatorForLanguageModeling

        tokenizer = AutoTokenizer.from_pretrained("gpt2")
        tokenizer.pad_token = tokenizer.eos_token
        texts = [text + tokenizer.eos_token for text in ("Once", "Twice")]
        collator = DataCollatorForLanguageModeling(tokenizer, mlm=False)

    Good:

        from telepathy_runtime import load_tokenizer
        from transformers import DataCollatorForLanguageModeling

        tokenizer = load_tokenizer("meta-llama/Llama-3.2-1B")
        texts = [text + tokenizer.eos_token for text in ("Once", "Twice")]
        collator = DataCollatorForLanguageModeling(tokenizer, mlm=False)
    """

    meta = Meta(
        code="TLP202",
        name="eos-padded-training",
        message="the collator masks the real end-of-sequence tokens in the loss",
        since="0.1.0",
        kinds=("collator",),
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        mlm = site.argument("mlm")
        if mlm is None or site.opaque or (padded := facts.eos_padded(site)) is None:
            return
        causal = all(value.kind == "const" and value.data is False for value in mlm.values)
        if not causal or _is_never_read(site):
            return
        yield site.at_call(f"pad_token is eos_token since {line_name(site.source, padded)}")

    def matters(self, site: Site, settings: Settings) -> bool:
        from telepathy_lint.facts import relevance

        if not site.source.once(relevance.has_real_ends) or site.source.once(relevance.cuts_ends):
            return False
        return is_bare(site) or site.source.once(relevance.keeps_what_it_trains)


def _is_never_read(site: Site) -> bool:
    """Whether the collator gets a name that nothing reads, and a trainer is made behind it in the same block, without a collator."""
    tree = site.context.scope.tree
    holder = tree.parent.get(site.call)
    if not isinstance(holder, ast.Assign) or not all(isinstance(each, ast.Name) for each in holder.targets):
        return False
    above = tree.parent.get(holder)
    if isinstance(above, ast.ClassDef) or _is_imported(site):
        return False
    names = {each.id for each in holder.targets if isinstance(each, ast.Name)}
    if any(
        isinstance(node, ast.Name) and node.id in names and isinstance(node.ctx, ast.Load)
        for name in names
        for node in tree.visit(tree.lines_with(name))
    ):
        return False
    block = getattr(above, "body", None)
    behind = block[block.index(holder) + 1 :] if isinstance(block, list) and holder in block else []
    return any(
        isinstance(each, ast.Call) and _trains_without(each)
        for stmt in behind
        if not isinstance(stmt, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        for each in ast.walk(stmt)
    )


def _is_imported(site: Site) -> bool:
    modules = site.file.modules
    importers = modules.importers(site.source.path) if modules is not None else None
    return importers is not None and bool(importers[1])


def _trains_without(call: ast.Call) -> bool:
    return (dotted(call.func) or "").endswith("Trainer") and not any(
        each.arg in (None, "data_collator") for each in call.keywords
    )
