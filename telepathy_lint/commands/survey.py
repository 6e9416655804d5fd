"""`telepathy-lint survey`: lint the sources in a dataset and report how models are loaded."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from telepathy_lint.commands.options import Usage, add_selectors, add_where, codes, configs_of, flag

if TYPE_CHECKING:
    from telepathy_lint.batch.survey import Job


def add_options(sub: ArgumentParser) -> None:
    sub.add_argument(
        "data", nargs="+", metavar="DATA", help="Parquet or JSON Lines files, or folders of them"
    )
    sub.add_argument("--output", "-o", required=True, metavar="FOLDER", help="folder for the results")
    columns = sub.add_argument_group("columns")
    columns.add_argument("--path-column", default="path", metavar="NAME", help="default: path")
    columns.add_argument("--content-column", default="content", metavar="NAME", help="default: content")
    columns.add_argument(
        "--year-column", metavar="NAME", help="a column with a year or date, for shares by year"
    )
    columns.add_argument(
        "--keep",
        type=codes,
        action="extend",
        default=[],
        metavar="NAMES",
        help="columns to copy into the output",
    )
    choosing = sub.add_argument_group("rules")
    add_selectors(choosing)
    flag(choosing, "strict", "also report findings that do not matter according to the code itself")
    choosing.add_argument("--edits", action="store_true", help="include the edits of fixes")
    running = sub.add_argument_group("running")
    running.add_argument(
        "--engine",
        choices=("auto", "local", "ray"),
        default="auto",
        help="where to run: local processes or Ray Data (default: ray if it is installed)",
    )
    running.add_argument(
        "--jobs", "-j", type=int, metavar="N", help="number of processes (default: one for each CPU)"
    )
    running.add_argument(
        "--timeout", type=float, default=30.0, metavar="SECONDS", help="limit for one source (default: 30)"
    )
    running.add_argument(
        "--max-bytes", type=int, default=4 << 20, metavar="N", help="skip larger sources (default: 4194304)"
    )
    add_where(sub)


def survey(options: Namespace) -> int:
    if find_spec("pyarrow") is None or find_spec("jinja2") is None:
        raise Usage("a survey needs pyarrow and jinja2: `pip install 'telepathy-lint[survey]'`")
    engine = options.engine
    if engine == "auto":
        engine = "ray" if find_spec("ray") is not None else "local"
    elif engine == "ray" and find_spec("ray") is None:
        raise Usage("--engine ray needs Ray: `pip install 'telepathy-lint[ray]'`")
    if options.jobs is not None and options.jobs < 1:
        raise Usage(f"--jobs must be at least 1, not {options.jobs}")
    from telepathy_lint.batch import survey as run
    from telepathy_lint.batch.page import html
    from telepathy_lint.batch.shards import DataError, files_of, shards_of
    from telepathy_lint.batch.summary import summarize

    job = _job(options)
    try:
        files = [os.path.abspath(path) for path in files_of(options.data)]
        shards = shards_of(files, job.columns)
        left = run.prepare(job, shards)
    except DataError as error:
        raise Usage(str(error)) from error
    if len(left) < len(shards):
        print(f"{len(shards) - len(left)} of {len(shards)} parts are done already", file=sys.stderr)
    if left:
        done = _Told(len(shards), len(shards) - len(left))
        if engine == "ray":
            run.run_on_ray(job, left, options.jobs, done)
        else:
            run.run_locally(job, left, min(options.jobs or _cpus(), len(left)), done)
    summary = summarize(job.output, options.year_column)
    page = os.path.join(options.output, "index.html")
    with open(page, "w", encoding="utf-8", newline="\n") as file:
        file.write(html(summary, f"Survey of {', '.join(options.data)}"))
    loads = summary.models.loads + summary.tokenizers.loads
    counts = (
        _counted(summary.rows, "source"),
        _counted(loads, "load"),
        _counted(sum(summary.findings.values()), "finding"),
        f"{_counted(summary.errors, 'source')} with an error",
    )
    print(f"{', '.join(counts)}\n{page}")
    return 0


def _job(options: Namespace) -> Job:
    from telepathy_lint.batch.records import Plan
    from telepathy_lint.batch.survey import Job
    from telepathy_lint.run.selection import Selection

    keys = ("select", "ignore", "extend-select", "strict")
    given = {key: value for key in keys if (value := getattr(options, key)) is not None}
    planned = Selection(configs_of(options, given)).plan("source.py")
    keep = dict.fromkeys([*options.keep, *([options.year_column] if options.year_column else [])])
    return Job(
        Plan(planned.rules, planned.settings, options.edits),
        os.path.abspath(options.output),
        options.path_column,
        options.content_column,
        tuple(keep),
        options.max_bytes,
        options.timeout,
    )


def _counted(number: int, name: str) -> str:
    return f"{number:,} {name}{'s' * (number != 1)}"


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Told:
    """Prints the progress on a terminal."""

    def __init__(self, parts: int, done: int) -> None:
        self.parts = parts
        self.done = done
        self.rows = 0

    def __call__(self, rows: int) -> None:
        self.done += 1
        self.rows += rows
        if sys.stderr.isatty():
            end = "\n" if self.done == self.parts else ""
            sys.stderr.write(f"\r{self.done} of {self.parts} parts, {self.rows:,} sources{end}")
            sys.stderr.flush()
