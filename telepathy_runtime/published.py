"""How large the published weights of the listed models are, for whoever may not parse TOML: the linter, in every run."""

from __future__ import annotations

import os
import re
from functools import cache

from telepathy_runtime.families import canonical_id

_SHIPPED = os.path.join(os.path.dirname(__file__), "models.toml")


@cache
def _sizes() -> dict[str, int]:
    # As text: parsing the table takes longer than linting a file, and `registry` is tested to say the same.
    with open(_SHIPPED, encoding="utf-8") as file:
        text = file.read()
    return {
        model_id: int(size)
        for ids, size in re.findall(r"(?ms)^ids = \[(.*?)\]$.*?^total_size = (\d+)$", text)
        for model_id in re.findall(r'"(.*?)"', ids)
    }


def published_bytes(model_id: str) -> int | None:
    """Bytes of a model's published weights, which are in bfloat16; None where the model, by any of its ids, is not listed."""
    return _sizes().get(canonical_id(model_id) or model_id)
