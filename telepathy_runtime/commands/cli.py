"""`telepathy-runtime`: one line a subcommand; each is a module that adds its parser and is imported when asked for."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence

from telepathy_lint.output import streams
from telepathy_runtime import __version__
from telepathy_runtime.errors import LoadError

PROGRAM = "telepathy-runtime"

# Module -> subcommands it brings. A module has add_parsers(subparsers); each sets `run` (arguments -> exit code).
COMMANDS: dict[str, tuple[str, ...]] = {
    "telepathy_runtime.commands.doctor": ("doctor",),
    "telepathy_runtime.commands.load": ("load",),
    "telepathy_runtime.commands.memory": ("models", "estimate", "plan", "compare"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Exit code 0: done; 1: a load cannot work as asked, said on standard error; 2: misused, or a file that cannot be
    read or written, standard output included. The parser ends the program itself for --help, --version and misuse.
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
        prog=PROGRAM, description="What the loader would do here, why, and what memory it takes."
    )
    parser.add_argument("--version", "-V", action="version", version=f"{PROGRAM} {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    wanted = next((word for word in given if not word.startswith("-")), None)
    for module, names in COMMANDS.items():
        # For one command only its own module is imported; for help, or a misspelling, all of them.
        if wanted in names or not any(wanted in others for others in COMMANDS.values()):
            importlib.import_module(module).add_parsers(subparsers)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
