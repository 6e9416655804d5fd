"""Prints errors that a user can cause as one line, with exit code 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable


def guarded(command: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """Print errors that a user can cause as one line, and return exit code 2."""

    def run(args: argparse.Namespace) -> int:
        try:
            return command(args)
        except ModuleNotFoundError as error:
            extra = {"torch": "runtime", "transformers": "runtime", "matplotlib": "plot"}.get(
                error.name or ""
            )
            hint = f": pip install 'telepathy-lint[{extra}]'" if extra else ""
            print(f"telepathy-runtime: {error}{hint}", file=sys.stderr)
            return 2
        except (ValueError, OSError, ImportError) as error:
            text = str(error)
            if isinstance(error, OSError) and error.filename is not None:
                text = f"{error.filename}: {error.strerror}"
            print(f"telepathy-runtime: {text}", file=sys.stderr)
            return 2

    return run
