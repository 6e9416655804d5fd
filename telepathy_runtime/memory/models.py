"""`telepathy-runtime models`: the models whose dimensions are known exactly."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

from telepathy_runtime import registry
from telepathy_runtime.memory import render
from telepathy_runtime.memory.units import gib
from telepathy_runtime.model_spec import ModelSpec

#: The columns that fit 80 characters; a wider terminal has them all.
NARROW = ("model", "parameters", "weights", "KV/token", "context")


def find(model: str) -> ModelSpec:
    """A spec by id, or from a folder or file of a config.json."""
    if Path(model).exists():
        return registry.from_config(model)
    return registry.get(model)


def run(args: argparse.Namespace) -> int:
    """Print one model in full, or a table of all."""
    specs = [find(args.model)] if args.model else list(registry.all_models())
    if args.json:
        shown = [dataclasses.asdict(s) | {"params": s.params, "params_bytes": s.params_bytes} for s in specs]
        print(json.dumps(shown, indent=2))
        return 0
    rows = [_cells(spec) for spec in specs]
    if args.model:
        print("\n".join(f"{name:<10}  {value}" for name, value in rows[0].items()))
        return 0
    text = render.table(list(rows[0]), [list(row.values()) for row in rows])
    if "\n\n" in text:  # it does not fit
        text = render.table(NARROW, [[row[name] for name in NARROW] for row in rows])
        more = ", ".join(name for name in rows[0] if name not in NARROW)
        text += (
            f"\n\nOnly on a wider terminal: {more}."
            "\n`telepathy-runtime models MODEL` and --json show everything."
        )
    print(text)
    return 0


def _cells(spec: ModelSpec) -> dict[str, str]:
    return {
        "model": spec.id,
        "parameters": f"{spec.params:,}",
        "weights": gib(spec.params_bytes),
        "dtype": spec.dtype,
        "layers": str(spec.layers),
        "hidden": str(spec.hidden),
        "heads/kv": f"{spec.heads}/{spec.kv_heads}",
        "vocab": str(spec.vocab),
        "tied": "yes" if spec.tied else "no",
        "KV/token": gib(spec.kv_bytes(1, 1)),
        "context": str(spec.max_positions),
    }
