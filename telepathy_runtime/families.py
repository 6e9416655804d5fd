"""The families of models whose ids are known completely, old names included: does an id exist, and what is it called now?

Apart from the registry's dimensions because the linter asks in every run: this reads `models.toml` once, when first asked,
and imports next to nothing.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any, Literal, NamedTuple

# By name, because a type checker for 3.10 looks for tomli and one for 3.11 does not.
tomllib: Any = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

_SHIPPED = os.path.join(os.path.dirname(__file__), "models.toml")


class Family(NamedTuple):
    """The ids of one organisation that match `pattern`, all of them."""

    name: str
    organisation: str
    pattern: str
    members: frozenset[str]  # full ids that exist
    renamed: tuple[tuple[str, str], ...]  # (old id, present id), full ids

    def claims(self, model_id: str) -> bool:
        """Whether `model_id` reads as one of this family, whatever its case, existing or not."""
        organisation, _, name = model_id.partition("/")
        same = organisation.casefold() == self.organisation.casefold()
        return same and re.fullmatch(self.pattern, name, re.IGNORECASE) is not None


class IdStatus(NamedTuple):
    """What is known about an id: it exists, was renamed, does not exist, or is outside every family."""

    requested: str
    status: Literal["known", "renamed", "unknown", "outside"]
    canonical: str | None  # present id, where it exists
    nearest: tuple[str, ...] = ()  # ids that exist, nearest first, where it does not


@cache
def families() -> tuple[Family, ...]:
    """The families whose ids are known completely."""
    return tuple(family_of(entry) for entry in shipped()["family"])


def canonical_id(model_id: str, known: Sequence[Family] | None = None) -> str | None:
    """The present id of an existing model of a family in `known` (all by default); None for anything else."""
    for family in families() if known is None else known:
        if model_id in family.members:
            return model_id
        for old, present in family.renamed:
            if model_id == old:
                return present
    return None


def check_id(model_id: str, known: Sequence[Family] | None = None) -> IdStatus:
    """Whether an id exists, as far as families in `known` (all by default) tell; ids in their exact case."""
    known = families() if known is None else known
    present = canonical_id(model_id, known)
    if present is not None:
        return IdStatus(model_id, "known" if present == model_id else "renamed", present)
    for family in known:
        if family.claims(model_id):
            names = [*sorted(family.members), *(old for old, _ in family.renamed)]
            near = [canonical_id(name, known) or name for name in nearest_ids(model_id, names)]
            return IdStatus(model_id, "unknown", None, tuple(dict.fromkeys(near)))
    return IdStatus(model_id, "outside", None)


def nearest_ids(model_id: str, known: list[str]) -> list[str]:
    """Up to three of the known ids, nearest first."""
    import difflib

    by_lower = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(model_id.casefold(), list(by_lower), n=3, cutoff=0.6)
    return [by_lower[name] for name in close]


def load_toml(path: str | os.PathLike[str]) -> Any:
    """What a file in the format of `models.toml` holds, as it stands there."""
    with open(path, "rb") as file:
        return tomllib.load(file)


@cache
def shipped() -> dict[str, Any]:
    """What `models.toml` holds."""
    data: dict[str, Any] = load_toml(_SHIPPED)
    return data


def family_of(entry: dict[str, Any]) -> Family:
    """A family as `models.toml` writes it."""
    names = list(entry["members"])
    for shape in entry.get("size_members", ()):
        names += [shape.format(size=size) for size in entry["sizes"]]
    organisation = entry["organisation"]
    renamed = entry.get("renamed", {})
    return Family(
        name=entry["name"],
        organisation=organisation,
        pattern=entry["pattern"],
        members=frozenset(f"{organisation}/{name}" for name in names),
        renamed=tuple((f"{organisation}/{old}", f"{organisation}/{now}") for old, now in renamed.items()),
    )
