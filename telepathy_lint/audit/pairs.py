"""Finds models that are in memory together, over all jobs of a project, and estimates their memory."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from telepathy_lint.audit.data import Chosen, FileFacts, Load, Place, Together
from telepathy_lint.audit.sizes import largest_pair_batch, pair_peak, spec_of

#: With more combinations of ids in one job than this, none is reported.
_MOST = 4


def together(files: Iterable[FileFacts], loads: Iterable[Load], gpu: str) -> tuple[Together, ...]:
    """The sets of models that jobs hold together, most frequent first."""
    by_place = {load.place: load for load in loads if load.kind != "tokenizer"}
    jobs: dict[tuple[str, ...], set[tuple[Place, ...]]] = defaultdict(set)
    for facts in files:
        for places in facts.together:
            members = [by_place[place] for place in places if place in by_place]
            if len(members) == len(places):
                for models in _combinations(members):
                    jobs[models].add(places)
    ordered = sorted(jobs.items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple(_sized(models, tuple(sorted(places)), gpu) for models, places in ordered)


def _combinations(loads: Sequence[Load]) -> Iterator[tuple[str, ...]]:
    """The combinations of models that the loads of a job get from one script, one table entry, or the code itself."""
    options = [_by_source(load) for load in loads]
    special = dict.fromkeys(source for option in options for source in option if source)
    for source in (*special, ""):
        found = [option.get(source) or option.get("") for option in options]
        if any(each is None for each in found):
            continue
        combined = list(itertools.product(*(each for each in found if each is not None)))
        # A mention may only serve two loads if no other mention could serve one of them.
        apart = [
            each
            for each in combined
            if len({(chosen.place, chosen.model_id) for chosen in each}) == len(each)
        ]
        if len(apart or combined) <= _MOST:
            yield from (tuple(sorted(_name(chosen) for chosen in each)) for each in apart or combined)


def _by_source(load: Load) -> dict[str, list[Chosen]]:
    """A load's ids by their source: a script, a configuration file or a table entry; "" for the code itself."""
    found: dict[str, dict[str, Chosen]] = defaultdict(dict)
    for chosen in load.ids:
        found[_source(chosen)].setdefault(_name(chosen), chosen)
    return {source: list(each.values()) for source, each in found.items()}


def _name(chosen: Chosen) -> str:
    spec = spec_of(chosen.model_id)
    return spec.id if spec is not None else chosen.model_id


def _source(chosen: Chosen) -> str:
    if chosen.entry:
        return f"{chosen.place.path}:{chosen.entry}"
    return chosen.place.path if chosen.via.startswith(("--", "key ")) else ""


def _sized(models: tuple[str, ...], jobs: tuple[tuple[Place, ...], ...], gpu: str) -> Together:
    specs = [spec for model in models if (spec := spec_of(model)) is not None]
    if len(specs) < len(models):
        return Together(models, jobs, None)
    weights = sum(spec.bytes_in("bfloat16") for spec in specs)
    if len(specs) != 2:
        return Together(models, jobs, weights)
    one, other = specs
    return Together(models, jobs, weights, pair_peak(one, other), largest_pair_batch(one, other, gpu))
