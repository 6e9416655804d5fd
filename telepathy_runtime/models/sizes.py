"""The sizes of the listed models, for the linter, which asks at each load it finds.

The registry has them too, but takes 12 ms to import and to read, a fifth of a check of one file. `sizes.txt` is written
from the registry by `docs/generate.py`.
"""

from __future__ import annotations

import os
from functools import cache

FILE = os.path.join(os.path.dirname(__file__), "sizes.txt")


def size_of(model_id: str) -> tuple[int, int, str] | None:
    """The parameters of a model, their bytes in its checkpoint, and its dtype; None if it is not listed."""
    if model_id.split() != [model_id]:
        return None  # the table's own separators
    _, found, after = _text().partition(f"\n{model_id} ")
    if not found:
        return None
    params, stored, dtype = after.partition("\n")[0].split(" ")
    return int(params), int(stored), dtype


@cache
def _text() -> str:
    with open(FILE, encoding="utf-8") as file:
        return f"\n{file.read()}"


def written() -> str:
    """The text of `sizes.txt`: a line for each id, present or old, that the registry finds."""
    from telepathy_runtime.models import registry

    found = {each: registry.get(each) for each in registry.ids()}
    return "".join(
        f"{each} {spec.params} {spec.params_bytes} {spec.dtype}\n" for each, spec in sorted(found.items())
    )
