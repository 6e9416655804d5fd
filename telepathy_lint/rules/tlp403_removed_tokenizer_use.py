from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.facts.outdated import may_know_more
from telepathy_lint.facts.tensor_use import used_as_tensor
from telepathy_lint.facts.versions_told_apart import depends_on_release
from telepathy_lint.findings.change import Change, Repair
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
    and the tokenizer for a batch.
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
        if called in TOKENIZER_METHODS:
            who = "tokenizers" if called not in KEPT_BY_SLOW_TOKENIZERS else "fast tokenizers"
            detail = (
                f"{who} have no {called} since 5.0, and raise an AttributeError: {TOKENIZER_METHODS[called]}"
            )
            yield site.at(site.call.func, detail, fix=self.repair(site, called))
        elif called == "apply_chat_template":
            tokenize, mapping = site.argument("tokenize"), site.argument("return_dict")
            as_text = tokenize is not None and literal(tokenize) is not True
            if not as_text and mapping is None and not site.opaque and used_as_tensor(site):
                detail = "apply_chat_template gives a BatchEncoding since 5.0, and the code uses its result as ids: pass return_dict=False"
                yield site.at(site.call.func, detail, fix=self.repair(site, called))
        for name, (outcome, advice) in TOKENIZER_ARGUMENTS.items():
            argument = site.argument(name)
            if (
                argument is None
                or argument.optional
                or (name == "pad_to_max_length" and literal(argument) is False)
            ):
                continue
            yield site.at(argument, f"{name} {outcome}: {advice}", fix=self.repair(site, name))

    def repair(self, site: Site, name: str) -> Repair | None:
        if name == "apply_chat_template":
            return Repair("safe", "pass return_dict=False", Change(added=(("return_dict", "False"),)))
        if name in ("encode_plus", "batch_encode_plus") and isinstance(site.call.func, ast.Attribute):
            # Further on, the positions of the tokenizer are those of other arguments.
            alike = 1 if name == "batch_encode_plus" else 2
            if len(site.call.args) > alike or any(isinstance(each, ast.Starred) for each in site.call.args):
                return None
            start, end = site.range_of(site.call.func.value)
            change = Change(func=site.source.text[start:end])
            if name == "batch_encode_plus":
                # Its first argument has another name than the tokenizer's.
                if "batch_text_or_text_pairs" in site.arguments:
                    change = change._replace(renamed=(("batch_text_or_text_pairs", "text"),))
                return Repair("safe", "call the tokenizer", change)
            text = site.argument("text")
            sure = text is not None and all(
                value.kind == "text" or (value.kind == "const" and isinstance(value.data, str))
                for value in text.values
            )
            if text is not None and not sure:
                given = text.node.value if isinstance(text.node, ast.keyword) else text.node
                assert isinstance(given, ast.expr)
                bound = site.context.scope.bindings.get(given.id, ()) if isinstance(given, ast.Name) else ()
                sure = _is_text(given) or (
                    bool(bound)
                    and all(
                        each.value is not None and not each.path and _is_text(each.value) for each in bound
                    )
                )
            return Repair("safe" if sure else "unsafe", "call the tokenizer", change)
        argument = site.argument(name)
        on = argument is not None and argument.how == "keyword" and written(argument) is True
        if name == "pad_to_max_length" and on and "padding" not in site.arguments:
            change = Change(renamed=((name, "padding"),), replaced=((name, '"max_length"'),))
            return Repair("safe", "pass padding", change)
        return None


#: Methods that only strings have, and that give a string.
_OF_STRINGS = frozenset(
    {"join", "lower", "upper", "strip", "rstrip", "lstrip", "format", "title", "capitalize"}
)


def _is_text(node: ast.AST) -> bool:
    """Whether an expression gives a string by how it is written: `str(x)`, an f-string, `" ".join(x)`."""
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        return True
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) or (isinstance(node.op, ast.Add) and _is_text(node.right))
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name):
        return node.func.id == "str"
    if not isinstance(node.func, ast.Attribute) or node.func.attr not in _OF_STRINGS:
        return False
    # Columns of a table have some of these names too, one accessor further on.
    return isinstance(node.func.value, (ast.Constant, ast.JoinedStr)) or _is_text(node.func.value)


def _is_fast(site: Site) -> bool:
    """Whether the tokenizer is loaded in the file, and is not one of the checkpoint's own code, which may be slow."""
    if not isinstance(site.call.func, ast.Attribute):
        return False
    found = loads_of(site.file, site.call.func.value, site.context, "tokenizer")
    # The classes of transformers without a fast implementation are not all known.
    return bool(found) and not any(
        may_know_more(load) or not load.class_name.endswith(("AutoTokenizer", "Fast")) for load in found
    )
