"""Lints many files: makes a plan for each, lints them in processes, and writes the fixed ones.

    files -> bytes -> plans -> lint_file, in processes -> results -> written files

Until a file may be relevant and is not in the cache, only bytes are read and nothing else is imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from telepathy_lint.discovery.walk import Found, read_bytes
from telepathy_lint.hints import TYPE_CHECKING, Literal, NamedTuple
from telepathy_lint.run.options import Task
from telepathy_lint.run.selection import FilePlan, Selection

if TYPE_CHECKING:
    from telepathy_lint.cache import Cache, Grounds
    from telepathy_lint.cache.contents import Contents
    from telepathy_lint.findings.result import FileResult
    from telepathy_lint.sites import Modules

#: With so few files, testing whether they are relevant is faster than looking them up in the cache.
_FEW = 64
#: Bytes of file contents kept between the test for relevance and linting; the other files are read again.
_HELD = 6_000_000
#: Bytes of source from which on trees are freed, though the process ends: they take a hundred times as much.
_FREED = 100_000

Progress = Callable[[int, int], None]


class Outcome(NamedTuple):
    """What a run found out about one file."""

    #: None if the file cannot contain anything relevant.
    result: FileResult | None
    plan: FilePlan | None = None
    #: The linted content, if the file may have to be written.
    data: bytes = b""
    #: The dependencies of the result besides the file; None if it must not be cached.
    grounds: Grounds | None = None


class _Work(NamedTuple):
    """A relevant file."""

    plan: FilePlan
    #: None if the file is to be read again: a large project would fill the memory of each process.
    data: bytes | None
    size: int
    #: None if results are not cached.
    digest: str | None


def check_files(
    files: Sequence[Found],
    selection: Selection,
    task: Task,
    jobs: int | None = None,
    progress: Progress = lambda done, all: None,
    cache: Cache | None = None,
    *,
    is_last: bool = False,
) -> list[FileResult]:
    """Lint the files and write the fixed ones. Returns the results of relevant files, in the order of the files.

    With `is_last`, the process ends afterwards, and the trees of a few small files are not freed.
    """
    linting = Linting(selection, task, jobs, progress, cache, is_last)
    lint = linting.outcomes if cache is None else remembering(linting, cache)
    outcomes = written(lint(files))
    return [each.result for each in outcomes if each.result is not None]


class Linting:
    """Lints files without using cached results."""

    def __init__(
        self,
        selection: Selection,
        task: Task,
        jobs: int | None = None,
        progress: Progress = lambda done, all: None,
        cache: Cache | None = None,
        is_last: bool = False,
    ) -> None:
        self.is_last = is_last
        self.selection = selection
        self.task = task
        self.jobs = jobs
        self.progress = progress
        self._cache = cache

    @property
    def contents(self) -> Contents | None:
        """The file contents for caching: all reads go through it. Reads the cache's file on first use."""
        return self._cache.contents if self._cache is not None else None

    def outcomes(self, files: Sequence[Found]) -> list[Outcome]:
        """Return the outcome of each file, in order; writes nothing."""
        outcomes: dict[int, Outcome] = {}
        work: dict[int, _Work] = {}
        held = 0
        for index, found in enumerate(files):
            if found.problem is not None:
                outcomes[index] = _failed(found.path, found.problem)
                continue
            contents, path = self.contents if not found.passing else None, absolute(found)
            try:
                data = contents.read(path) if contents is not None else read_bytes(found.path)
            except OSError as error:
                outcomes[index] = _failed(found.path, f"cannot be read: {error.strerror}")
                continue
            matters = self.matters(found, data)
            if not matters:
                outcomes[index] = Outcome(None)
                continue
            plan = self.selection.plan(found.path, found.folder, self.task)
            held += len(data)
            # Before writing, the content is compared with the one that was read; a pipe can be read only
            # once.
            keep = held <= _HELD or self.task.writes or found.passing
            digest = contents.digest(path) if contents is not None else None
            work[index] = _Work(
                plan._replace(comments_only=matters == "comments"), data if keep else None, len(data), digest
            )
        for index, outcome in zip(work, self._worked(list(work.values())), strict=True):
            outcomes[index] = outcome
        return [outcomes[index] for index in range(len(files))]

    def matters(self, found: Found, data: bytes) -> Literal["", "comments", "all"]:
        """Which parts of a file may be relevant: none, only its suppression comments, or all."""
        from telepathy_lint.source.prefilter import may_matter, may_name_rules

        words = self.selection.configs.of(found.folder).loading_words
        if may_matter(data, words) or os.path.abspath(found.path) in self.selection.unused:
            return "all"
        if not may_name_rules(data):
            return ""
        # A file without loads may have an unused suppression comment.
        return "all" if self.task.unused_noqa else "comments"

    def _worked(self, work: Sequence[_Work]) -> list[Outcome]:
        if not work:
            return []
        from telepathy_lint.findings.result import failure
        from telepathy_lint.run.processes import Collector, Pool, processes
        from telepathy_lint.sites import Modules

        modules = Modules() if self._cache is None else self._cache.modules

        def lint(item: _Work) -> tuple[FileResult, Grounds | None]:
            return self._linted(item, modules)

        def lost(item: _Work, how: str) -> tuple[FileResult, None]:
            return failure(item.plan.path, f"the process linting this file died ({how})"), None

        sizes = [each.size for each in work]
        count = processes(self.jobs, len(work), sum(sizes))
        if count > 1:
            pool: Pool[_Work, tuple[FileResult, Grounds | None]] = Pool(
                lint, lost, lambda done: self.progress(done, len(work))
            )
            results = pool.run(work, sizes, count)
        else:
            modules.frees_nothing = self.is_last and sum(sizes) < _FREED
            results = []
            collector = Collector()
            for item, size in zip(work, sizes, strict=True):
                results.append(lint(item))
                collector.add(size)
                self.progress(len(results), len(work))
        return [
            Outcome(result, item.plan, item.data or b"", grounds)
            for item, (result, grounds) in zip(work, results, strict=True)
        ]

    def _linted(self, item: _Work, modules: Modules) -> tuple[FileResult, Grounds | None]:
        """Return the result of a file, and its dependencies if results are cached."""
        from telepathy_lint.run import lint_file

        data, changed = item.data, False
        if data is None:
            try:
                data = read_bytes(item.plan.path)
            except OSError as error:
                return _unreadable(item.plan.path, f"cannot be read: {error.strerror}"), None
            changed = item.digest is not None and _digest_of(data) != item.digest
        result = lint_file.lint_file(item.plan, data, modules)
        if self.contents is None or item.digest is None or changed:
            return result, None
        from telepathy_lint.cache import grounds

        return result, grounds(item.plan.path, modules, self.contents)


