"""Checks the built-in registry against models built by transformers and against recorded parameter counts.

`python -m telepathy_runtime.models.verification [TEXT]` builds every listed model whose id contains the text;
`--record FILE` builds all of them and writes down the result. Models that share every dimension are built once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from telepathy_runtime.models import registry
from telepathy_runtime.models.counting import Count, count


def main(arguments: Sequence[str] | None = None) -> int:
    """Build listed models and compare their counts with the registry; the exit code is 1 if one differs."""
    parser = argparse.ArgumentParser(
        prog="python -m telepathy_runtime.models.verification", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("text", nargs="?", default="", help="only models whose id contains this")
    parser.add_argument("--record", metavar="FILE", help="write the result of all models to this file")
    args = parser.parse_args(arguments)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    wanted = [ids[0] for ids in registry.entries() if args.record or any(args.text in each for each in ids)]
    differ = {}
    for model_id in wanted:
        said = difference(model_id)
        if said:
            differ[model_id] = said
            print(f"{model_id}: {said}")
    print(f"{len(differ)} of {len(wanted)} models differ")
    if args.record:
        with open(args.record, "w", encoding="utf-8") as file:
            json.dump(record(len(wanted), differ), file, indent=2)
            file.write("\n")
    return int(bool(differ))


def record(built: int, differ: dict[str, str]) -> dict[str, Any]:
    """A result: how many models were built, by which releases, from which registry, and which differ."""
    import torch
    import transformers

    return {
        "registry_sha256": digest(),
        "built": built,
        "differ": differ,
        "transformers": transformers.__version__,
        "torch": torch.__version__,
    }


def digest() -> str:
    """The SHA-256 of the registry's file: a record of another one is out of date."""
    with open(registry.FILE, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def difference(model_id: str) -> str | None:
    """How a listed model differs from the build or from the recorded count; None if all agree."""
    spec, published = registry.get(model_id), registry.published_params(model_id)
    built = count(registry.listed_config(model_id))
    listed = Count(spec.params, spec.stored_bytes, spec.tower)
    if built != listed:
        return f"{built} built, {listed} listed"
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
    sys.exit(main())
