"""What a load is for, as the file shows it: what the companion loader calls a purpose."""

from __future__ import annotations

import ast
import re
from typing import Literal

from telepathy_lint.facts import relevance
from telepathy_lint.facts.handled import Use, seen
from telepathy_lint.rule import literal
from telepathy_lint.sites import Site

Purpose = Literal["training", "finetune-adapters"]
#: Where a cache of keys and values is read, which a training does not make.
_READS_THE_CACHE = r"past_key_values|use_cache"
#: What sets which weights train in another way than by adapters on a frozen model.
_CHOOSES_WEIGHTS = r"requires_grad|modules_to_save|trainable_token"


def shown(site: Site) -> Purpose | None:
    """The purpose that the file surely shows; None where it shows none, or something that the loader would change.

    Inference is what the loader takes a load for that says nothing.
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
    """Whether a call of the companion loader may say that it is for training."""
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
    return re.search(_READS_THE_CACHE, text) is not None


def _chooses_weights(text: str) -> bool:
    return re.search(_CHOOSES_WEIGHTS, text) is not None
