"""`telepathy-lint check`: lint and fix files, suppress findings, and use baselines."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from telepathy_lint.commands.check_options import STDIN, refuse_contradictions
from telepathy_lint.commands.options import Usage, configs_of, variable, variable_flag
from telepathy_lint.discovery.config import ConfigError
from telepathy_lint.discovery.walk import Discovery, Found
from telepathy_lint.hints import TYPE_CHECKING, Any
from telepathy_lint.output import FORMATS, Report, streams
from telepathy_lint.run.batch import check_files
from telepathy_lint.run.options import Task
from telepathy_lint.run.selection import Selection, selection

if TYPE_CHECKING:
    from argparse import Namespace

    from telepathy_lint.cache import Cache
    from telepathy_lint.findings.result import FileResult
    from telepathy_lint.findings.violation import Violation
    from telepathy_lint.run.baseline import Baseline
    from telepathy_lint.settings import UnusedModel

#: Options that are also configuration keys.
_KEYS = (
    "select", "ignore", "extend-select", "per-file-ignores", "extend-per-file-ignores", "fixable", "unfixable",
    "extend-fixable", "exclude", "extend-exclude", "force-exclude",
    "respect-gitignore", "include-vendored", "strict", "cache-dir", "fix", "unsafe-fixes", "show-fixes", "fix-style", "target-transformers", "output-format", "jobs",
    "report-unused-noqa",
)  # fmt: skip
_CHOOSING = {"select", "ignore", "extend-select", "per-file-ignores", "extend-per-file-ignores"}
_FIXING = {"fixable", "unfixable", "extend-fixable"}
#: Seconds between two checks for changes under --watch.
_PAUSE = 0.3


def check(options: Namespace) -> int:
    return Check(options).run()


class Check:
    """One run of the command, from options to exit code."""

    def __init__(self, options: Namespace) -> None:
        self.options = options
        given = {key: value for key in _KEYS if (value := getattr(options, key)) is not None}
        self.configs = configs_of(options, given, "output-format", "cache-dir")
        #: Settings for the run as a whole come from the configuration of the current folder.
        self.config = self.configs.of(os.getcwd())
        refuse_contradictions(options, self._baseline_path is not None)
        self.selection = Selection(self.configs)
        self.format = FORMATS[self.config.output_format]
        self.fixing = (self.config.fix or options.fix_only or options.diff) and not options.add_noqa
        self.quiet = options.quiet or options.silent
        self.output_file: str | None = options.output_file or variable("output-file")
        self.cached = not (options.no_cache or variable_flag("no-cache"))
        #: The excluded copies of libraries that were already mentioned.
        self._told = ""
        #: Whether the options select rules, and whether they name any rules at all.
        self.selected = bool(given.keys() & _CHOOSING)
        self.names_rules = self.selected or bool(given.keys() & _FIXING)

    @property
    def _baseline_path(self) -> str | None:
        if self.options.baseline is not None:
            return str(self.options.baseline)
        return (
            os.path.join(self.config.root, self.config.baseline) if self.config.baseline is not None else None
        )

    @property
    def _narrowed(self) -> frozenset[str] | None:
        """The rules selected by this run's options; None if the configuration selects them, as in every run."""
        if not self.selected:
            return None
        return frozenset(rule.meta.code for rule in self.selection.rules(os.getcwd()))

    def run(self) -> int:
        if self.options.show_settings:
            return self._show_settings()
        if self.options.watch:
            return self._watch()
        if self.options.paths == [STDIN]:
            return self._stdin()
        files = self._find()
        if self.options.show_files:
            for found in files:
                print(found.path)
            return 2 if any(found.problem for found in files) else 0
        return self._once(files)

    def _show_settings(self) -> int:
        from telepathy_lint.commands.config import show

        path = self.options.paths[0] if self.options.paths != [STDIN] else self.options.stdin_filename or "."
        return show(self.configs, path, "json" if self.config.output_format == "json" else "text")

    def _find(self) -> list[Found]:
        discovery = Discovery(self.configs, self.config.force_exclude)
        found = discovery.find(self.options.paths)
        others = () if self.config.strict else discovery.others
        if (discovery.copies or others) and not self.quiet:
            from telepathy_lint.discovery.vendored import told

            note = told(discovery.copies, others)
            if note != self._told:
                print(note, file=sys.stderr)
            self._told = note  # mentioned once under --watch
        return found

    def _once(self, files: Sequence[Found]) -> int:
        from telepathy_lint.commands.progress import Progress

        task = self._task()
        cache = self._cache(task)
        self._refuse_unknown_rules(cache)
        selection, known_from = self.selection, cache
        if selection.needs_project(files):
            # No cached result rests on the whole project.
            selection, known_from = Selection(self.configs, self._unused()), None
        with Progress(self.quiet) as progress:
            jobs, is_last = self.config.jobs, not self.options.watch
            results = check_files(files, selection, task, jobs, progress, known_from, is_last=is_last)
        self._note(results)
        if not files and not self.quiet:
            print("telepathy-lint: warning: no Python files under the given paths", file=sys.stderr)
        if self.options.verbose:
            known = cache.hits if cache is not None else 0
            print(
                f"checked {len(files)} files: {len(results) - known} parsed, {known} from the cache",
                file=sys.stderr,
            )
        if self.options.add_noqa:
            return self._added(results)
        if self.options.write_baseline:
            return self._write_baseline(results, files)
        results = self._without_known(results, files)
        return self._finish(results)

    def _cache(self, task: Task) -> Cache | None:
        """The cache for runs like this one; None if it is turned off."""
        if not self.cached or task.add_noqa:
            return None
        from telepathy_lint.cache import Cache, place
        from telepathy_lint.cache.versions import versions

        folder = place.folder_of(self.config)
        root = place.root_of(self.config, os.getcwd())
        # Runs that alternate between different rules and settings must not evict each other's results.
        kind = f"{root} {selection(self.config)}{self.config.settings(None)!r}"
        return Cache(folder, kind, repr(task._replace(verbose=False)), versions)

    def _refuse_unknown_rules(self, cache: Cache | None = None) -> None:
        """Report an unknown code even if no file needs the rules."""
        if not self.names_rules:
            return
        if cache is None or self._names_files or not cache.has_key(selection(self.config)):
            self.selection.rules(os.getcwd())

    @property
    def _names_files(self) -> bool:
        return any(getattr(self.options, key) for key in ("per-file-ignores", "extend-per-file-ignores"))

    def _unused(self) -> Mapping[str, tuple[UnusedModel, ...]]:
        from telepathy_lint.audit.facts import unused

        if self.options.verbose:
            from telepathy_lint.audit.unused import areas, described

            for area in areas(self.options.paths):
                print(described(area), file=sys.stderr)
        return unused(self.options.paths, self.configs, self.config.jobs)

    def _task(self) -> Task:
        options, unsafe = self.options, self.config.unsafe_fixes
        unused = self.config.report_unused_noqa and not options.ignore_noqa
        plain = Task(unsafe=unsafe, noqa=not options.ignore_noqa, unused_noqa=unused, verbose=options.verbose)
        if options.add_noqa:
            return plain._replace(add_noqa=True)
        plain = plain._replace(snippets=self._baseline_path is not None)
        if options.write_baseline:
            return plain._replace(snippets=True)
        if self.fixing:
            plain = plain._replace(fix=True, patch=options.diff)
        if options.fix_only or options.diff or options.statistics:
            return plain
        return plain._replace(
            edits=self.format.edits,
            lines=self.format.lines,
            snippets=plain.snippets or self.format.snippets,
            show_unsafe=unsafe or self.config.show_fixes,
        )

    def _stdin(self) -> int:
        name = self.options.stdin_filename or STDIN
        try:
            data = sys.stdin.buffer.read()
        except OSError as error:
            raise Usage(f"standard input cannot be read: {error.strerror}") from error
        found = Found(name, os.path.dirname(os.path.abspath(name)))
        from telepathy_lint.run.lint_file import lint_file
        from telepathy_lint.sites import Modules
        from telepathy_lint.source.prefilter import may_matter, may_name_rules

        self._refuse_unknown_rules()
        task = self._task()
        matters = may_matter(data, self.configs.of(found.folder).loading_words)
        if matters or may_name_rules(data):
            plan = self.selection.plan(name, found.folder, task)
            plan = plan._replace(comments_only=not matters and not task.unused_noqa)
            result = lint_file(plan, data, Modules())
        else:
            from telepathy_lint.findings.result import FileResult

            result = FileResult(name)
        if task.fix and not task.patch:
            # Standard output gets the code; findings go to standard error.
            sys.stdout.flush()
            sys.stdout.buffer.write(data if result.output is None else result.output)
            sys.stdout.buffer.flush()
        self._note([result])
        results = self._without_known([result], [found])
        return self._finish(results, to=sys.stderr if task.fix and not task.patch else None)

    def _finish(self, results: list[FileResult], to: Any = None) -> int:
        """Print the report and return the exit code."""
        options = self.options
        fixed = sum(len(result.applied) for result in results)
        failed = any(result.failed for result in results)
        if options.diff:
            return self._diff(results, fixed, failed)
        if options.fix_only:
            results = [result.without_findings() for result in results]
        found = any(result.violations for result in results)
        self._print(results, to)
        if failed:
            return 2
        if options.exit_zero:
            return 0
        return 1 if found or (options.exit_non_zero_on_fix and fixed) else 0

    def _diff(self, results: Sequence[FileResult], fixed: int, failed: bool) -> int:
        for result in results:
            sys.stdout.write(result.patch)
        sys.stdout.flush()
        _say([violation for result in results for violation in result.failures])
        if not self.quiet:
            print(
                f"Would fix {fixed} error{'' if fixed == 1 else 's'}."
                if fixed
                else "No errors would be fixed.",
                file=sys.stderr,
            )
        return 2 if failed else 1 if fixed and not self.options.exit_zero else 0

    def _note(self, results: Sequence[FileResult]) -> None:
        """Print notes, which are not findings, to standard error."""
        for result in results if not self.quiet else ():
            for note in result.notes:
                from telepathy_lint.output.text import place_of, printable

                where = place_of(result.path, note.cell, note.line, note.column)
                print(f"telepathy-lint: warning: {where}: {printable(note.message)}", file=sys.stderr)

    def _print(self, results: Sequence[FileResult], to: Any) -> None:
        out = to or sys.stdout
        report = Report(
            results,
            colour=self.format.text and self.output_file is None and _coloured(out, self.options.color),
            unsafe=self.config.unsafe_fixes,
            fixing=self.fixing,
            show_fixes=self.config.show_fixes,
        )
        if self.output_file is not None:
            try:
                with open(self.output_file, "w", encoding="utf-8", errors="backslashreplace") as file:
                    file.writelines(self._pieces(report))
            except BrokenPipeError:
                pass  # `-o >(head -1)`: the reader stopped early
            except OSError as error:
                raise ConfigError(f"{self.output_file}: cannot be written: {error.strerror}") from error
            return
        if self.options.statistics or not self.options.silent:
            out.writelines(self._pieces(report))
        if self.format.text and not self.quiet and not self.options.statistics:
            from telepathy_lint.output.text import summary

            out.writelines(summary(report))
        out.flush()

    def _pieces(self, report: Report) -> Any:
        if self.options.statistics:
            from itertools import chain

            from telepathy_lint.output.text import outlook, statistics

            said = [] if self.quiet or not self.format.text else outlook(report, self._command)
            return chain(statistics(report), said)
        from telepathy_lint.output import render

        return render(self.config.output_format, report)

    def _command(self, more: str) -> str:
        """This run's command line with other options."""
        from shlex import join

        given = ["--isolated"] if self.options.isolated else []
        given += [part for each in self.options.config for part in ("--config", each)]
        return f"telepathy-lint check {more} {join([*given, *self.options.paths])}"

    def _added(self, results: Sequence[FileResult]) -> int:
        failed = [violation for result in results for violation in result.failures]
        _say(failed)
        added = sum(result.comments for result in results)
        print(f"Added {added} noqa comment{'' if added == 1 else 's'}.")
        return 2 if failed else 0

    def _without_known(self, results: list[FileResult], files: Sequence[Found]) -> list[FileResult]:
        path = self._baseline_path
        if path is None:
            return results
        from telepathy_lint.run.baseline import Baseline

        filtered = Baseline.read(path).filtered(results, [found.path for found in files], self._narrowed)
        if not self.quiet and (filtered.known or filtered.stale):
            stale = (
                f"; {filtered.stale} {'entry is' if filtered.stale == 1 else 'entries are'} no longer in the code "
                "(--write-baseline removes them)"
                if filtered.stale
                else ""
            )
            print(f"{filtered.known} known from the baseline{stale}", file=sys.stderr)
        return filtered.results

    def _write_baseline(self, results: Sequence[FileResult], files: Sequence[Found]) -> int:
        from collections import Counter

        from telepathy_lint.run.baseline import Baseline

        path = self._baseline_path
        assert path is not None
        known: Baseline = Baseline.read(path) if os.path.exists(path) else Baseline(path, Counter())
        total = known.write(results, [found.path for found in files], self._narrowed)
        failed = [violation for result in results for violation in result.failures]
        _say(failed)
        print(f"Wrote {total} finding{'' if total == 1 else 's'} to {path}.")
        return 2 if failed else 0

    def _watch(self, again: Callable[[int], bool] = lambda runs: True) -> int:
        """Run whenever a file changes, until interrupted or until standard output is closed."""
        seen: dict[str, tuple[int, int]] = {}
        runs = 0
        while again(runs):
            files = self._find()
            now = {found.path: stamp for found in files if (stamp := _stamp(found.path)) is not None}
            if now != seen or not runs:
                if sys.stdout.isatty():
                    sys.stdout.write("\x1b[2J\x1b[H")
                self._once(files)
                # Ignore changes that this run's own fixes made.
                seen = {path: stamp for path in now if (stamp := _stamp(path)) is not None}
                runs += 1
            else:
                time.sleep(_PAUSE)
            if streams.is_lost(sys.stdout):
                break  # standard output is closed
        return 0


def _say(failures: Iterable[Violation]) -> None:
    """Print failures to standard error, for reports that do not list findings."""
    from telepathy_lint.output.text import place, printable

    for violation in failures:
        print(f"{place(violation)}: {violation.code} {printable(violation.message)}", file=sys.stderr)


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _coloured(stream: Any, when: str = "auto") -> bool:
    """Whether to use colour: by the option, else by the environment, else only on a terminal."""
    if when != "auto":
        return when == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR") or os.environ.get("CLICOLOR_FORCE"):
        return True
    plain = os.environ.get("TERM") == "dumb" or os.environ.get("CLICOLOR") == "0"
    return bool(stream.isatty()) and not plain
