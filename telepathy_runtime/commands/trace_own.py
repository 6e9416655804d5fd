"""`telepathy-runtime plan --trace MODULE:FUNCTION`: the bytes of a step of the user's own code."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from telepathy_runtime.commands.job_options import cards_of, exit_code
from telepathy_runtime.memory import render
from telepathy_runtime.memory.units import gib
from telepathy_runtime.models.spec import UnknownOptionError


def run(args: argparse.Namespace) -> int:
    """Trace the step that the user's function returns, and print its bytes.

    Raises UnknownOptionError for a name that is no function, ValueError for what its code raises.
    """
    from importlib import import_module

    from telepathy_runtime.memory.tracing import TraceError, trace

    module, _, function = args.trace.partition(":")
    if not function:
        raise UnknownOptionError(f"--trace must be MODULE:FUNCTION, not {args.trace!r}")
    sys.path.insert(0, str(Path.cwd()))
    if not module:
        raise UnknownOptionError(f"--trace must be MODULE:FUNCTION, not {args.trace!r}")
    build = getattr(import_module(module), function, None)
    if not callable(build):
        raise UnknownOptionError(f"--trace: module {module} has no function {function}")
    try:
        result = trace(build, padded=args.padded)
    except (TraceError, ValueError, OSError, ImportError) as error:
        raise ValueError(str(error)) from error
    except Exception as error:  # of the user's own code
        raise ValueError(f"--trace {args.trace}: {type(error).__name__}: {error}{_place(error)}") from error
    cards = cards_of(args)
    if args.json:
        known = [render.gpu_json(card, args.reserve) for card in cards]
        shown = dataclasses.asdict(result) | ({"gpu": known[0]} if len(known) == 1 else {"gpus": known})
        print(json.dumps(shown, indent=2))
    else:
        print(f"built {gib(result.built)}, peak {gib(result.peak_allocated)} at: {result.peak_at}")
        print("peak of each step: " + ", ".join(gib(peak) for peak in result.step_peaks))
        print(render.cards_text(result.peak_allocated, cards, args.reserve))
    return exit_code(result.peak_allocated, cards, args.reserve)


def _place(error: Exception) -> str:
    """The line of the user's code that raised an error: the last one outside of installed packages and of this one."""
    from traceback import extract_tb

    ours = str(Path(__file__).resolve().parents[1])
    own = [each for each in extract_tb(error.__traceback__) if "site-packages" not in each.filename]
    own = [each for each in own if not each.filename.startswith(ours)]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
