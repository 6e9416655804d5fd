"""Measures how consistent the loads of a project are: the values of each setting, their counts, and the exceptions.

Only similar loads are compared: a speech model in float32 is not unusual among language models in bfloat16.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass

from telepathy_lint.audit.data import Load, Place
from telepathy_lint.audit.purposes import CONVERSION, purpose_of, size_of

#: A setting that a call leaves to the companion loader; it counts as equal to any value.
LOADER = "the loader's choice"
HIDDEN = "cannot be seen"
ABSENT = "not passed"
CALLER = "the caller's choice"
COMPUTED = "computed"
#: A pad token: set in the code, or part of the tokenizer's files.
SET, SHIPPED = "set", "ships with the tokenizer"
#: Separator for a setting with several possible values.
OR = " or "
#: Values of loads that do not set the setting.
UNCHOSEN = (ABSENT, "not set")
#: Values that are unknown; such loads are never unusual.
OPEN = (LOADER, HIDDEN, CALLER, COMPUTED)
#: Settings that are often left out.
FREE = ("quantization", "revision", "padding side")
#: With fewer loads than this, there is no common value.
_FEW = 3

MODEL_SETTINGS = ("dtype", "device_map", "attention", "generation config", "quantization", "revision")
TOKENIZER_SETTINGS = ("pad token", "padding side", "revision")

Groups = tuple[tuple[str, tuple[Place, ...]], ...]


@dataclass(frozen=True, slots=True)
class Like:
    """Loads of one kind, purpose and size, with their values of one setting, most frequent first."""

    purpose: str
    size: str
    groups: Groups

    @property
    def total(self) -> int:
        return sum(len(places) for _, places in self.groups)

    @property
    def decided(self) -> Groups:
        """The groups of loads whose value is known."""
        return tuple((value, places) for value, places in self.groups if not _is_open(value))

    @property
    def undecided(self) -> int:
        """The number of loads whose value is left to the caller or loader, or unknown."""
        return self.total - sum(len(places) for _, places in self.decided)

    @property
    def common(self) -> str | None:
        """The most frequent value; None if no value is known."""
        return self.decided[0][0] if self.decided else None

    @property
    def odd(self) -> Groups:
        """The groups that never have the common value. If most loads do not set the setting, setting it is not odd."""
        common = self.common
        if common is None or common in UNCHOSEN:
            return ()
        alike = _alternatives(common)
        return tuple(
            (value, places) for value, places in self.decided[1:] if not _alternatives(value) & alike
        )

    @property
    def stands_out(self) -> bool:
        """Whether most of several loads set the same value, so that exceptions are worth reporting."""
        decided = self.decided
        return (
            bool(decided)
            and decided[0][0] not in UNCHOSEN
            and len(decided[0][1]) >= _FEW
            and 2 * len(decided[0][1]) > sum(len(places) for _, places in decided)
        )

    def away(self, setting: str) -> int:
        """The number of loads without the value that most loads with a value have."""
        if setting in FREE:
            return sum(len(places) for _, places in self.odd)
        chosen = [len(places) for value, places in self.decided if value not in UNCHOSEN]
        return self.total - self.undecided - max(chosen, default=0)


def _alternatives(value: str) -> set[str]:
    """The possible values; a pad token that ships with the tokenizer counts as set."""
    return {SET if part == SHIPPED else part for part in value.split(OR)}


def _is_open(value: str) -> bool:
    parts = value.split(OR)
    return any(part in OPEN or (part.endswith("(...)") and "Config" not in part) for part in parts)


@dataclass(frozen=True, slots=True)
class Consistency:
    """How consistent the loads of one kind are in one setting: all values, and separately those of similar loads."""

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
        """The number of loads that do not set it."""
        return sum(len(places) for value, places in self.groups if value in UNCHOSEN)

    @property
    def odd(self) -> int:
        """The number of loads that differ visibly from most loads of their kind."""
        return sum(len(places) for like in self.alike for _, places in like.odd)

    @property
    def away(self) -> int:
        return sum(like.away(self.setting) for like in self.alike)


def consistency(loads: Iterable[Load], converting: Container[str] = ()) -> tuple[Consistency, ...]:
    """Compare the calls that load directly; a call of a project function that loads is counted in that function.

    `converting` are the files that change or write weights: their precision determines their result.
    """
    direct = [load for load in loads if not load.indirect]
    found = []
    for kind, kinds, settings in (
        ("model", ("model", "pipeline"), MODEL_SETTINGS),
        ("tokenizer", ("tokenizer",), TOKENIZER_SETTINGS),
    ):
        chosen = [load for load in direct if load.kind in kinds]
        # Settings of tokenizers do not depend on the purpose of the model.
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
