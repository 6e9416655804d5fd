"""`telepathy-runtime load MODEL`: a real load and its report, or with --dry-run the plan alone."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from telepathy_runtime.choose.plan import LoadPlan

# Words on the command line for values that are none.
_WORDS = {"none": None}


def add_parsers(subparsers: Any) -> None:
    parser = subparsers.add_parser("load", help="load a model and report what came out, or only plan it")
    parser.add_argument("model", help="hub id or folder")
    add_load_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="print the plan and load nothing")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def add_load_arguments(parser: argparse.ArgumentParser) -> None:
    """The settings of load_model; `none` leaves one to transformers."""
    parser.add_argument("--model-class", metavar="NAME", help="class of transformers (AutoModelForCausalLM)")
    parser.add_argument("--dtype", default="bfloat16", metavar="DTYPE", help="precision of the weights")
    parser.add_argument(
        "--device-map", default="resolve", metavar="MAP", help="placement; resolve: by what is here"
    )
    parser.add_argument(
        "--attn-implementation", default="resolve", metavar="NAME", help="attention; resolve: by what is here"
    )
    parser.add_argument("--revision", metavar="REVISION", help="branch, tag or commit of the checkpoint")
    parser.add_argument("--cache-dir", metavar="FOLDER", help="where downloads are kept")
    parser.add_argument(
        "--subfolder", metavar="FOLDER", help="folder of the checkpoint inside its repository"
    )


def load_arguments(arguments: argparse.Namespace) -> dict[str, Any]:
    """The keywords of load_model that the command line asks for."""
    keywords: dict[str, Any] = {
        name: _WORDS.get(value, value)
        for name, value in (
            ("dtype", arguments.dtype),
            ("device_map", arguments.device_map),
            ("attn_implementation", arguments.attn_implementation),
        )
    }
    if arguments.model_class is not None:
        keywords["model_class"] = _class(arguments.model_class)
    for name in ("revision", "cache_dir", "subfolder"):
        if getattr(arguments, name) is not None:
            keywords[name] = getattr(arguments, name)
    return keywords


def planned(arguments: argparse.Namespace) -> LoadPlan:
    """The plan of the load. Raises LoadError, also for a folder that is not there, which a plan alone would not notice."""
    from telepathy_runtime import plan_load
    from telepathy_runtime.checkpoint import downloads
    from telepathy_runtime.errors import ModelMissingError

    if downloads.looks_like_path(arguments.model) and not Path(arguments.model).is_dir():
        missing = Path(arguments.model).absolute()
        raise ModelMissingError(
            f"planning {arguments.model!r}", f"there is no folder {missing}", "correct the path"
        )
    return plan_load(arguments.model, **load_arguments(arguments))


def _class(name: str) -> Any:
    from telepathy_runtime.errors import ModelClassError
    from telepathy_runtime.machine.environment import need

    found = getattr(need("transformers"), name, None)
    if found is None:
        raise ModelClassError(f"--model-class {name}", "transformers has no such class", "correct the name")
    return found


def run(arguments: argparse.Namespace) -> int:
    from telepathy_runtime import LoadReport, load_model

    if arguments.dry_run:
        plan = planned(arguments)
        print(json.dumps(plan.to_dict(), indent=2) if arguments.json else plan.describe())
        return 0
    seen: list[LoadReport] = []
    load_model(arguments.model, report=seen.append, **load_arguments(arguments))
    report = seen[0]
    print(json.dumps(report.to_dict(), indent=2) if arguments.json else report.describe())
    return 0
