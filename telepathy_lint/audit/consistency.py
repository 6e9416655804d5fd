"""How far the loads of a project agree: for every setting the values, their counts, and the odd ones out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from telepathy_lint.audit.data import Consistency, Load, Place
from telepathy_lint.audit.loads import MODEL_SETTINGS, TOKENIZER_SETTINGS


def consistency(loads: Iterable[Load]) -> tuple[Consistency, ...]:
    """Over the calls that load themselves; a call through a function of the project is counted in that function."""
    direct = [load for load in loads if not load.indirect]
    found = []
    for kind, kinds, settings in (
        ("model", ("model", "pipeline"), MODEL_SETTINGS),
        ("tokenizer", ("tokenizer",), TOKENIZER_SETTINGS),
    ):
        chosen = [load for load in direct if load.kind in kinds]
        for setting in settings:
            groups: dict[str, list[Place]] = defaultdict(list)
            for load in chosen:
                if setting == "generation config" and not load.generative:
                    continue
                groups[load.setting(setting).group].append(load.place)
            if groups:
                ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
                found.append(
                    Consistency(
                        setting, kind, tuple((name, tuple(sorted(places))) for name, places in ordered)
                    )
                )
    return tuple(found)
