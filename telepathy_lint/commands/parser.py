"""The parser of the command line, with its help and its errors."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Iterable, Sequence

from telepathy_lint import __version__
from telepathy_lint.commands.options import columns
from telepathy_lint.hints import Any, NoReturn

#: Each subcommand is a module of `commands/` with a function of that name, and `add_options` if it has options.
SUBCOMMANDS = {
    "check": "lint and fix files, folders and notebooks",
    "audit": "report how a repository configures and loads its models",
    "survey": "lint the sources in a dataset and report how models are loaded",
    "migrate": "move a project to transformers 5: what changes, and what you have to decide",
    "rule": "print the documentation of a rule",
    "linter": "list all rules with code, name, fix and whether they are on by default",
    "config": "print the settings and where they come from",
    "cache": "print the location of the cache, or remove it",
    "server": "run the language server on standard input and output",
    "new": "create the skeleton of a rule, for contributors",
}
#: Subcommands whose options are in another module.
_OPTIONS = {"check": "check_options"}


class _Help(argparse.HelpFormatter):
    """Sets the width: argparse creates a formatter for every option and would import shutil, which is slow."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=max(columns(), 40) - 2)


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_Help, **options)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            near = _near(unknown[0].partition("=")[0], self._option_string_actions)
            what = "option" if unknown[0].startswith("-") else "argument"
            self.error(f"unexpected {what} {unknown[0]!r}{near}")
        return parsed, unknown

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\nFor more information, try '{self.prog} --help'.\n")


def _near(word: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(word, list(known), 1, 0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of a command line.

    Raises:
        SystemExit: help or an error was printed.
    """
    command = arguments[0] if arguments else ""
    top = parser(command)
    if not command:
        top.print_help(sys.stderr)
        sys.exit(2)
    if command not in SUBCOMMANDS and not command.startswith("-"):
        meant = f"; did you mean 'telepathy-lint check {command}'?" if os.path.exists(command) else ""
        top.error(f"unknown command {command!r}{meant or _near(command, SUBCOMMANDS)}")
    return top.parse_args(list(arguments))


def parser(command: str = "") -> argparse.ArgumentParser:
    """The parser. Only the named subcommand is built, because building all of them takes longer than most runs."""
    top = _Parser(
        prog="telepathy-lint",
        description="Finds and rewrites the way experiment code loads Hugging Face models.",
        allow_abbrev=False,
    )
    top.add_argument("--version", "-V", action="version", version=f"telepathy-lint {__version__}")
    subcommands = top.add_subparsers(dest="command", required=True, metavar="command")
    for name in (command,) if command in SUBCOMMANDS else SUBCOMMANDS:
        sub = subcommands.add_parser(
            name, help=SUBCOMMANDS[name], description=SUBCOMMANDS[name], allow_abbrev=False
        )
        if name == "check":
            sub.usage = "telepathy-lint check [OPTIONS] [PATH ...]"
            sub.epilog = "exit codes: 0 nothing found, 1 something found, 2 something could not be processed"
        if command == name:
            module = importlib.import_module(f"telepathy_lint.commands.{_OPTIONS.get(name, name)}")
            if hasattr(module, "add_options"):
                module.add_options(sub)
    return top
