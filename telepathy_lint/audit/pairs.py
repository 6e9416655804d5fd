"""Which models are in memory together, over all jobs of a project, and what that takes."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from telepathy_lint.audit.data import Chosen, FileFacts, Load, Place, Together
from telepathy_lint.audit.sizes import largest_pair_batch, pair_peak, spec_of

#: More ways to combine the ids of one job than this say nothing.
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
    """The models that the loads of one job get together: by one script, of one entry of a table, or by default."""
    options = [_by_source(load) for load in loads]
    sources = dict.fromkeys(source for option in options for source in option)
    special = [source for source in sources if source]
    for source in special or [""]:
        found = [option.get(source) or option.get("") for option in options]
        if None in found:
            continue
        combined = list(itertools.product(*(each for each in found if each is not None)))
        if len(combined) <= _MOST:
            yield from (tuple(sorted(each)) for each in combined)
    if special and all("" in option for option in options):
        combined = list(itertools.product(*(option[""] for option in options)))
        if len(combined) <= _MOST:
            yield from (tuple(sorted(each)) for each in combined)


def _by_source(load: Load) -> dict[str, list[str]]:
    """A load's ids by what gives them: a script or configuration file, an entry of a table; "" for the code itself."""
    found: dict[str, list[str]] = defaultdict(list)
    for chosen in load.ids:
        spec = spec_of(chosen.model_id)
        name = spec.id if spec is not None else chosen.model_id
        if name not in found[_source(chosen)]:
            found[_source(chosen)].append(name)
    return dict(found)


def _source(chosen: Chosen) -> str:
    if chosen.via.startswith(("--", "key ")):
        return chosen.place.path
    return f"{chosen.place.path}:{chosen.entry}" if chosen.entry else ""


def _sized(models: tuple[str, ...], jobs: tuple[tuple[Place, ...], ...], gpu: str) -> Together:
    specs = [spec for model in models if (spec := spec_of(model)) is not None]
    if len(specs) < len(models):
        return Together(models, jobs, None)
    weights = sum(spec.bytes_in("bfloat16") for spec in specs)
    if len(specs) != 2:
        return Together(models, jobs, weights)
    one, other = specs
    return Together(models, jobs, weights, pair_peak(one, other), largest_pair_batch(one, other, gpu))
