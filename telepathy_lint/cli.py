"""The command line: arguments to options, and one function a subcommand.

Exit codes: 0 nothing found, 1 something found, 2 could not do it. Whatever is not needed is not imported: a run over
files that load no model costs little more than the interpreter and argparse.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from telepathy_lint import __version__, streams
from telepathy_lint.output import FORMATS

SUBCOMMANDS = ("check", "audit", "rule", "config", "cache", "server", "new")


class Usage(Exception):  # noqa: N818 - not an error of the program but of how it was called
    """A combination of options that cannot be honoured."""


def columns() -> int:
    """How wide the terminal is; 80 where there is none."""
    try:
        return int(os.environ.get("COLUMNS") or os.get_terminal_size().columns)
    except (OSError, ValueError):
        return 80


class _Help(argparse.HelpFormatter):
    """argparse makes a formatter for every option it is given, and asks shutil, a slow import, how wide each may be."""

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


def run(arguments: Sequence[str]) -> int:
    """Run a command line; the exit code."""
    collecting = gc.isenabled()
    # Trees and values of a file are all dropped together with it: collections only cost time.
    gc.disable()
    try:
        return streams.run("telepathy-lint", lambda: _run(arguments))
    finally:
        if collecting:
            gc.enable()


def _run(arguments: Sequence[str]) -> int:
    command = arguments[0] if arguments else ""
    top = parser(command)
    try:
        if not command:
            top.print_help(sys.stderr)
            return 2
        if command not in SUBCOMMANDS and not command.startswith("-"):
            meant = f"; did you mean 'telepathy-lint check {command}'?" if os.path.exists(command) else ""
            top.error(f"unknown command {command!r}{meant or _near(command, SUBCOMMANDS)}")
        options = top.parse_args(list(arguments))
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    from telepathy_lint.config import ConfigError

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
    if name == "check":
        from telepathy_lint.commands.check import check

        return check
    if name == "audit":
        from telepathy_lint.commands.audit import audit

        return audit
    if name == "rule":
        from telepathy_lint.commands.rule import rule

        return rule
    if name == "cache":
        from telepathy_lint.commands.cache import cache

        return cache
    if name == "new":
        from telepathy_lint.commands.new import new

        return new
    if name == "server":
        from telepathy_lint.commands.server import server

        return server
    from telepathy_lint.commands.config import config

    return config


def parser(command: str = "") -> argparse.ArgumentParser:
    """The parser; only the named subcommand is built, since building all costs more than most runs."""
    top = _Parser(
        prog="telepathy-lint",
        description="Finds and rewrites the way experiment code loads Hugging Face models.",
        allow_abbrev=False,
    )
    top.add_argument("--version", "-V", action="version", version=f"telepathy-lint {__version__}")
    subcommands = top.add_subparsers(dest="command", required=True, metavar="command")
    build = {
        "check": _add_check,
        "audit": _add_audit,
        "rule": _add_rule,
        "config": _add_config,
        "cache": _add_cache,
        "new": _add_new,
    }
    texts = {
        "check": "lint files, folders and notebooks, and fix them",
        "audit": "write how a whole repository configures and loads its models",
        "rule": "print a rule's documentation",
        "config": "print what is configured and where it comes from",
        "cache": "say where results are kept between runs, or remove them",
        "new": "write the beginning of a rule, for contributors",
        "server": "speak the language server protocol on standard input and output",
    }
    for name in (command,) if command in SUBCOMMANDS else SUBCOMMANDS:
        sub = subcommands.add_parser(name, help=texts[name], description=texts[name], allow_abbrev=False)
        if name == "check":
            sub.usage = "telepathy-lint check [OPTIONS] [PATH ...]"
            sub.epilog = "exit status: 0 nothing found, 1 something found, 2 something could not be done"
        if command == name and name in build:
            build[name](sub)
    return top


def _codes(text: str) -> list[str]:
    return [code for code in text.replace(",", " ").split() if code]


def _per_file(text: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """`pattern:CODE,CODE` pairs, as Ruff takes them."""
    pairs: dict[str, list[str]] = {}
    pattern = ""
    for part in text.replace(",", " ").split():
        before, colon, code = part.rpartition(":")
        pattern = before if colon else pattern
        if not pattern or not code:
            raise argparse.ArgumentTypeError(f"expected pattern:CODE, got {part!r}")
        pairs.setdefault(pattern, []).append(code)
    return tuple((pattern, tuple(codes)) for pattern, codes in pairs.items())


def _add_check(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "paths", nargs="*", default=["."], metavar="PATH", help="files, folders, notebooks; - for stdin"
    )
    fixing = sub.add_argument_group("fixing")
    _flag(fixing, "fix", "apply safe fixes")
    _flag(fixing, "unsafe-fixes", "count fixes that change numbers or decoding as safe")
    _flag(fixing, "show-fixes", "say what was fixed; show unsafe fixes too")
    fixing.add_argument(
        "--diff", action="store_true", help="print what the fixes would change, and change nothing"
    )
    fixing.add_argument("--fix-only", action="store_true", help="apply fixes and report nothing else")
    fixing.add_argument("--exit-non-zero-on-fix", action="store_true", help="exit 1 if anything was fixed")
    fixing.add_argument(
        "--fix-style",
        dest="fix-style",
        choices=("loader", "inline"),
        help="rewrite to the loader (default), or set arguments in place",
    )
    fixing.add_argument(
        "--target-transformers",
        dest="target-transformers",
        metavar="VERSION",
        help="lowest transformers version to support (default: what requirement files say)",
    )
    choosing = sub.add_argument_group("rules and files")
    for key, text in (
        ("select", "rules to use: codes, prefixes, names or ALL, with commas between"),
        ("ignore", "rules to leave out"),
        ("extend-select", "rules to use beside those selected already"),
    ):
        choosing.add_argument(f"--{key}", dest=key, type=_codes, action="extend", metavar="CODES", help=text)
    choosing.add_argument(
        "--per-file-ignores",
        dest="per-file-ignores",
        type=_per_file,
        metavar="PATTERN:CODES",
        help="rules to leave out in the files of a pattern",
    )
    for key, text in (
        (
            "exclude",
            "names or globs of what is not linted (with / at the end: of folders), instead of the default ones",
        ),
        ("extend-exclude", "names or globs beside those"),
    ):
        choosing.add_argument(
            f"--{key}", dest=key, type=_codes, action="extend", metavar="PATTERNS", help=text
        )
    _flag(choosing, "force-exclude", "leave excluded files out even when named")
    _flag(choosing, "respect-gitignore", "leave out what git ignores (default; --no-respect-gitignore)")
    output = sub.add_argument_group("output")
    output.add_argument(
        "--output-format",
        dest="output-format",
        choices=tuple(FORMATS),
        metavar="FORMAT",
        help=f"{', '.join(FORMATS)} (default: full)",
    )
    output.add_argument("--output-file", "-o", metavar="FILE", help="write the report there")
    output.add_argument("--statistics", action="store_true", help="count findings by rule")
    output.add_argument("--show-files", action="store_true", help="print the files that would be linted")
    output.add_argument("--quiet", "-q", action="store_true", help="print findings, and nothing else")
    output.add_argument("--verbose", "-v", action="store_true", help="say what is done, and show tracebacks")
    output.add_argument("--exit-zero", "-e", action="store_true", help="exit 0 even if something was found")
    adopting = sub.add_argument_group("suppression and baselines")
    adopting.add_argument("--add-noqa", action="store_true", help="add a noqa comment for every finding")
    _flag(adopting, "report-unused-noqa", "report suppression comments that silence nothing")
    adopting.add_argument("--baseline", metavar="FILE", help="report only what FILE does not list")
    adopting.add_argument(
        "--write-baseline", action="store_true", help="write all findings to the baseline file"
    )
    running = sub.add_argument_group("running")
    running.add_argument("--stdin-filename", metavar="NAME", help="the name of the file on standard input")
    running.add_argument(
        "--jobs", "-j", type=int, metavar="N", help="number of processes (default: what the work needs)"
    )
    running.add_argument("--no-cache", action="store_true", help="use and write no results of other runs")
    _add_cache_dir(running)
    running.add_argument("--watch", "-w", action="store_true", help="run again whenever a file changes")
    _add_where(running)


def _flag(group: Any, key: str, text: str) -> None:
    group.add_argument(f"--{key}", dest=key, action="store_true", default=None, help=text)
    group.add_argument(f"--no-{key}", dest=key, action="store_false", default=None, help=argparse.SUPPRESS)


def _add_cache_dir(group: Any) -> None:
    group.add_argument(
        "--cache-dir", dest="cache-dir", metavar="FOLDER", help="where results are kept between runs"
    )


def _add_where(group: Any) -> None:
    group.add_argument("--config", metavar="FILE", help="use this configuration file for everything")
    group.add_argument("--isolated", action="store_true", help="read no configuration file")


def _add_audit(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("path", nargs="?", default=".", metavar="PATH", help="the folder or file to audit")
    sub.add_argument("--format", choices=("markdown", "json", "html"), default="markdown")
    sub.add_argument("--output", "-o", metavar="FILE", help="write the document there")
    sub.add_argument(
        "--gpu", metavar="NAME", help="the GPU that memory is compared with (default: H100-80GB)"
    )
    sub.add_argument(
        "--against", metavar="OLD", help="an audit kept as JSON: say what got better and worse since"
    )
    sub.add_argument(
        "--fail-on-worse", action="store_true", help="with --against: exit 1 if anything got worse"
    )
    sub.add_argument(
        "--fail-under", type=float, metavar="PERCENT", help="exit 1 if fewer calls are without a finding"
    )
    sub.add_argument(
        "--jobs", "-j", type=int, metavar="N", help="number of processes (default: what the work needs)"
    )
    _add_where(sub)


def _add_rule(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("rule", nargs="?", metavar="RULE", help="a code or a name")
    sub.add_argument("--all", action="store_true", help="all rules")
    sub.add_argument(
        "--output-format", choices=("text", "markdown", "json"), default="text", help="default: text"
    )


def _add_new(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("code", metavar="CODE", help="TLP110, or TLP1xx for the first free one")
    sub.add_argument("name", metavar="NAME", help="what is found; reads after 'allow': hardcoded-device-map")
    sub.add_argument(
        "--argument", metavar="NAME", help="the argument it looks at (default: the name's last word)"
    )


def _add_config(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("path", nargs="?", default=".", metavar="PATH", help="the file or folder to ask for")
    sub.add_argument("--output-format", choices=("text", "json"), default="text", help="default: text")
    _add_where(sub)


def _add_cache(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "action", choices=("clean", "dir"), help="remove the results of earlier runs, or print where they are"
    )
    _add_cache_dir(sub)
    _add_where(sub)
