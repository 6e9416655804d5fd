"""`telepathy-runtime load MODEL`: loads a model and prints the report; with --dry-run, only the plan."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from telepathy_runtime.choose.plan import LoadPlan

# Values that the command line can only give as words.
_WORDS = {"none": None}
# The same as in purpose.py, which --help does not import.
_PURPOSES = ("inference", "training", "finetune-adapters")


def add_parsers(subparsers: Any) -> None:
    parser = subparsers.add_parser("load", help="load a model and report what came out, or only plan it")
    parser.add_argument("model", help="hub id or folder")
    add_load_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="print the plan and load nothing")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def add_load_arguments(parser: argparse.ArgumentParser) -> None:
    """Add options for the settings of load_model; `none` leaves a setting to transformers."""
    parser.add_argument("--model-class", metavar="NAME", help="class of transformers (AutoModelForCausalLM)")
    parser.add_argument(
        "--dtype", default="resolve", metavar="DTYPE", help="precision of the weights; resolve: by purpose"
    )
    parser.add_argument(
        "--device-map", default="resolve", metavar="MAP", help="placement; resolve: by what is here"
    )
    parser.add_argument(
        "--attn-implementation", default="resolve", metavar="NAME", help="attention; resolve: by what is here"
    )
    parser.add_argument(
        "--purpose",
        choices=_PURPOSES,
        metavar="PURPOSE",
        help=f"what the model is for: {', '.join(_PURPOSES)}",
    )
    parser.add_argument("--quantization", metavar="NAME", help="way to quantise: nf4, int8, torchao-int8 ...")
    parser.add_argument(
        "--trust-remote-code", action="store_true", help="run the model code that the repository brings"
    )
    parser.add_argument(
        "--token", metavar="TOKEN", help="access token of the hub; HF_TOKEN keeps it out of ps"
    )
    parser.add_argument("--revision", metavar="REVISION", help="branch, tag or commit of the checkpoint")
    parser.add_argument("--cache-dir", metavar="FOLDER", help="where downloads are kept")
    parser.add_argument(
        "--subfolder", metavar="FOLDER", help="folder of the checkpoint inside its repository"
    )


def load_arguments(arguments: argparse.Namespace) -> dict[str, Any]:
    """The keywords of load_model, from the command line."""
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
    for name in (
        "revision",
        "cache_dir",
        "subfolder",
        "purpose",
        "quantization",
        "token",
        "trust_remote_code",
    ):
        if getattr(arguments, name):
            keywords[name] = getattr(arguments, name)
    return keywords


def planned(arguments: argparse.Namespace) -> LoadPlan:
    """Plan the load. Raises LoadError; a missing folder raises it here, because a plan alone does not notice it."""
    from telepathy_runtime import plan_load
    from telepathy_runtime.checkpoint import downloads
    from telepathy_runtime.errors import ModelMissingError

    if downloads.looks_like_path(arguments.model) and not os.path.isdir(arguments.model):
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


def folded(text: str, indent: int = 4) -> str:
    """Wrap `text` to the terminal (80 columns if there is none), with continuation lines indented."""
    width = max(shutil.get_terminal_size().columns, 40) if sys.stdout.isatty() else 80
    lines = []
    for line in text.splitlines():
        deeper = " " * (len(line) - len(line.lstrip()) + indent)
        lines += textwrap.wrap(
            line, width, subsequent_indent=deeper, break_long_words=False, break_on_hyphens=False
        ) or [""]
    return "\n".join(lines)


def run(arguments: argparse.Namespace) -> int:
    from telepathy_runtime import LoadReport, load_model

    if arguments.dry_run:
        plan = planned(arguments)
        print(json.dumps(plan.to_dict(), indent=2) if arguments.json else folded(plan.describe()))
        return 0
    seen: list[LoadReport] = []
    load_model(arguments.model, report=seen.append, **load_arguments(arguments))
    report = seen[0]
    # The warnings are logged to standard error.
    print(json.dumps(report.to_dict(), indent=2) if arguments.json else folded(report.describe()))
    return 0
