"""`telepathy-lint audit`: report the model configuration of a whole repository."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from telepathy_lint.commands.options import Usage, add_where, configs_of

if TYPE_CHECKING:
    from telepathy_lint.audit.outcome import Audit


def add_options(sub: ArgumentParser) -> None:
    sub.add_argument("path", nargs="?", default=".", metavar="PATH", help="folder or file to audit")
    sub.add_argument("--format", choices=("markdown", "json", "html"), default="markdown")
    sub.add_argument("--output", "-o", metavar="FILE", help="write the report to FILE")
    sub.add_argument("--gpu", metavar="NAME", help="GPU to compare memory with (default: H100-80GB)")
    sub.add_argument(
        "--against", metavar="OLD", help="earlier audit as JSON: print what got better and worse since"
    )
    sub.add_argument(
        "--fail-on-worse", action="store_true", help="with --against: exit 1 if anything got worse"
    )
    sub.add_argument(
        "--fail-under",
        type=float,
        metavar="PERCENT",
        help="exit 1 if less than PERCENT of the calls are without a finding",
    )
    sub.add_argument(
        "--jobs", "-j", type=int, metavar="N", help="number of processes (default: chosen automatically)"
    )
    add_where(sub)


def audit(options: Namespace) -> int:
    from telepathy_lint.audit import compare
    from telepathy_lint.audit.facts import audit as gather
    from telepathy_lint.audit.sizes import gpu_of, use
    from telepathy_lint.discovery.vendored import told

    if not os.path.exists(options.path):
        raise Usage(f"{options.path}: no such file or folder")
    if options.fail_on_worse and options.against is None:
        raise Usage("--fail-on-worse needs --against FILE")
    configs = configs_of(options, {})
    here = configs.of(os.path.abspath(options.path) if os.path.isdir(options.path) else os.getcwd())
    gpu = options.gpu or here.gpu or "H100-80GB"
    try:
        gpu_of(gpu)
        before = compare.read(options.against) if options.against is not None else None
    except ValueError as error:
        raise Usage(str(error)) from error
    use(here.models)
    given = ["--config", options.config] if options.config else ["--isolated"] if options.isolated else []
    found = gather(options.path, configs, gpu, options.jobs, given)
    if found.copies:
        print(told(dict(found.copies)), file=sys.stderr)
    _write(_rendered(found, options), options.output)
    failed = False
    if before is not None:
        changes = compare.changes(before, compare.measures(found))
        print(compare.told(changes), end="", file=sys.stderr)
        failed = options.fail_on_worse and any(not change.better for change in changes)
    if options.fail_under is not None and found.score < options.fail_under:
        print(
            f"telepathy-lint: {found.score:.2f} % of the calls are without a finding, less than {options.fail_under:g} %",
            file=sys.stderr,
        )
        failed = True
    return 1 if failed else 0


def _rendered(found: Audit, options: Namespace) -> str:
    from telepathy_lint.audit.json_report import as_json
    from telepathy_lint.audit.markdown import markdown
    from telepathy_lint.audit.report import report

    if options.format == "json":
        return as_json(found)
    base = _base(options)
    if options.format == "html":
        from telepathy_lint.audit.html import NoTemplatesError, html

        try:
            return html(report(found), base)
        except NoTemplatesError as error:
            raise Usage(str(error)) from error
    # On a terminal a path is enough: terminals open it with a click, and link targets would only fill the screen.
    return markdown(report(found), base, links=options.output is not None or not sys.stdout.isatty())


def _base(options: Namespace) -> str:
    """The relative path from the document to the audited folder, for links."""
    root = options.path if os.path.isdir(options.path) else os.path.dirname(options.path) or "."
    start = os.path.dirname(options.output) if options.output else ""
    base = os.path.relpath(root, start or ".").replace(os.sep, "/")
    return "" if base == "." else base


def _write(text: str, output: str | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    try:
        with open(output, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except BrokenPipeError:
        pass  # `-o >(head -1)`: the reader stopped early
    except OSError as error:
        raise Usage(f"{output}: cannot be written: {error.strerror}") from error
