"""Checks the built-in registry against models built by transformers and against recorded parameter counts.

`python -m telepathy_runtime.models.verification [TEXT]` builds every listed model whose id contains the text.
"""

from __future__ import annotations

import os
import sys

from telepathy_runtime.models import registry
from telepathy_runtime.models.counting import count


def main() -> int:
    """Build every listed model and compare its count with the registry."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    wrong = 0
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    for model_id in registry.listed_ids():
        if wanted in model_id:
            said = difference(model_id)
            wrong += said is not None
            if said:
                print(f"{model_id}: {said}")
    print(f"{wrong} of {len(registry.listed_ids())} models differ")
    return int(wrong > 0)


def difference(model_id: str) -> str | None:
    """How a listed model differs from the build or from the recorded count; None if all agree."""
    spec, published = registry.get(model_id), registry.published_params(model_id)
    built = count(registry.listed_config(model_id))
    if (built.params, built.stored_bytes) != (spec.params, spec.stored_bytes):
        return f"{built} built, {spec.params} parameters and {spec.stored_bytes} stored bytes listed"
    if not agrees(spec.params, published):
        return f"{spec.params} listed, {published} published"
    return None


def agrees(params: int, published: int | str) -> bool:
    """Whether a count equals the recorded one, to the recorded number of digits ("6.74B")."""
    if isinstance(published, int):
        return params == published
    digits = len(published[:-1].partition(".")[2])
    return f"{params / {'B': 1e9, 'M': 1e6}[published[-1]]:.{digits}f}" == published[:-1]


if __name__ == "__main__":
    raise SystemExit(main())
