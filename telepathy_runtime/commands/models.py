"""`telepathy-runtime models`: the models whose dimensions are known exactly."""

from __future__ import annotations

import argparse
import dataclasses
import json

from telepathy_runtime.memory import render
from telepathy_runtime.memory.units import gib
from telepathy_runtime.models import lookup, registry
from telepathy_runtime.models.spec import ModelSpec

#: The columns that fit 80 characters; a wider terminal has them all.
NARROW = ("model", "parameters", "weights", "KV/token", "context")


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """The options that say where to look for a model beside the registry."""
    parser.add_argument("--registry", metavar="FILE", help="a TOML file with models of your own")
    parser.add_argument(
        "--online",
        action="store_true",
        help="fetch config.json from the hub for an id that is not known here",
    )


def find(args: argparse.Namespace, model: str) -> ModelSpec:
    """A spec by id or path, looked up as the options say."""
    return lookup.find(model, lookup.Sources(args.registry, args.online))


def run(args: argparse.Namespace) -> int:
    """Print one model in full, or a table of all, or of those that a search finds."""
    if args.model and args.search:
        raise registry.UnknownOptionError("give a model or --search, not both")
    own = registry.read_toml(args.registry)[0] if args.registry else ()
    specs = [find(args, args.model)] if args.model else [*own, *registry.all_models()]
    if args.search:
        specs = lookup.search(args.search, specs)
        if not specs:
            raise registry.UnknownModelError(f"no known model holds {args.search!r} in its id or family")
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
        "layers": str(spec.layers or "-"),
        "hidden": str(spec.hidden or "-"),
        "heads/kv": f"{spec.heads}/{spec.kv_heads}" if spec.heads else "-",
        "vocab": str(spec.vocab or "-"),
        "tied": "yes" if spec.tied else "no",
        "KV/token": gib(spec.kv_bytes(1, 1)) if spec.kv_bytes(1, 1) else "-",
        "context": str(spec.max_positions or "-"),
    }
