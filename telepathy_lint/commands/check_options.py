"""The options of `telepathy-lint check`, and the combinations that are not allowed."""

from __future__ import annotations

from telepathy_lint.commands.options import (
    VARIABLES,
    Usage,
    add_cache_dir,
    add_selectors,
    add_where,
    codes,
    flag,
    per_file,
)
from telepathy_lint.hints import TYPE_CHECKING, Any
from telepathy_lint.output import FORMATS

if TYPE_CHECKING:
    from argparse import Namespace

STDIN = "-"
#: Options that decide what a run does, and the options that cannot be combined with them.
_APART = {
    "add-noqa": ("watch", "show-files", "statistics", "write-baseline"),
    "write-baseline": ("fix", "fix-only", "diff", "watch", "show-files", "statistics"),
    "show-files": ("watch", "statistics"),
    "statistics": ("watch", "diff"),
}


def add_options(sub: Any) -> None:
    sub.add_argument(
        "paths", nargs="*", default=["."], metavar="PATH", help="files, folders, notebooks; - for stdin"
    )
    fixing = sub.add_argument_group("fixing")
    flag(fixing, "fix", "apply safe fixes")
    flag(fixing, "unsafe-fixes", "include unsafe fixes: fixes that change numbers or decoding")
    flag(fixing, "show-fixes", "list what was fixed, and show unsafe fixes")
    fixing.add_argument(
        "--diff", action="store_true", help="print what the fixes would change, without changing files"
    )
    fixing.add_argument(
        "--fix-only", action="store_true", help="apply fixes, but do not report other findings"
    )
    fixing.add_argument("--exit-non-zero-on-fix", action="store_true", help="exit 1 if anything was fixed")
    fixing.add_argument(
        "--fix-style",
        dest="fix-style",
        choices=("loader", "inline"),
        help="rewrite calls to the loader (default), or set arguments in place",
    )
    fixing.add_argument(
        "--target-transformers",
        dest="target-transformers",
        metavar="VERSION",
        help='lowest transformers version to support, or versions such as ">=4.50,<6" (default: read from requirement files)',
    )
    for key, text in (
        ("fixable", "enabled rules to fix (default: ALL)"),
        ("unfixable", "rules to report but never fix"),
        ("extend-fixable", "more rules to fix, in addition to fixable"),
    ):
        fixing.add_argument(f"--{key}", dest=key, type=codes, action="extend", metavar="CODES", help=text)
    choosing = sub.add_argument_group("rules and files")
    add_selectors(choosing)
    for key, text in (
        ("per-file-ignores", "rules to disable in files that match a pattern"),
        ("extend-per-file-ignores", "more of these, in addition to per-file-ignores"),
    ):
        choosing.add_argument(f"--{key}", dest=key, type=per_file, metavar="PATTERN:CODES", help=text)
    for key, text in (
        (
            "exclude",
            "names or globs of files and folders to skip (with / at the end: folders only); replaces the default list",
        ),
        ("extend-exclude", "more names or globs to skip, in addition to exclude"),
    ):
        choosing.add_argument(
            f"--{key}", dest=key, type=codes, action="extend", metavar="PATTERNS", help=text
        )
    flag(choosing, "force-exclude", "skip excluded files even if they are given as arguments")
    flag(choosing, "respect-gitignore", "skip files that git ignores (default; off: --no-respect-gitignore)")
    flag(choosing, "strict", "also report findings that do not matter according to the code itself")
    flag(
        choosing,
        "include-vendored",
        "also lint copies of transformers, peft and trl, and distributions in third_party",
    )
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
        help=f"write the report to FILE ({VARIABLES['output-file']})",
    )
    output.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="when to use colour (default: auto: on a terminal; respects NO_COLOR, FORCE_COLOR and CLICOLOR)",
    )
    output.add_argument("--statistics", action="store_true", help="print the number of findings per rule")
    output.add_argument("--show-files", action="store_true", help="print the files that would be linted")
    output.add_argument(
        "--show-settings",
        action="store_true",
        help="print the settings for the first path, and where each value comes from",
    )
    output.add_argument("--quiet", "-q", action="store_true", help="print only findings")
    output.add_argument(
        "--silent", "-s", action="store_true", help="do not print findings; only set the exit code"
    )
    output.add_argument("--verbose", "-v", action="store_true", help="print progress and tracebacks")
    output.add_argument("--exit-zero", "-e", action="store_true", help="exit 0 even if there are findings")
    adopting = sub.add_argument_group("suppression and baselines")
    adopting.add_argument("--ignore-noqa", action="store_true", help="ignore suppression comments")
    adopting.add_argument("--add-noqa", action="store_true", help="add a noqa comment for every finding")
    flag(adopting, "report-unused-noqa", "report suppression comments that suppress nothing")
    adopting.add_argument(
        "--baseline", metavar="FILE", help="report only findings that are not listed in FILE"
    )
    adopting.add_argument(
        "--write-baseline", action="store_true", help="write all findings to the baseline file"
    )
    running = sub.add_argument_group("running")
    running.add_argument("--stdin-filename", metavar="NAME", help="file name to use for standard input")
    running.add_argument(
        "--jobs", "-j", type=int, metavar="N", help="number of processes (default: chosen automatically)"
    )
    running.add_argument(
        "--no-cache",
        "-n",
        action="store_true",
        help=f"do not read or write the cache ({VARIABLES['no-cache']})",
    )
    add_cache_dir(running)
    running.add_argument("--watch", "-w", action="store_true", help="run again whenever a file changes")
    add_where(running)


def refuse_contradictions(options: Namespace, has_baseline: bool) -> None:
    """Raise Usage if options cannot be used together."""
    if options.write_baseline and not has_baseline:
        raise Usage("--write-baseline needs --baseline FILE (or `baseline` in the configuration)")
    if options.add_noqa and (options.diff or options.fix_only or options.fix):
        raise Usage(
            "--add-noqa cannot be used with --fix, --fix-only or --diff: it writes comments for findings that are not fixed"
        )
    given = {key for key in ("fix", *_APART, "fix-only", "diff", "watch") if _is_given(options, key)}
    for one, others in _APART.items():
        if one in given and (other := next((each for each in others if each in given), None)):
            raise Usage(f"--{one} cannot be used with --{other}")
    if options.ignore_noqa and options.add_noqa:
        raise Usage("--ignore-noqa cannot be used with --add-noqa")
    if options.show_settings and options.show_files:
        raise Usage("--show-settings cannot be used with --show-files")
    if STDIN in options.paths and len(options.paths) > 1:
        raise Usage("standard input (-) cannot be linted together with files")
    if STDIN in options.paths:
        for one in ("watch", "add-noqa", "write-baseline", "show-files"):
            if one in given:
                raise Usage(f"--{one} needs files, not standard input (-)")
    if options.stdin_filename is not None and options.paths != [STDIN]:
        raise Usage("--stdin-filename needs standard input: pass - as the path")


def _is_given(options: Namespace, key: str) -> bool:
    return bool(getattr(options, key.replace("-", "_"), None) or getattr(options, key, None))
