from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.facts.outdated import may_know_more
from telepathy_lint.facts.tensor_use import used_as_tensor
from telepathy_lint.facts.versions_told_apart import depends_on_release
from telepathy_lint.findings.change import Repair
from telepathy_lint.findings.finding import Finding
from telepathy_lint.knowledge.migration import (
    KEPT_BY_SLOW_TOKENIZERS,
    TOKENIZER_ARGUMENTS,
    TOKENIZER_ATTRIBUTES,
    TOKENIZER_METHODS,
)
from telepathy_lint.rule import Meta, Rule, literal, written
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site
from telepathy_lint.sites.loads import loads_of


class RemovedTokenizerUse(Rule):
    """A tokenizer is used in a way that transformers 5 removed or changed.

    `encode_plus`, `batch_encode_plus`, `prepare_seq2seq_batch`, `as_target_tokenizer` and some helpers of subclasses are gone, and `additional_special_tokens`: an
    AttributeError. Tokenizers without a fast implementation keep `prepare_for_model` and three other helpers. `pad_to_max_length` is ignored, so that nothing is padded. `apply_chat_template` gives a BatchEncoding where
    it gave ids: `generate(ids)`, `ids.shape` and `ids[0]` fail. `return_dict=False` gives ids in both 4 and 5.

    The rule is on by default where the project's requirements allow transformers 5. A template's result is reported only if
    the code uses it as a tensor or list, and never as a mapping.
    Unless strict, what is in a file of older libraries is left out, as by TLP107.

    Bad:

        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("gpt2")
        batch = tokenizer.batch_encode_plus(["a", "b"], truncation=True)
        ids = tokenizer.apply_chat_template(chat, return_tensors="pt")
        print(ids.shape)

    Good:

        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("gpt2")
        batch = tokenizer(["a", "b"], truncation=True)
        ids = tokenizer.apply_chat_template(chat, return_dict=False, return_tensors="pt")
        print(ids.shape)

    Fix safety: the fix of `encode_plus` is unsafe if its text may be a list, which `encode_plus` takes for the words of one text
    and the tokenizer for a batch. Slow tokenizers of transformers 4 take arrays and columns in `batch_encode_plus`, and no tokenizer
    takes them in a call, so what is not surely a list becomes one. `pad_to_max_length` also cut texts to `max_length`, and without a
    `max_length` it padded to the longest text. Where the project writes or replaces `encode_plus` itself, as a test's stand-in
    does, the fix is unsafe. So is `return_dict=False` where the project allows releases before 4.38, which do not take it.
    """

    meta = Meta(
        code="TLP403",
        name="removed-tokenizer-use",
        message="changed in transformers 5",
        since="0.1.0",
        kinds=("tokenizer_use",),
        fix="safe",
        five=("admits", "needs"),
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        if depends_on_release(site):
            return
        called = site.class_name
        if called in TOKENIZER_ATTRIBUTES:
            detail = f"tokenizers have no {called} since 5.0, and raise an AttributeError: {TOKENIZER_ATTRIBUTES[called]}"
            yield site.at(site.node, detail)
            return
        if called in KEPT_BY_SLOW_TOKENIZERS and not _is_fast(site):
            return
        if called in TOKENIZER_METHODS and _has_its_own(site, called):
            return
        if called in TOKENIZER_METHODS:
            who = "tokenizers" if called not in KEPT_BY_SLOW_TOKENIZERS else "fast tokenizers"
            detail = (
                f"{who} have no {called} since 5.0, and raise an AttributeError: {TOKENIZER_METHODS[called]}"
            )
            yield site.at(site.call.func, detail, fix=self.repair(site, called, settings))
        elif called == "apply_chat_template":
            tokenize, mapping = site.argument("tokenize"), site.argument("return_dict")
            as_text = tokenize is not None and literal(tokenize) is not True
            if not as_text and mapping is None and not site.opaque and used_as_tensor(site):
                detail = "apply_chat_template gives a BatchEncoding since 5.0, and the code uses its result as ids: pass return_dict=False"
                yield site.at(site.call.func, detail, fix=self.repair(site, called, settings))
        for name, (outcome, advice) in TOKENIZER_ARGUMENTS.items():
            argument = site.argument(name)
            if (
                argument is None
                or argument.optional
                or (name == "pad_to_max_length" and literal(argument) is False)
            ):
                continue
            length = site.argument("max_length")
            if name == "pad_to_max_length" and (length is None or written(length) is None):
                advice = "pass padding=True"  # it padded to the longest text then
            yield site.at(argument, f"{name} {outcome}: {advice}", fix=self.repair(site, name, settings))

    def repair(self, site: Site, name: str, settings: Settings) -> Repair | None:
        from telepathy_lint.fixes.tokenizer_calls import repair

        return repair(site, name, settings)


def _has_its_own(site: Site, method: str) -> bool:
    """Whether the tokenizer is of a class outside transformers, and the file writes the method."""
    if f"def {method}(" not in site.source.text or not isinstance(site.call.func, ast.Attribute):
        return False
    found = loads_of(site.file, site.call.func.value, site.context, "tokenizer")
    return any(not name.startswith("transformers.") for load in found for name in load.loaded)


def _is_fast(site: Site) -> bool:
    """Whether the tokenizer is loaded in the file, and is not one of the checkpoint's own code, which may be slow."""
    if not isinstance(site.call.func, ast.Attribute):
        return False
    found = loads_of(site.file, site.call.func.value, site.context, "tokenizer")
    # The classes of transformers without a fast implementation are not all known.
    return bool(found) and not any(
        may_know_more(load) or not load.class_name.endswith(("AutoTokenizer", "Fast")) for load in found
    )
