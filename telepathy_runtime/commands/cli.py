"""`telepathy-runtime`: dispatches to subcommands. Their modules add the parsers and are imported only when needed."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence

from telepathy_lint._version import __version__
from telepathy_lint.output import streams
from telepathy_runtime.errors import LoadError

PROGRAM = "telepathy-runtime"

# Module -> its subcommands. A module has add_parsers(subparsers); each parser sets `run` (arguments -> exit code).
COMMANDS: dict[str, tuple[str, ...]] = {
    "telepathy_runtime.commands.doctor": ("doctor",),
    "telepathy_runtime.commands.load": ("load",),
    "telepathy_runtime.commands.memory": ("models", "estimate", "plan", "compare"),
    "telepathy_runtime.commands.placing": ("place", "serve"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Exit code 0: success; 1: a load cannot work as requested (the message is on standard error); 2: invalid arguments, or
    a file (or standard output) that cannot be read or written. For --help, --version and invalid arguments, the parser
    itself exits.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    parsed: list[argparse.Namespace] = []

    def parse() -> int:
        try:
            parsed.append(_parser(given).parse_args(given))
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else 2
        return 0

    code = streams.run(PROGRAM, parse)
    if not parsed:
        raise SystemExit(code)
    return streams.run(PROGRAM, lambda: _run(parsed[0]))


def _run(parsed: argparse.Namespace) -> int:
    run: Callable[[argparse.Namespace], int] = parsed.run
    try:
        return run(parsed)
    except LoadError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        print(f"{PROGRAM}: {where}{error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted", file=sys.stderr)
        return 130


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="Show what the loader does on this machine and why, and plan memory."
    )
    parser.add_argument("--version", "-V", action="version", version=f"{PROGRAM} {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    wanted = next((word for word in given if not word.startswith("-")), None)
    for module, names in COMMANDS.items():
        # Import only the module of the given command, or all of them for help or a misspelled command.
        if wanted in names or not any(wanted in others for others in COMMANDS.values()):
            importlib.import_module(module).add_parsers(subparsers)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
