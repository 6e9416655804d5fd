"""The command line: runs the function of a subcommand.

Exit codes: 0 if nothing was found, 1 if something was found, 2 for errors. Modules are imported only when they are
needed: a run over files that load no model costs little more than the interpreter.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Sequence

from telepathy_lint.commands.options import Usage as Usage
from telepathy_lint.commands.plain import plainly_given
from telepathy_lint.hints import Any
from telepathy_lint.output import streams


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return the exit code."""
    collecting = gc.isenabled()
    # All trees and values of a file are freed together: garbage collection would only cost time.
    gc.disable()
    try:
        return streams.run("telepathy-lint", lambda: _run(arguments))
    finally:
        if collecting:
            gc.enable()


def _run(arguments: Sequence[str]) -> int:
    options = plainly_given(arguments)
    if options is None:
        from telepathy_lint.commands.parser import parsed

        try:
            options = parsed(arguments)
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else 2
    from telepathy_lint.discovery.config import ConfigError

    try:
        return int(_command(options.command)(options))
    except (ConfigError, Usage) as error:
        print(f"telepathy-lint: error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        print(f"telepathy-lint: error: {where}{error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("telepathy-lint: interrupted", file=sys.stderr)
        return 130


def _command(name: str) -> Any:
    return getattr(importlib.import_module(f"telepathy_lint.commands.{name}"), name)
