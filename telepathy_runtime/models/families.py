"""The model families whose ids are all known, including old names: whether an id exists, and its present name.

This module is separate from the registry's dimensions and written in Python, because the linter uses it for
every file that mentions an id: importing a TOML parser and reading a file took 4 ms, a tenth of such a run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from telepathy_lint.hints import Any, Literal, NamedTuple

#: `pattern` matches the repository names of `organisation` that belong to the family; `members` lists all
#: that exist, so a matching name that is not listed does not exist. Listed names do not need dimensions.
#:
#: `renamed` are old names that the hub redirects (huggingface/candle#2576, October 2024). Only Llama 3.1 was renamed:
#: Meta-Llama-3-8B of Llama 3.0 keeps its prefix, and Llama-3-8B has never existed.
_FAMILIES: tuple[dict[str, Any], ...] = (
    {
        "name": "llama-3",
        "organisation": "meta-llama",
        "pattern": r"(Meta-)?Llama-3(\.\d+)?-.*",
        "members": [
            "Meta-Llama-3-8B", "Meta-Llama-3-8B-Instruct", "Meta-Llama-3-70B", "Meta-Llama-3-70B-Instruct",
            "Llama-3.1-8B", "Llama-3.1-8B-Instruct", "Llama-3.1-70B", "Llama-3.1-70B-Instruct",
            "Llama-3.1-405B", "Llama-3.1-405B-FP8", "Llama-3.1-405B-Instruct", "Llama-3.1-405B-Instruct-FP8",
            "Llama-3.2-1B", "Llama-3.2-1B-Instruct", "Llama-3.2-3B", "Llama-3.2-3B-Instruct",
            "Llama-3.2-1B-Instruct-QLORA_INT4_EO8", "Llama-3.2-1B-Instruct-SpinQuant_INT4_EO8",
            "Llama-3.2-3B-Instruct-QLORA_INT4_EO8", "Llama-3.2-3B-Instruct-SpinQuant_INT4_EO8",
            "Llama-3.2-11B-Vision", "Llama-3.2-11B-Vision-Instruct",
            "Llama-3.2-90B-Vision", "Llama-3.2-90B-Vision-Instruct",
            "Llama-3.3-70B-Instruct",
        ],
        "renamed": {
            "Meta-Llama-3.1-8B": "Llama-3.1-8B",
            "Meta-Llama-3.1-8B-Instruct": "Llama-3.1-8B-Instruct",
            "Meta-Llama-3.1-70B": "Llama-3.1-70B",
            "Meta-Llama-3.1-70B-Instruct": "Llama-3.1-70B-Instruct",
            "Meta-Llama-3.1-405B": "Llama-3.1-405B",
            "Meta-Llama-3.1-405B-FP8": "Llama-3.1-405B-FP8",
            "Meta-Llama-3.1-405B-Instruct": "Llama-3.1-405B-Instruct",
            "Meta-Llama-3.1-405B-Instruct-FP8": "Llama-3.1-405B-Instruct-FP8",
        },
    },
    {
        "name": "mistral-7b",
        "organisation": "mistralai",
        "pattern": r"Mistral-7B-.*",
        "members": [
            # No v0.2 base model: mistral-community converted it from Mistral's own archive.
            "Mistral-7B-v0.1", "Mistral-7B-Instruct-v0.1", "Mistral-7B-Instruct-v0.2",
            "Mistral-7B-v0.3", "Mistral-7B-Instruct-v0.3",
        ],
    },
    {
        "name": "qwen2.5",
        "organisation": "Qwen",
        # Coder, Math, VL and Omni are separate families whose ids are not all known here.
        "pattern": r"Qwen2\.5-[\d.]+B.*",
        "sizes": ["0.5B", "1.5B", "3B", "7B", "14B", "32B", "72B"],
        "size_members": [
            "Qwen2.5-{size}", "Qwen2.5-{size}-Instruct", "Qwen2.5-{size}-Instruct-AWQ",
            "Qwen2.5-{size}-Instruct-GGUF", "Qwen2.5-{size}-Instruct-GPTQ-Int4", "Qwen2.5-{size}-Instruct-GPTQ-Int8",
        ],
        "members": ["Qwen2.5-7B-Instruct-1M", "Qwen2.5-14B-Instruct-1M"],
    },
)  # fmt: skip


class Family(NamedTuple):
    """All ids of one organisation that match `pattern`."""

    name: str
    organisation: str
    pattern: str
    members: frozenset[str]  # full ids that exist
    renamed: tuple[tuple[str, str], ...]  # (old id, present id), full ids

    def claims(self, model_id: str) -> bool:
        """Whether `model_id` looks like an id of this family, ignoring case, whether or not it exists."""
        organisation, _, name = model_id.partition("/")
        same = organisation.casefold() == self.organisation.casefold()
        return same and re.fullmatch(self.pattern, name, re.IGNORECASE) is not None


class IdStatus(NamedTuple):
    """The status of an id: it exists, was renamed, does not exist, or is in no known family."""

    requested: str
    status: Literal["known", "renamed", "unknown", "outside"]
    canonical: str | None  # present id, if it exists
    nearest: tuple[str, ...] = ()  # if it does not exist: existing ids, nearest first
    spelled: str | None = (
        None  # the present id whose name, or old name, only differs by upper and lower case; the hub finds it
    )


@cache
def families() -> tuple[Family, ...]:
    """The families whose ids are all known."""
    return tuple(family_of(entry) for entry in _FAMILIES)


def canonical_id(model_id: str, known: Sequence[Family] | None = None) -> str | None:
    """The present id of an existing model in the families `known` (default: all); None for anything else."""
    for family in families() if known is None else known:
        if model_id in family.members:
            return model_id
        for old, present in family.renamed:
            if model_id == old:
                return present
    return None


def check_id(model_id: str, known: Sequence[Family] | None = None) -> IdStatus:
    """Whether an id exists according to the families in `known` (default: all); ids are case-sensitive."""
    known = families() if known is None else known
    present = canonical_id(model_id, known)
    if present is not None:
        return IdStatus(model_id, "known" if present == model_id else "renamed", present)
    for family in known:
        if family.claims(model_id):
            names = [*sorted(family.members), *(old for old, _ in family.renamed)]
            near = [canonical_id(name, known) or name for name in nearest_ids(model_id, names)]
            same = (name for name in names if name.casefold() == model_id.casefold())
            spelled = next((canonical_id(name, known) for name in same), None)
            return IdStatus(model_id, "unknown", None, tuple(dict.fromkeys(near)), spelled)
    return IdStatus(model_id, "outside", None)


def nearest_ids(model_id: str, known: list[str]) -> list[str]:
    """Up to three of the known ids, nearest first."""
    import difflib

    by_lower = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(model_id.casefold(), list(by_lower), n=3, cutoff=0.6)
    return [by_lower[name] for name in close]


def family_of(entry: dict[str, Any]) -> Family:
    """Create a family from an entry as above, or from a TOML file."""
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
