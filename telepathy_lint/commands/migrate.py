"""`telepathy-lint migrate`: move a project to transformers 5 in one guided run of the rules that are about it."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from telepathy_lint.commands.options import Usage, add_where, configs_of

if TYPE_CHECKING:
    from telepathy_lint.commands.old_settings import OldSetting
    from telepathy_lint.commands.requirement_bounds import Bounds
    from telepathy_lint.findings.result import FileResult
    from telepathy_lint.findings.violation import Violation

#: What a move is about: arguments of loads, and everything in the 400s.
RULES = ("TLP107", "TLP4")
#: What becomes of a requirement that is no release, or one with its hash.
BY_HAND = "change it by hand"


def add_options(sub: ArgumentParser) -> None:
    sub.add_argument("path", nargs="?", default=".", metavar="PATH", help="folder or file to migrate")
    sub.add_argument(
        "--to",
        default="5.0",
        metavar="VERSION",
        help='transformers to support afterwards: a lowest version, or versions such as ">=4.50,<6" (default: 5.0)',
    )
    sub.add_argument("--trl", metavar="VERSION", help="lowest trl to support afterwards (default: not known)")
    sub.add_argument("--fix", action="store_true", help="change the files (default: only report)")
    sub.add_argument(
        "--unsafe-fixes", action="store_true", help="include fixes that may change what is computed"
    )
    sub.add_argument(
        "--fix-requirements",
        action="store_true",
        help="with --fix: also change the versions of transformers in requirements files, pyproject.toml and setup.py",
    )
    sub.add_argument("--diff", action="store_true", help="print what --fix would change, and nothing else")
    sub.add_argument(
        "--output-file", "-o", metavar="FILE", help="write a report in Markdown to FILE, for the pull request"
    )
    sub.add_argument(
        "--jobs", "-j", type=int, metavar="N", help="number of processes (default: chosen automatically)"
    )
    add_where(sub)


def migrate(options: Namespace) -> int:
    from telepathy_lint.commands.old_settings import SUFFIXES, old_settings
    from telepathy_lint.commands.requirement_bounds import bounds_in, write_bounds
    from telepathy_lint.discovery.walk import Discovery
    from telepathy_lint.run.batch import check_files
    from telepathy_lint.run.options import Task
    from telepathy_lint.run.selection import Selection

    if options.fix and options.diff:
        raise Usage("--fix cannot be used with --diff")
    if options.fix_requirements and not options.fix:
        raise Usage("--fix-requirements needs --fix")
    if not os.path.exists(options.path):
        raise Usage(f"{options.path}: no such file or folder")
    given = {"select": RULES, "target-transformers": options.to}
    if options.trl is not None:
        given["target-trl"] = options.trl
    configs = configs_of(options, given)
    discovery = Discovery(configs, False)
    files = discovery.find([options.path])
    task = Task(fix=True, unsafe=options.unsafe_fixes, patch=not options.fix)
    results = check_files(files, Selection(configs), task, options.jobs)
    others = [] if os.path.isfile(options.path) else Discovery(configs, False, SUFFIXES).find([options.path])
    settings = list(old_settings([each.path for each in others], [each.path for each in files]))
    bounds = list(bounds_in(options.path, options.to))
    if options.fix_requirements:
        write_bounds(bounds)
    if options.diff:
        sys.stdout.writelines(result.patch for result in results)
    else:
        sys.stdout.writelines(_text(results, settings, bounds, options))
    if options.output_file is not None:
        _write(options.output_file, "".join(_markdown(results, settings, bounds, options)))
    if any(result.failed for result in results):
        return 2
    return 1 if settings or any(result.violations for result in results) else 0


# ---- what is said


def _text(
    results: Sequence[FileResult],
    settings: Sequence[OldSetting],
    bounds: Sequence[Bounds],
    options: Namespace,
) -> Iterator[str]:
    """The report on the terminal."""
    from telepathy_lint.output.text import count, place, printable

    changed = [result for result in results if result.applied]
    left = [violation for result in results for violation in result.violations]
    fixed = sum(len(result.applied) for result in changed)
    yield f"{'Changed' if options.fix else 'Would change'} {count(fixed, 'place')} in {count(len(changed), 'file')}:\n"
    for result in changed:
        yield f"  {printable(result.path)}: {_kinds(result.applied)}\n"
    if left or settings:
        yield f"\nFor you to decide ({count(len(left) + len(settings), 'place')}):\n"
        for violation in left:
            yield f"  {place(violation)}: {violation.code} {printable(violation.message)}\n"
            if (reason := _reason(violation)) is not None:
                yield f"      {reason}\n"
        for each in settings:
            yield f"  {printable(each.path)}:{each.line}: {each.message}\n"
    if bounds:
        done = "Changed" if options.fix_requirements else "To change" if options.fix else "Would leave"
        yield f"\n{done} in requirement files{'' if options.fix_requirements else ' (--fix --fix-requirements changes them)'}:\n"
        for bound in bounds:
            yield f"  {printable(bound.path)}:{bound.line}: {bound.old} -> {bound.new or BY_HAND}\n"
    if not options.fix and (changed or bounds):
        yield "\nNothing was written: --diff shows the changes, --fix makes them.\n"


def _markdown(
    results: Sequence[FileResult],
    settings: Sequence[OldSetting],
    bounds: Sequence[Bounds],
    options: Namespace,
) -> Iterator[str]:
    """The report for a pull request."""
    from telepathy_lint.output.text import count

    changed = [result for result in results if result.applied]
    left = [violation for result in results for violation in result.violations]
    done = "changed" if options.fix else "to change"
    applied = [violation for each in changed for violation in each.applied]
    yield f"# Move to transformers {options.to}\n\n"
    yield f"{count(len(applied), 'place')} {done} in {count(len(changed), 'file')}, {count(len(left) + len(settings), 'place')} to decide.\n"
    if not applied and not left and not settings:
        yield "\nNothing here needs a change for it.\n"
    if changed:
        yield f"\n## {done.capitalize()}\n\n"
        yield from _by_kind(
            "- ", [(violation.path, violation.line, _said(violation)) for violation in applied]
        )
    if left or settings:
        yield "\n## To decide\n\n"
        places = [
            (each.path, each.line, _said(each) + (f"; {reason}" if (reason := _reason(each)) else ""))
            for each in left
        ]
        places += [(each.path, each.line, each.message) for each in settings]
        yield from _by_kind("- [ ] ", places)
    if bounds:
        yield "\n## Requirements\n\n| file | before | after |\n| --- | --- | --- |\n"
        for each in bounds:
            new = f"`{each.new}`" if each.new else BY_HAND
            yield f"| `{each.path}:{each.line}` | `{each.old}` | {new} |\n"


def _said(violation: Violation) -> str:
    return f"{violation.code}: {violation.message}"


def _by_kind(bullet: str, places: Sequence[tuple[str, int, str]]) -> Iterator[str]:
    """What is the same in several places once, with the places below it."""
    found: dict[str, list[str]] = {}
    for path, line, text in places:
        found.setdefault(text, []).append(f"`{path}:{line}`")
    for text, where in found.items():
        if len(where) == 1:
            yield f"{bullet}{text}: {where[0]}\n"
        else:
            yield f"{bullet}{text}:\n"
            yield from (f"  {bullet}{each}\n" for each in where)


def _kinds(violations: Sequence[Violation]) -> str:
    """How many findings of which rule."""
    from collections import Counter

    counted = Counter(f"{violation.code} {violation.name}" for violation in violations)
    return ", ".join(f"{name} ({number})" for name, number in sorted(counted.items()))


def _reason(violation: Violation) -> str | None:
    """Why a finding is left although there is a fix."""
    fix = violation.fix
    if fix is None:
        return None
    return (
        fix.message
        if fix.safety == "display"
        else f"{fix.safety} fix: {fix.message} (--unsafe-fixes makes it)"
    )


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text)
    except OSError as error:
        raise Usage(f"{path}: cannot be written: {error.strerror}") from error
