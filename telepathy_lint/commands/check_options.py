"""The options of `telepathy-lint check`, and which of them exclude each other."""

from __future__ import annotations

import argparse

from telepathy_lint.commands.options import VARIABLES, Usage, add_cache_dir, add_where, codes, flag, per_file
from telepathy_lint.output import FORMATS

STDIN = "-"
#: Options that decide what a run does, each with others that it could not honour.
_APART = {
    "add-noqa": ("watch", "show-files", "statistics", "write-baseline"),
    "write-baseline": ("fix", "fix-only", "diff", "watch", "show-files", "statistics"),
    "show-files": ("watch", "statistics"),
    "statistics": ("watch", "diff"),
}


def add_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "paths", nargs="*", default=["."], metavar="PATH", help="files, folders, notebooks; - for stdin"
    )
    fixing = sub.add_argument_group("fixing")
    flag(fixing, "fix", "apply safe fixes")
    flag(fixing, "unsafe-fixes", "count fixes that change numbers or decoding as safe")
    flag(fixing, "show-fixes", "say what was fixed; show unsafe fixes too")
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
    for key, text in (
        ("fixable", "rules to fix, of those that are used (default: ALL)"),
        ("unfixable", "rules to report and never to fix"),
        ("extend-fixable", "rules to fix beside those chosen already"),
    ):
        fixing.add_argument(f"--{key}", dest=key, type=codes, action="extend", metavar="CODES", help=text)
    choosing = sub.add_argument_group("rules and files")
    for key, text in (
        ("select", "rules to use: codes, prefixes, names or ALL, with commas between"),
        ("ignore", "rules to leave out"),
        ("extend-select", "rules to use beside those selected already"),
    ):
        choosing.add_argument(f"--{key}", dest=key, type=codes, action="extend", metavar="CODES", help=text)
    for key, text in (
        ("per-file-ignores", "rules to leave out in the files of a pattern"),
        ("extend-per-file-ignores", "the same, beside those of the configuration"),
    ):
        choosing.add_argument(f"--{key}", dest=key, type=per_file, metavar="PATTERN:CODES", help=text)
    for key, text in (
        (
            "exclude",
            "names or globs of what is not linted (with / at the end: of folders), instead of the default ones",
        ),
        ("extend-exclude", "names or globs beside those"),
    ):
        choosing.add_argument(
            f"--{key}", dest=key, type=codes, action="extend", metavar="PATTERNS", help=text
        )
    flag(choosing, "force-exclude", "leave excluded files out even when named")
    flag(choosing, "respect-gitignore", "leave out what git ignores (default; --no-respect-gitignore)")
    flag(choosing, "strict", "report what the code itself shows not to matter, too")
    flag(choosing, "include-vendored", "lint copies of transformers, peft and trl in the project, too")
    output = sub.add_argument_group("output")
    output.add_argument(
        "--output-format",
        dest="output-format",
        choices=tuple(FORMATS),
        metavar="FORMAT",
        help=f"{', '.join(FORMATS)} (default: full; {VARIABLES['output-format']})",
    )
    output.add_argument(
        "--output-file",
        "-o",
        metavar="FILE",
        help=f"write the report there ({VARIABLES['output-file']})",
    )
    output.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="when to use colour (default: auto, on a terminal, and as NO_COLOR, FORCE_COLOR and CLICOLOR say)",
    )
    output.add_argument("--statistics", action="store_true", help="count findings by rule")
    output.add_argument("--show-files", action="store_true", help="print the files that would be linted")
    output.add_argument(
        "--show-settings",
        action="store_true",
        help="print the values that hold for the first path, and their places",
    )
    output.add_argument("--quiet", "-q", action="store_true", help="print findings, and nothing else")
    output.add_argument(
        "--silent", "-s", action="store_true", help="print nothing about findings; the exit status says it"
    )
    output.add_argument("--verbose", "-v", action="store_true", help="say what is done, and show tracebacks")
    output.add_argument("--exit-zero", "-e", action="store_true", help="exit 0 even if something was found")
    adopting = sub.add_argument_group("suppression and baselines")
    adopting.add_argument(
        "--ignore-noqa", action="store_true", help="report what suppression comments would silence, too"
    )
    adopting.add_argument("--add-noqa", action="store_true", help="add a noqa comment for every finding")
    flag(adopting, "report-unused-noqa", "report suppression comments that silence nothing")
    adopting.add_argument("--baseline", metavar="FILE", help="report only what FILE does not list")
    adopting.add_argument(
        "--write-baseline", action="store_true", help="write all findings to the baseline file"
    )
    running = sub.add_argument_group("running")
    running.add_argument("--stdin-filename", metavar="NAME", help="the name of the file on standard input")
    running.add_argument(
        "--jobs", "-j", type=int, metavar="N", help="number of processes (default: what the work needs)"
    )
    running.add_argument(
        "--no-cache",
        "-n",
        action="store_true",
        help=f"use and write no results of other runs ({VARIABLES['no-cache']})",
    )
    add_cache_dir(running)
    running.add_argument("--watch", "-w", action="store_true", help="run again whenever a file changes")
    add_where(running)


def refuse_contradictions(options: argparse.Namespace, has_baseline: bool) -> None:
    """Raise Usage for options that cannot be honoured together."""
    if options.write_baseline and not has_baseline:
        raise Usage("--write-baseline needs --baseline FILE (or `baseline` in the configuration)")
    if options.add_noqa and (options.diff or options.fix_only or options.fix):
        raise Usage(
            "--add-noqa writes comments for what is not fixed: give it without --fix, --fix-only and --diff"
        )
    given = {key for key in ("fix", *_APART, "fix-only", "diff", "watch") if _is_given(options, key)}
    for one, others in _APART.items():
        if one in given and (other := next((each for each in others if each in given), None)):
            raise Usage(f"--{one} cannot be used with --{other}")
    if options.ignore_noqa and options.add_noqa:
        raise Usage("--ignore-noqa and --add-noqa contradict each other")
    if options.show_settings and options.show_files:
        raise Usage("--show-settings and --show-files answer different questions: give one of them")
    if STDIN in options.paths and len(options.paths) > 1:
        raise Usage("standard input (-) cannot be linted together with files")
    if STDIN in options.paths:
        for one in ("watch", "add-noqa", "write-baseline", "show-files"):
            if one in given:
                raise Usage(f"--{one} needs files, not standard input (-)")
    if options.stdin_filename is not None and options.paths != [STDIN]:
        raise Usage("--stdin-filename names what comes from standard input: give - as the path")


def _is_given(options: argparse.Namespace, key: str) -> bool:
    return bool(getattr(options, key.replace("-", "_"), None) or getattr(options, key, None))
