"""Many files: which rules and settings hold for each, the work spread over processes, results in one order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from telepathy_lint.config import Config, ConfigError, Configs
from telepathy_lint.files import Found, Patterns, read_bytes
from telepathy_lint.triggers import may_matter

if TYPE_CHECKING:
    from telepathy_lint.one_file import Job, Task
    from telepathy_lint.requirements import Targets
    from telepathy_lint.results import FileResult
    from telepathy_lint.rule import Rule

#: A suppression comment can be unused in a file that loads nothing.
_COMMENT = b"TLP", b"telepathy-lint:"


@dataclass(slots=True)
class Project:
    """Runs a task over files; what it prepares for one folder it keeps for the next."""

    configs: Configs
    _targets: Targets | None = None
    _rules: dict[tuple[int, tuple[str, ...]], tuple[Rule, ...]] = field(default_factory=dict)
    _patterns: dict[int, list[tuple[Patterns, tuple[str, ...]]]] = field(default_factory=dict)

    def run(
        self,
        files: Iterable[Found],
        task: Callable[[], Task],
        jobs: int | None = None,
        unused_noqa: bool = False,
        progress: Callable[[int, int], None] = lambda done, all: None,
    ) -> list[FileResult]:
        """Results for the files that have any, in the order of the files.

        `task` is asked for only when there is a file that could matter: until then nothing heavier than bytes is touched.
        """
        results: list[tuple[int, FileResult]] = []
        read: list[tuple[int, Found, bytes]] = []
        for index, found in enumerate(files):
            try:
                data = read_bytes(found.path) if found.problem is None else b""
            except OSError as error:
                found = Found(found.path, found.folder, f"cannot be read: {error.strerror}")
                data = b""
            if found.problem is not None:
                results.append((index, self._failed(found.path, found.problem)))
                continue
            words = self.configs.of(found.folder).loading_words
            if may_matter(data, words) or (unused_noqa and any(word in data for word in _COMMENT)):
                read.append((index, found, data))
        if read:
            prepared = [self.job(found, data) for _, found, data in read]
            todo = task()
            worked = self._work(prepared, todo, jobs, progress)
            # Only now: what is found in one file may depend on another, which must not have changed meanwhile.
            worked = [self._written(job, todo, result) for job, result in zip(prepared, worked, strict=True)]
            results += [(index, result) for (index, _, _), result in zip(read, worked, strict=True)]
        results.sort(key=lambda pair: pair[0])
        return [result for _, result in results]

    @staticmethod
    def _failed(path: str, problem: str) -> FileResult:
        from telepathy_lint.results import failure

        return failure(path, problem)

    def job(self, found: Found, data: bytes) -> Job:
        """A file with the rules and settings of its folder's configuration."""
        from telepathy_lint.one_file import Job

        config = self.configs.of(found.folder)
        target = self._target(config, found.folder)
        return Job(found.path, data, self.rules(config, found), config.settings(target))

    def _target(self, config: Config, folder: str) -> str | None:
        if config.target_transformers is not None:
            return None
        if self._targets is None:
            from telepathy_lint.requirements import Targets

            self._targets = Targets()
        found = self._targets.of(folder)
        return found.version if found is not None else None

    def rules(self, config: Config, found: Found) -> tuple[Rule, ...]:
        """The rules selected for a file."""
        ignores = self._patterns.get(id(config))
        if ignores is None:
            ignores = [
                (Patterns([pattern], config.root), codes) for pattern, codes in config.per_file_ignores
            ]
            self._patterns[id(config)] = ignores
        name = os.path.basename(found.path)
        more = tuple(
            code for patterns, codes in ignores if patterns.match(found.folder, name) for code in codes
        )
        key = (id(config), more)
        if key not in self._rules:
            self._rules[key] = self._select(config, more)
        return self._rules[key]

    @staticmethod
    def _select(config: Config, more: tuple[str, ...]) -> tuple[Rule, ...]:
        from telepathy_lint import registry

        try:
            chosen = registry.select(config.select, config.ignore, config.extend_select)
            ignored = {rule.meta.code for rule in registry.select(more)} if more else set()
        except ValueError as error:
            given = {
                key: config.origins[key]
                for key in ("select", "ignore", "extend-select", "per-file-ignores")
                if key in config.origins
            }
            raise ConfigError(f"{', '.join(dict.fromkeys(given.values()))}: {error}") from error
        return tuple(rule for rule in chosen if rule.meta.code not in ignored)

    @staticmethod
    def _written(job: Job, task: Task, result: FileResult) -> FileResult:
        if result.output is None:
            return result
        from telepathy_lint.files import WriteRefusedError, write_back
        from telepathy_lint.one_file import unfixed

        try:
            write_back(job.path, result.output, job.data)
        except WriteRefusedError as error:
            from telepathy_lint.scan import Modules

            return unfixed(job, task, str(error), Modules())
        return replace(result, output=None)

    @staticmethod
    def _work(
        prepared: Sequence[Job], task: Task, jobs: int | None, progress: Callable[[int, int], None]
    ) -> list[FileResult]:
        from telepathy_lint.one_file import run
        from telepathy_lint.results import failure
        from telepathy_lint.scan import Modules
        from telepathy_lint.workers import Collector, Pool, processes

        modules = Modules()
        sizes = [len(job.data) for job in prepared]
        count = processes(jobs, len(prepared), sum(sizes))
        if count > 1:
            pool: Pool[Job, FileResult] = Pool(
                lambda job: run(job, task, modules),
                lambda job, how: failure(job.path, f"the process linting this file died ({how})"),
                lambda done: progress(done, len(prepared)),
            )
            return pool.run(prepared, sizes, count)
        results = []
        collector = Collector()
        for job in prepared:
            results.append(run(job, task, modules))
            collector.add(len(job.data))
            progress(len(results), len(prepared))
        return results
