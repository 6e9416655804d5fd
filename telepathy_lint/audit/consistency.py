"""How far the loads of a project agree: for every setting the values, their counts, and the odd ones out.

Only like is compared with like: a speech model in float32 is not odd beside language models in bfloat16.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass

from telepathy_lint.audit.data import Load, Place
from telepathy_lint.audit.purposes import CONVERSION, purpose_of, size_of

#: A setting that a call of the companion loader leaves to it: it agrees with every other value.
LOADER = "the loader's choice"
HIDDEN = "cannot be seen"
ABSENT = "not passed"
CALLER = "the caller's choice"
COMPUTED = "computed"
#: A pad token: set in the code, or part of the tokenizer's files.
SET, SHIPPED = "set", "ships with the tokenizer"
#: Between the values of a setting that is one or the other.
OR = " or "
#: Groups of loads that choose nothing.
UNCHOSEN = (ABSENT, "not set")
#: Groups of loads of which nothing can be said: they are never odd.
OPEN = (LOADER, HIDDEN, CALLER, COMPUTED)
#: Settings that need no choice.
FREE = ("quantization", "revision", "padding side")
#: Fewer loads than this have no common choice.
_FEW = 3

MODEL_SETTINGS = ("dtype", "device_map", "attention", "generation config", "quantization", "revision")
TOKENIZER_SETTINGS = ("pad token", "padding side", "revision")

Groups = tuple[tuple[str, tuple[Place, ...]], ...]


@dataclass(frozen=True, slots=True)
class Like:
    """Loads of one kind, purpose and size, and the values that one setting has in them, most frequent first."""

    purpose: str
    size: str
    groups: Groups

    @property
    def total(self) -> int:
        return sum(len(places) for _, places in self.groups)

    @property
    def decided(self) -> Groups:
        """The groups whose loads say what they take."""
        return tuple((value, places) for value, places in self.groups if not _is_open(value))

    @property
    def undecided(self) -> int:
        """How many loads leave the value to their caller or to the loader, or cannot be seen through."""
        return self.total - sum(len(places) for _, places in self.decided)

    @property
    def common(self) -> str | None:
        """The value that most loads have; None where none of them decides."""
        return self.decided[0][0] if self.decided else None

    @property
    def odd(self) -> Groups:
        """The groups whose loads never have the common value; where most choose nothing, a choice is not odd."""
        common = self.common
        if common is None or common in UNCHOSEN:
            return ()
        alike = _alternatives(common)
        return tuple(
            (value, places) for value, places in self.decided[1:] if not _alternatives(value) & alike
        )

    @property
    def stands_out(self) -> bool:
        """Whether the common value is a choice that most of several loads make, so that the others are worth a look."""
        decided = self.decided
        return (
            bool(decided)
            and decided[0][0] not in UNCHOSEN
            and len(decided[0][1]) >= _FEW
            and 2 * len(decided[0][1]) > sum(len(places) for _, places in decided)
        )

    def away(self, setting: str) -> int:
        """How many loads are without the choice that most of those make which make one: what there is to do."""
        if setting in FREE:
            return sum(len(places) for _, places in self.odd)
        chosen = [len(places) for value, places in self.decided if value not in UNCHOSEN]
        return self.total - self.undecided - max(chosen, default=0)


def _alternatives(value: str) -> set[str]:
    """What a value can be; a pad token that the tokenizer ships is set."""
    return {SET if part == SHIPPED else part for part in value.split(OR)}


def _is_open(value: str) -> bool:
    parts = value.split(OR)
    return any(part in OPEN or (part.endswith("(...)") and "Config" not in part) for part in parts)


@dataclass(frozen=True, slots=True)
class Consistency:
    """How the loads of one kind agree on one setting: all values, and apart those of loads that are alike."""

    setting: str
    kind: str
    groups: Groups
    alike: tuple[Like, ...]

    @property
    def total(self) -> int:
        return sum(len(places) for _, places in self.groups)

    @property
    def undecided(self) -> int:
        return sum(like.undecided for like in self.alike)

    @property
    def unchosen(self) -> int:
        """How many loads say nothing at all."""
        return sum(len(places) for value, places in self.groups if value in UNCHOSEN)

    @property
    def odd(self) -> int:
        """How many loads are visibly unlike most of their kind."""
        return sum(len(places) for like in self.alike for _, places in like.odd)

    @property
    def away(self) -> int:
        return sum(like.away(self.setting) for like in self.alike)


def consistency(loads: Iterable[Load], converting: Container[str] = ()) -> tuple[Consistency, ...]:
    """Over the calls that load themselves; a call through a function of the project is counted in that function.

    `converting` are the files that change or write weights: their precision is a part of what they do.
    """
    direct = [load for load in loads if not load.indirect]
    found = []
    for kind, kinds, settings in (
        ("model", ("model", "pipeline"), MODEL_SETTINGS),
        ("tokenizer", ("tokenizer",), TOKENIZER_SETTINGS),
    ):
        chosen = [load for load in direct if load.kind in kinds]
        # A tokenizer is a tokenizer: its settings do not depend on what the model is for.
        likes = {
            id(load): (CONVERSION, "") if load.place.path in converting else (purpose_of(load), size_of(load))
            for load in chosen
            if kind == "model"
        }
        for setting in settings:
            asked = [load for load in chosen if setting != "generation config" or load.generative]
            alike: dict[tuple[str, str], list[Load]] = defaultdict(list)
            for load in asked:
                alike[likes.get(id(load), ("", ""))].append(load)
            if asked:
                ordered = sorted(alike.items(), key=lambda item: (-len(item[1]), item[0]))
                found.append(
                    Consistency(
                        setting,
                        kind,
                        _grouped(asked, setting),
                        tuple(Like(*key, _grouped(members, setting)) for key, members in ordered),
                    )
                )
    return tuple(found)


def _grouped(loads: Iterable[Load], setting: str) -> Groups:
    groups: dict[str, list[Place]] = defaultdict(list)
    for load in loads:
        groups[load.setting(setting).group].append(load.place)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple((name, tuple(sorted(places))) for name, places in ordered)
