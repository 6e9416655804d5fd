"""What a file does with what it loads, in one place: generating, collating, training through it, naming it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telepathy_lint.facts.gradients import Gradients
from telepathy_lint.flow.identity import Identity
from telepathy_lint.sites.added_tokens import added_tokens
from telepathy_lint.sites.arrays import arrays
from telepathy_lint.sites.casts import casts
from telepathy_lint.sites.generation import Generation
from telepathy_lint.sites.mixed_precision import mixed_precision
from telepathy_lint.sites.object_pipelines import object_pipelines
from telepathy_lint.sites.site import Site
from telepathy_lint.sites.trainings import BATCH, Batches
from telepathy_lint.sites.written_ids import Identifiers, wrong_ids
from telepathy_lint.source.prefilter import DECODING_WORD

if TYPE_CHECKING:
    from telepathy_lint.sites.loads import SiteFinder

_WORDS = ("generate", DECODING_WORD, "GenerationConfig", "DataCollatorForLanguageModeling")


def with_uses(finder: SiteFinder, loads: list[Site]) -> list[Site]:
    """The loads, and the sites of what is done with them. Each question is asked only where its words stand."""
    tree, words, evaluator = finder.tree, finder.words, finder.evaluator
    found = list(loads)
    identity = Identity(finder.index, evaluator)
    if words.has(*_WORDS):
        generation = Generation(tree, words, evaluator, finder.arguments, identity, loads)
        found += generation.find()
    gradients = Gradients(identity)
    if gradients.wanted():
        found = [
            site._replace(trained_through=gradients.trained_through(site)) if site.kind == "model" else site
            for site in found
        ]
    if tree.source.once(wrong_ids):
        found += Identifiers(tree, identity, loads).find()
    if BATCH in tree.text:
        found += Batches(finder, identity, loads).find()
    for find in (object_pipelines, casts, added_tokens, mixed_precision, arrays):
        found += find(identity, finder.arguments, loads)
    return found
