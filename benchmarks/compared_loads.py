"""Compares the outcomes of benchmarks/run_load_parts.py before and after a fix, to find what it broke."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

#: Code of a finding -> the properties of a model or tokenizer that its fix may change, from the rules' pages.
CHANGES = {
    "TLP101": {"devices"},
    "TLP102": {"dtypes"},
    "TLP103": {"dtypes"},
    "TLP104": {"attention"},
    "TLP105": {"generation"},
    "TLP201": {"pad"},
}
#: Properties of a loaded object that are compared directly.
_PARTS = (
    "kind", "class", "pipeline", "dtypes", "devices", "training", "gradients", "attention", "generation", "pad", "side", "size",
    "ids",
)  # fmt: skip
#: Statements that a fix adds.
_ADDED = re.compile(
    r"(?:runtime_)?apply_generation_config\(|[\w.]+\.pad_token = ([\w.]+)\.pad_token or \1\.eos_token$"
)


def is_run(outcome: dict[str, Any] | None) -> bool:
    """Whether the load itself succeeded and returned an object."""
    return (
        bool(outcome) and (outcome or {}).get("loaded") is not None and _error_of_load(outcome or {}) is None
    )


def _error_of_load(outcome: dict[str, Any]) -> str | None:
    return next((error for key, error, _ in outcome.get("statements", ()) if key == "the load"), "no load")


def compared(
    before: dict[str, Any], after: dict[str, Any], codes: frozenset[str], beside: frozenset[str] = frozenset()
) -> Iterator[tuple[str, str]]:
    """The breakages, as kind and description. `codes` were fixed at this load, `beside` at others in the file."""
    if "crash" in after:
        yield "crash", after["crash"][-200:]
        return
    outcomes = {key: (error, value) for key, error, value in _numbered(before["statements"])}
    may = _changed_by(codes)
    not_made = False
    for key, error, value in _numbered(after["statements"]):
        # A fix adds its statement behind a load; where the stand-in's load raises, the program does not get there.
        added = _ADDED.match(key) is not None and key not in outcomes
        if added and not_made:
            continue
        not_made = error is not None
        known = key in outcomes or added
        old_error, old_value = outcomes.get(key, (None, None))
        if "TooLong" in (error, old_error) or not known:
            continue
        if error is not None and old_error is None:
            kind = "the load raises" if key == "the load" else "a statement behind the load raises"
            yield f"{kind}: {error.partition(':')[0]}", f"{key[:120]} -> {error[:200]}"
        elif not may and not beside and value and old_value not in (None, value):
            yield "a statement behind the load gives something else", key[:160]
    old, new = before["loaded"], after["loaded"]
    if new is None:
        return
    if may & {"devices", "dtypes"} and old.get("gradients") and any("peft" in key for key in outcomes):
        may = may | {"gradients"}  # purpose="finetune-adapters" freezes the loaded weights, as peft does
    for name in _PARTS:
        if name not in may and old.get(name) != new.get(name):
            yield f"{name} differs", f"{_short(old.get(name))} -> {_short(new.get(name))}"
    numbers_may = bool(may & {"dtypes", "attention"})
    for name in ("forward", "generate"):
        (old_error, old_value), (new_error, new_value) = (
            each.get(name) or [None, None] for each in (old, new)
        )
        if old_error is None and new_error is not None:
            yield f"{name} raises: {new_error.partition(':')[0]}", new_error
        elif not numbers_may and "generation" not in may and old_error is None and old_value != new_value:
            yield f"{name} gives something else", f"{_short(old_value)} -> {_short(new_value)}"
    yield from _saved_differently(old, new, may | _changed_by(beside))


def _changed_by(codes: frozenset[str]) -> set[str]:
    return set().union(*(CHANGES.get(code, set()) for code in codes))


def _numbered(statements: list[list[Any]]) -> Iterator[tuple[str, str | None, Any]]:
    """The outcomes of statements, with unique keys for equal statements."""
    seen: Counter[str] = Counter()
    for key, error, value in statements:
        seen[key] += 1
        yield (key if seen[key] == 1 else f"{key} ({seen[key]})"), error, value


def _saved_differently(old: dict[str, Any], new: dict[str, Any], may: set[str]) -> Iterator[tuple[str, str]]:
    (old_error, before), (new_error, after) = (each.get("saved") or [None, None] for each in (old, new))
    if old_error is None and new_error is not None:
        yield f"saving raises: {new_error.partition(':')[0]}", new_error
    if not before or not after:
        return
    for name in sorted({*before, *after}):
        one, other = before.get(name), after.get(name)
        if "dtypes" in may:
            one, other = (_without(each, "dtype", "torch_dtype") for each in (one, other))
            if name.endswith(".safetensors"):
                continue
        if (
            "pad" in may
        ):  # `model.config.pad_token_id = tokenizer.pad_token_id`, and an embedding for a new token
            one, other = (_without(each, "pad_token_id") for each in (one, other))
        if one != other:
            yield f"saves another {name.rpartition('.')[2]}: {name}", f"{_short(one)} -> {_short(other)}"


def _without(value: Any, *names: str) -> Any:
    if isinstance(value, dict):
        return {key: _without(each, *names) for key, each in value.items() if key not in names}
    return value


def _short(value: object) -> str:
    return json.dumps(value, default=str)[:160]