def remembering(linting: Linting, cache: Cache) -> Callable[[Sequence[Found]], list[Outcome]]:
    """Return a version of `linting.outcomes` that uses cached results and caches new ones."""

    def outcomes(files: Sequence[Found]) -> list[Outcome]:
        few = len(files) < _FEW
        known: dict[int, Outcome] = {}
        for index, found in enumerate(files):
            if found.problem is None and not found.passing:
                outcome = _known(found, linting, cache, few)
                if outcome is not None:
                    known[index] = outcome
        new = [index for index in range(len(files)) if index not in known]
        for index, outcome in zip(new, linting.outcomes([files[index] for index in new]), strict=True):
            known[index] = outcome
            _remember(files[index], outcome, linting, cache)
        cache.save()
        return [known[index] for index in range(len(files))]

    return outcomes


def _known(found: Found, linting: Linting, cache: Cache, few: bool) -> Outcome | None:
    """Return the outcome of a file without linting it; None if it must be linted."""
    path = absolute(found)
    try:
        if few and not linting.matters(found, read_bytes(found.path)):
            return Outcome(None)
        entry = cache.entry(path)
        if entry is None or entry.key != linting.selection.key(found.path, found.folder, entry.idle):
            return None
        hit = cache.find(path, entry, found.path)
    except OSError:
        return None  # linting reports the error
    return Outcome(hit.result) if hit is not None else None


def _remember(found: Found, outcome: Outcome, linting: Linting, cache: Cache) -> None:
    idle = outcome.result is None
    if found.problem is not None or found.passing or (not idle and outcome.grounds is None):
        return
    path = absolute(found)
    key = linting.selection.key(found.path, found.folder, idle)
    if outcome.grounds is None:
        cache.keep(path, cache.contents.digest(path), key, None)
    else:
        cache.keep(path, cache.contents.digest(path), key, outcome.result, outcome.grounds)


def written(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Write the fixed files and return the outcomes.

    This is done after all files were linted, because findings in one file may depend on the content of
    others.
    """
    fixed = [
        each.result.path for each in outcomes if each.result is not None and each.result.output is not None
    ]
    if not fixed:
        return list(outcomes)
    from telepathy_lint.run.atomic_write import remove_leftovers

    remove_leftovers(fixed)
    return [each._replace(result=_written(each)) for each in outcomes]


def _written(outcome: Outcome) -> FileResult | None:
    result, plan = outcome.result, outcome.plan
    if result is None or result.output is None or plan is None:
        return result
    from telepathy_lint.run.atomic_write import WriteRefusedError, write_back
    from telepathy_lint.run.lint_file import unfixed

    try:
        write_back(plan.path, result.output, outcome.data)
    except WriteRefusedError as error:
        from telepathy_lint.sites import Modules

        return unfixed(plan, outcome.data, str(error), Modules())
    return result._replace(output=None)


def absolute(found: Found) -> str:
    """The path of a file in the cache."""
    return os.path.join(found.folder, os.path.basename(found.path))


def _unreadable(path: str, problem: str) -> FileResult:
    from telepathy_lint.findings.result import failure

    return failure(path, problem)


def _failed(path: str, problem: str) -> Outcome:
    return Outcome(_unreadable(path, problem))


def _digest_of(data: bytes) -> str:
    from telepathy_lint.cache.contents import digest_of

    return digest_of(data)
