"""Many files: each looked at, planned and linted, the work spread over processes; then the fixed ones are written.

    files -> bytes -> plans -> lint_file, in processes -> results -> written files

Until there is a file that could matter, and of which nothing is known, nothing heavier than bytes is touched.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from telepathy_lint.discovery.walk import Found, read_bytes
from telepathy_lint.named_tuple import NamedTuple
from telepathy_lint.run.options import Task
from telepathy_lint.run.selection import FilePlan, Selection

if TYPE_CHECKING:
    from telepathy_lint.cache import Cache, Grounds
    from telepathy_lint.cache.contents import Contents
    from telepathy_lint.findings.result import FileResult
    from telepathy_lint.sites import Modules

#: Of so few files it is sooner seen that they do not matter than looked up.
_FEW = 64
#: Bytes of files held from the look whether they matter to the work on them; what is beyond is read again.
_HELD = 6_000_000

Progress = Callable[[int, int], None]


class Outcome(NamedTuple):
    """What a run found out about one file."""

    #: None where the file cannot hold anything of interest.
    result: FileResult | None
    plan: FilePlan | None = None
    #: The content that was linted, where the file may have to be written.
    data: bytes = b""
    #: What the result rests on beside the file; None where it is not to be remembered.
    grounds: Grounds | None = None


class _Work(NamedTuple):
    """A file that matters."""

    plan: FilePlan
    #: None where it is to be read again: a large tree would fill the memory of every process.
    data: bytes | None
    size: int
    #: None where nothing is remembered.
    digest: str | None


def check_files(
    files: Sequence[Found],
    selection: Selection,
    task: Task,
    jobs: int | None = None,
    progress: Progress = lambda done, all: None,
    cache: Cache | None = None,
) -> list[FileResult]:
    """Results for the files that may have any, in the order of the files; what is fixed is written."""
    linting = Linting(selection, task, jobs, progress, cache)
    lint = linting.outcomes if cache is None else remembering(linting, cache)
    outcomes = written(lint(files))
    return [each.result for each in outcomes if each.result is not None]


class Linting:
    """Lints files without asking whether an earlier run knows them."""

    def __init__(
        self,
        selection: Selection,
        task: Task,
        jobs: int | None = None,
        progress: Progress = lambda done, all: None,
        cache: Cache | None = None,
    ) -> None:
        self.selection = selection
        self.task = task
        self.jobs = jobs
        self.progress = progress
        self._cache = cache

    @property
    def contents(self) -> Contents | None:
        """What is read goes through here where results are to be remembered; the cache's file is read for it."""
        return self._cache.contents if self._cache is not None else None

    def outcomes(self, files: Sequence[Found]) -> list[Outcome]:
        """What becomes of each file, in the order of the files; nothing is written."""
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
            # What is written back is compared with what was read: a pipe can be read only once.
            keep = held <= _HELD or self.task.writes or found.passing
            digest = contents.digest(path) if contents is not None else None
            work[index] = _Work(
                plan._replace(comments_only=matters == "comments"), data if keep else None, len(data), digest
            )
        for index, outcome in zip(work, self._worked(list(work.values())), strict=True):
            outcomes[index] = outcome
        return [outcomes[index] for index in range(len(files))]

    def matters(self, found: Found, data: bytes) -> Literal["", "comments", "all"]:
        """What of a file may matter."""
        from telepathy_lint.source.prefilter import may_matter, may_name_rules

        words = self.selection.configs.of(found.folder).loading_words
        if may_matter(data, words) or os.path.abspath(found.path) in self.selection.unused:
            return "all"
        if not may_name_rules(data):
            return ""
        # A comment can be unused in a file that loads nothing.
        return "all" if self.task.unused_noqa else "comments"

    def _worked(self, work: Sequence[_Work]) -> list[Outcome]:
        if not work:
            return []
        from telepathy_lint.findings.result import failure
        from telepathy_lint.run.processes import Collector, Pool, processes
        from telepathy_lint.sites import Modules

        modules = Modules() if self.contents is None else Modules(self.contents.read)

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
        """The result of a file, and what it rests on where results are to be remembered."""
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

        return result, grounds(modules.asked(item.plan.path), self.contents)


def remembering(linting: Linting, cache: Cache) -> Callable[[Sequence[Found]], list[Outcome]]:
    """`linting.outcomes`, asked only for what the cache does not know; what it gives is remembered."""

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
    """What is known of a file without linting it; None where it must be looked at."""
    path = absolute(found)
    try:
        if few and not linting.matters(found, read_bytes(found.path)):
            return Outcome(None)
        entry = cache.entry(path)
        if entry is None or entry.key != linting.selection.key(found.path, found.folder, entry.idle):
            return None
        hit = cache.find(path, entry, found.path)
    except OSError:
        return None  # linting says so
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
    """The outcomes, with the fixed files written.

    Only after everything was linted: what is found in one file may depend on another, which must not have changed meanwhile.
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
    """The path by which a file is remembered."""
    return os.path.join(found.folder, os.path.basename(found.path))


def _unreadable(path: str, problem: str) -> FileResult:
    from telepathy_lint.findings.result import failure

    return failure(path, problem)


def _failed(path: str, problem: str) -> Outcome:
    return Outcome(_unreadable(path, problem))


def _digest_of(data: bytes) -> str:
    from telepathy_lint.cache.contents import digest_of

    return digest_of(data)
