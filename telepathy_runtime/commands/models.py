"""`telepathy-runtime models`: list the models with known dimensions."""

from __future__ import annotations

import argparse
import dataclasses
import json

from telepathy_runtime.memory import render
from telepathy_runtime.memory.taped import PROGRAMS
from telepathy_runtime.memory.units import gib
from telepathy_runtime.models import lookup, registry
from telepathy_runtime.models.spec import ModelSpec

#: The columns that fit 80 characters; a wider terminal has them all.
NARROW = ("model", "parameters", "weights", "KV/token", "context")


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for other sources of models than the registry."""
    parser.add_argument("--registry", metavar="FILE", help="TOML file with your own models")
    parser.add_argument(
        "--online",
        action="store_true",
        help="fetch config.json from the hub for unknown ids",
    )


def find(args: argparse.Namespace, model: str) -> ModelSpec:
    """Find a spec by id or path, in the sources given by the options; the one that a script made of it comes first."""
    made: ModelSpec | None = getattr(args, "made", None)
    if made is not None and model == args.model:
        return made
    return lookup.find(model, lookup.Sources(args.registry, args.online))


def with_classifier(spec: ModelSpec, labels: int) -> ModelSpec:
    """A listed encoder with a classifier's head instead of a language model's.

    Raises UnknownOptionError for a model whose activations are not known with this head, and without torch.
    """
    config = registry.listed_config(spec.id) if spec.architecture in PROGRAMS else {}
    name, _, head = str(next(iter(config.get("architectures") or ()), "")).partition("For")
    if head != "MaskedLM":
        raise registry.UnknownOptionError(f"{spec.architecture} is only counted with a language model's head")
    classifier = {"architectures": [f"{name}ForSequenceClassification"], "num_labels": labels}
    return lookup.from_parsed(config | classifier, spec.id)


def run(args: argparse.Namespace) -> int:
    """Print one model in full, or a table of all models or of the search results."""
    if args.model and args.search:
        raise registry.UnknownOptionError("pass a model or --search, not both")
    own = registry.read_toml(args.registry)[0] if args.registry else ()
    specs = [find(args, args.model)] if args.model else [*own, *registry.all_models()]
    if args.search:
        specs = lookup.search(args.search, specs)
        if not specs:
            raise registry.UnknownModelError(f"no known model has {args.search!r} in its id or family")
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
