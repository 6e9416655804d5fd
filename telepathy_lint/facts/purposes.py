"""The purpose of a load according to the file, as defined by the companion loader."""

from __future__ import annotations

import ast

from telepathy_lint.facts import relevance
from telepathy_lint.facts.handled import Use, seen
from telepathy_lint.hints import Literal
from telepathy_lint.rule import literal
from telepathy_lint.sites import Site
from telepathy_lint.source.occurs import occurs

Purpose = Literal["training", "finetune-adapters"]
#: Code that reads a key-value cache, which training does not create.
_READS_THE_CACHE = r"past_key_values|use_cache"
#: Code that selects the trained weights in another way than with adapters on a frozen model.
_CHOOSES_WEIGHTS = r"requires_grad|modules_to_save|trainable_token"


def shown(site: Site) -> Purpose | None:
    """The purpose that the file certainly shows; None if it shows none, or the loader would change something.

    The loader's default is inference.
    """
    if site.kind != "model" or site.source.once(_reads_the_cache):
        return None
    if relevance.trains_its_weights(site):
        return "training"
    tree = site.context.scope.tree
    uses = seen(site)
    if site.source.once(_chooses_weights) or not any(relevance.trains(use, tree) for use in uses):
        return None
    return "finetune-adapters" if any(map(_puts_adapters_on, uses)) else None


def trains(site: Site) -> bool:
    """Whether a call of the companion loader may have a training purpose."""
    argument = site.argument("purpose")
    return argument is not None and literal(argument) not in (None, "inference")


def _puts_adapters_on(use: Use) -> bool:
    if use.how != "argument" or use.call is None:
        return False
    if use.name == "get_peft_model":
        return bool(use.call.args) and use.call.args[0] is use.node
    given = use.keyword("peft_config")
    return use.name.endswith("Trainer") and given is not None and not isinstance(given, ast.Constant)


def _reads_the_cache(text: str) -> bool:
    return occurs(_READS_THE_CACHE, text)


def _chooses_weights(text: str) -> bool:
    return occurs(_CHOOSES_WEIGHTS, text)
