"""Decides whether a different attention implementation could be used, and would make a difference."""

from __future__ import annotations

import ast
import re
from functools import partial

from telepathy_lint.facts.attention_elsewhere import chosen_elsewhere
from telepathy_lint.facts.out_of_use import is_alone, is_bare
from telepathy_lint.facts.placement import is_at_work, is_on_the_cpu
from telepathy_lint.facts.reach import reach_of
from telepathy_lint.facts.weight_sizes import is_light
from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.tree import Tree
from telepathy_lint.knowledge import sdpa
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site
from telepathy_lint.source.occurs import occurs

#: Text on lines that may read attention weights or replace attention; the lines are then parsed.
_ATTENTION_WORDS = r"output_attentions|attentions\b|\.forward\s*=|(?:replace|patch)_\w{0,60}att"
_WEIGHTS = frozenset({"attentions", "cross_attentions", "decoder_attentions", "encoder_attentions"})
#: Code for which a small difference of the logits does not matter.
_INEXACT = r"do_sample[\"']?\s*[=:]\s*True|(?<![\w.])input\(|from vllm|import vllm"
#: Arguments with which a load says how the model shall compute.
_SETTINGS = ("dtype", "torch_dtype", "quantization_config", "load_in_4bit", "load_in_8bit", "config")
_ATTENTION_CLASS = r"(?i)(?:\w*attention|self_attn|attn)"


def is_settled(site: Site, settings: Settings) -> bool:
    """Whether nothing tells that the choice of transformers is not what the project wants.

    It may be another one if the project chooses attention elsewhere, if SDPA leaves out a part of the model's
    attention, or if a load that says nothing of how the model computes is all that
    there is.
    """
    if site.argument("use_flash_attention_2", "use_flash_attn") is not None:
        return True  # the rule about outdated arguments reports the first; the second belongs to a checkpoint's code
    drops = sdpa.drops_soft_capping(site.model_id or "", site.loaded, settings.target_version)
    if site.model_id is None and not (drops or is_bare(site)):
        return True  # nothing in a project tells of a model whose id is not written
    if is_light(site):
        return True  # the model is too small for a difference
    if (
        _is_in_float32(site)
        or is_on_the_cpu(site)
        or site.source.remember("attention", partial(_looks_at_attention, site.context.scope.tree))
    ):
        return True
    if chosen_elsewhere(site, settings) is not None:
        return False
    if (
        drops
        and _runs_where_it_is_picked(settings)
        and not site.source.once(_samples_or_asks)
        and not site.source.once(_trains)
        and (site.source.once(is_at_work) or reach_of(site) is not None)
    ):
        return False
    return not (_states_nothing(site) and is_alone(site)) or _is_the_only_choice(site, settings)


def _samples_or_asks(text: str) -> bool:
    """Whether a file samples what it generates, answers whoever asks, or generates with another library."""
    return occurs(_INEXACT, text)


def _trains(text: str) -> bool:
    """Whether a file trains a model, which gets used to what its attention computes."""
    return "rainer(" in text or ".backward(" in text


def _runs_where_it_is_picked(settings: Settings) -> bool:
    """Whether the release that the project states picks SDPA for a model with soft-capping; the newest does not."""
    lowest = settings.target_version
    if lowest is None:
        return not (settings.unpinned or settings.is_of_a_commit)
    # A project of transformers 5 gets the newest, unless it leaves it out.
    open_ended = settings.five == "needs" and settings.reaches(sdpa.PICKED[-1][1])
    return sdpa.picks_it(lowest) and not open_ended


def _states_nothing(site: Site) -> bool:
    given = [argument for name in _SETTINGS if (argument := site.argument(name)) is not None]
    return not site.unseen and all(value.is_none for argument in given for value in argument.values)


def _is_the_only_choice(site: Site, settings: Settings) -> bool:
    """Whether the installed packages leave no choice, or every release chooses SDPA for the model.

    If the project's requirements (or those that a notebook installs) do not include FlashAttention,
    transformers' choice remains.
    """
    if settings.flash_attention or site.source.once(_speaks_of_flash_attention):
        return False
    if sdpa.varies(site.model_id or "", site.loaded):
        return False
    return (
        settings.flash_attention is False
        or (sdpa.always(site.model_id or "", site.loaded) and bool(site.source.once(is_at_work)))
        or site.source.remember("installs", partial(_installs, site))
        or (site.model_id is None and site.source.once(sdpa.names_only_such))
    )


def _speaks_of_flash_attention(text: str) -> bool:
    return occurs("(?i)flash", text)


def _installs(site: Site) -> bool:
    """Whether a notebook installs transformers, but not FlashAttention."""
    if not site.source.path.endswith(".ipynb"):
        return False
    lines = re.findall(rb"[!%] ?(?:uv )?pip3? install[^\n\"]*", site.source.data)
    return any(re.search(rb"\btransformers\b", line) for line in lines) and not any(
        b"flash" in line for line in lines
    )


def _is_in_float32(site: Site) -> bool:
    argument = site.argument("dtype", "torch_dtype")
    if argument is None or argument.optional:
        return False
    return all(str(value.data).rpartition(".")[2] in ("float32", "float") for value in argument.values)


def _looks_at_attention(tree: Tree) -> bool:
    """Whether a line reads attention weights, which only eager attention returns, or replaces attention code."""
    if not any(word in tree.text for word in ("attentions", ".forward", "replace_", "patch_")):
        return False
    lines = tree.lines_of(match.start() for match in re.finditer(_ATTENTION_WORDS, tree.text))
    return any(map(_is_about_attention, tree.visit(lines)))


def _is_about_attention(node: ast.AST) -> bool:
    if isinstance(node, ast.keyword):
        return (
            node.arg == "output_attentions"
            and isinstance(node.value, ast.Constant)
            and node.value.value is True
        )
    if isinstance(node, ast.Attribute):
        if isinstance(node.ctx, ast.Store):
            owner = (dotted(node.value) or "").rpartition(".")[2]
            return node.attr == "forward" and re.fullmatch(_ATTENTION_CLASS, owner) is not None
        return node.attr in _WEIGHTS
    if isinstance(node, ast.Call):
        name = (dotted(node.func) or "").rpartition(".")[2]
        return re.match(r"(?:replace|patch)_\w*att(?:n|ention)", name) is not None
    return False
