"""Questions about sites: what happens to a loaded object later in the file, and what a call gets.

An answer is computed when a rule first asks, and cached with the file.
"""

from __future__ import annotations

import ast

from telepathy_lint.flow.arguments import Argument
from telepathy_lint.flow.file import File
from telepathy_lint.flow.value import Value
from telepathy_lint.sites.site import Known, Site


def generation_config(site: Site) -> Known:
    """Whether the loaded model gets a generation config after the load."""
    from telepathy_lint.facts.events import Events

    if not site.generative:
        return Known.NO
    return site.file.remember(
        ("generation_config", site), lambda: site.file.fact(Events).generation_config(site)
    )


def pad_token(site: Site) -> Known:
    """Whether the tokenizer gets a pad token after the load."""
    from telepathy_lint.facts.events import Events

    return site.file.remember(("pad_token", site), lambda: site.file.fact(Events).pad_token(site))


def config_attention(site: Site) -> Known:
    """Whether the config passed to the load certainly sets an attention implementation."""
    from telepathy_lint.facts.events import Events

    if "config" not in site.arguments:
        return Known.NO
    return site.file.remember(
        ("config_attention", site), lambda: site.file.fact(Events).config_attention(site)
    )


def max_length_at_generate(site: Site) -> bool:
    """Whether a `generate` call in the file, or a call of this pipeline, passes `max_length`.

    A config's `max_new_tokens` would take precedence over it.
    """
    from telepathy_lint.facts.max_length import Lengths

    return site.generative and "max_length" in site.source.text and site.file.fact(Lengths).given(site)


def beside_generative(site: Site) -> bool:
    """Whether the file loads a model that generates text."""
    return site.file.fact(_generates)


def _generates(file: File) -> bool:
    from telepathy_lint.sites.loads import loads

    return any(each.generative for each in file.fact(loads))


def trained_through(site: Site) -> ast.Call | None:
    """The call of a frozen model through which a backward pass allocates gradients that no optimizer uses."""
    from telepathy_lint.facts.gradients import Gradients, may_train_through

    if site.kind != "model" or not site.file.fact(may_train_through):
        return None
    return site.file.remember(
        ("trained_through", site), lambda: site.file.fact(Gradients).trained_through(site)
    )


def right_padded(site: Site) -> Argument | None:
    """The argument of a `generate` call that is certainly a batch padded on the right; its value is the padding call."""
    from telepathy_lint.sites.padding import Tokenizing

    return site.file.remember(
        ("right_padded", site), lambda: site.file.fact(Tokenizing).right_padded_by(site)
    )


def eos_padded(site: Site) -> int | None:
    """The line that makes a collator's tokenizers pad with their end-of-sequence token."""
    from telepathy_lint.sites.padding import Tokenizing

    lines = [site.file.fact(Tokenizing).eos_padded(each) for each in site.about]
    return lines[0] if lines and None not in lines else None


def sequence_length(site: Site) -> Value | None:
    """The sequence length of a training run, in tokens."""
    from telepathy_lint.sites.trainings import length_of

    return site.file.remember(("sequence_length", site), lambda: length_of(site))
