"""Many files: which rules and settings hold for each, the work spread over processes, results in one order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

from telepathy_lint.discovery.config import Config, ConfigError, Configs
from telepathy_lint.discovery.walk import Found, Patterns, read_bytes

if TYPE_CHECKING:
    from telepathy_lint.cache import Cache, Grounds
    from telepathy_lint.cache.contents import Contents
    from telepathy_lint.discovery.requirements import Targets
    from telepathy_lint.findings.result import FileResult
    from telepathy_lint.rule import Rule
    from telepathy_lint.run.lint_file import Job
    from telepathy_lint.run.options import Task
    from telepathy_lint.settings import UnusedModel
    from telepathy_lint.settings.selectors import Layer

#: The rules that need a look at the whole project first, by code and name: known without loading them.
PROJECT_RULES = ("TLP303", "unused-model-config")
#: Of so few files it is sooner seen that they do not matter than looked up.
_FEW = 64
_FIXING = ("fixable", "unfixable", "extend-fixable", "extend-safe-fixes", "extend-unsafe-fixes")
#: Bytes of files held from the look whether they matter to the work on them; what is beyond is read again.
_HELD = 6_000_000


class _Read(NamedTuple):
    """A file that may matter, as it was read."""

    number: int
    found: Found
    path: str
    #: None where it is to be read again: a large tree would fill the memory of every process.
    data: bytes | None
    size: int
    #: None where the result is not to be remembered.
    digest: str | None
    #: Only its suppression comments may matter.
    comments_only: bool = False


class Project:
    """Runs a task over files; what it prepares for one folder it keeps for the next."""

    def __init__(
        self, configs: Configs, unused: Callable[[], Mapping[str, tuple[UnusedModel, ...]]] | None = None
    ) -> None:
        self.configs = configs
        #: The look at the whole project that some rules need: what is configured in a file and loaded nowhere. None
        #: where files are looked at one by one.
        self.unused = unused
        self._unused: Mapping[str, tuple[UnusedModel, ...]] = {}
        self._targets: Targets | None = None
        self._rules: dict[tuple[int, tuple[str, ...]], tuple[Rule, ...]] = {}
        self._patterns: dict[int, list[tuple[Patterns, tuple[str, ...]]]] = {}
        self._keys: dict[tuple[int, tuple[str, ...], str | None], str] = {}

    def run(
        self,
        files: Sequence[Found],
        task: Task,
        jobs: int | None = None,
        progress: Callable[[int, int], None] = lambda done, all: None,
        cache: Cache | None = None,
    ) -> list[FileResult]:
        """Results for the files that may have any, in the order of the files.

        Until there is a file that could matter, and of which nothing is known, nothing heavier than bytes is touched.
        """
        if self.unused is not None and self._looks_at_all(files):
            self._unused, cache = self.unused(), None  # no cached result rests on the whole project
        results: list[tuple[int, FileResult]] = []
        read: list[_Read] = []
        few, held = len(files) < _FEW, 0
        for index, found in enumerate(files):
            if found.problem is not None:
                results.append((index, self._failed(found.path, found.problem)))
                continue
            path = os.path.join(found.folder, os.path.basename(found.path))
            kept = cache if not found.passing else None
            try:
                if few and kept is not None and not self._matters(found, read_bytes(found.path), task):
                    continue
                if kept is not None and (hit := kept.find(path, found.path, partial(self._key, found))):
                    results += [(index, hit.result)] if hit.result is not None else []
                    continue
                data = kept.contents.read(path) if kept is not None else read_bytes(found.path)
            except OSError as error:
                results.append((index, self._failed(found.path, f"cannot be read: {error.strerror}")))
                continue
            digest = kept.contents.digest(path) if kept is not None else None
            if matters := self._matters(found, data, task):
                held += len(data)
                # What is written back is compared with what was read: a pipe can be read only once.
                keep = held <= _HELD or task.writes or found.passing
                held_data = data if keep else None
                read.append(_Read(index, found, path, held_data, len(data), digest, matters == "comments"))
            elif kept is not None and digest is not None:
                kept.keep(path, digest, self._key(found, True), None)
        if read:
            results += self._worked(read, task, jobs, progress, cache)
        if cache is not None:
            cache.save()
        results.sort(key=lambda pair: pair[0])
        return [result for _, result in results]

    def _matters(self, found: Found, data: bytes, task: Task) -> Literal["", "comments", "all"]:
        """What of a file may matter."""
        from telepathy_lint.source.prefilter import may_matter, may_name_rules

        words = self.configs.of(found.folder).loading_words
        if may_matter(data, words) or os.path.abspath(found.path) in self._unused:
            return "all"
        if not may_name_rules(data):
            return ""
        # A comment can be unused in a file that loads nothing.
        return "all" if task.unused_noqa else "comments"

    def _worked(
        self,
        read: Sequence[_Read],
        task: Task,
        jobs: int | None,
        progress: Callable[[int, int], None],
        cache: Cache | None,
    ) -> list[tuple[int, FileResult]]:
        prepared = [
            self.job(each.found, each.data or b"")._replace(comments_only=each.comments_only) for each in read
        ]
        contents = cache.contents if cache is not None else None
        worked = self._work(list(zip(read, prepared, strict=True)), task, jobs, progress, contents)
        if fixed := [job.path for job, (result, _) in zip(prepared, worked, strict=True) if result.output]:
            from telepathy_lint.run.atomic_write import remove_leftovers

            remove_leftovers(fixed)
        results: list[tuple[int, FileResult]] = []
        for each, job, (result, grounds) in zip(read, prepared, worked, strict=True):
            if cache is not None and each.digest is not None and grounds is not None:
                cache.keep(each.path, each.digest, self._key(each.found, False), result, grounds)
            # Only now: what is found in one file may depend on another, which must not have changed meanwhile.
            results.append((each.number, self._written(job, task, result)))
        return results

    def _key(self, found: Found, idle: bool) -> str:
        """What a cached result is known by, beside the file and what it rests on: everything configured that could change it.

        That a file cannot matter (`idle`) depends on fewer things.
        """
        config = self.configs.of(found.folder)
        if idle:
            return repr(config.loading_words)
        more, target = self._ignored(config, found), self._target(config, found.folder)
        known = (id(config), more, target)
        if known not in self._keys:
            self._keys[known] = f"{selection(config)}{more!r}\n{config.settings(target)!r}"
        return self._keys[known]

    @staticmethod
    def _failed(path: str, problem: str) -> FileResult:
        from telepathy_lint.findings.result import failure

        return failure(path, problem)

    def job(self, found: Found, data: bytes) -> Job:
        """A file with the rules and settings of its folder's configuration."""
        from telepathy_lint.run.lint_file import Job

        config = self.configs.of(found.folder)
        target = self._target(config, found.folder)
        settings = config.settings(target)
        if self._unused and (unused := self._unused.get(os.path.abspath(found.path))):
            settings = settings._replace(unused_models=unused)
        return Job(found.path, data, self.rules(config, found), settings)

    def _looks_at_all(self, files: Iterable[Found]) -> bool:
        """Whether a rule that needs the whole project is selected; rules are loaded only where that may be."""
        for found in files:
            config = self.configs.of(found.folder)
            selectors = [each for layer in config.rule_layers for each in (*(layer.only or ()), *layer.more)]
            if any(
                selector == "ALL" or name.startswith(selector)
                for selector in selectors
                for name in PROJECT_RULES
            ) and any(rule.meta.project for rule in self.rules(config, found)):
                return True
        return False

    def _target(self, config: Config, folder: str) -> str | None:
        if config.target_transformers is not None:
            return None
        if self._targets is None:
            from telepathy_lint.discovery.requirements import Targets

            self._targets = Targets()
        found = self._targets.of(folder)
        return found.version if found is not None else None

    def rules(self, config: Config, found: Found) -> tuple[Rule, ...]:
        """The rules selected for a file."""
        more = self._ignored(config, found)
        key = (id(config), more)
        if key not in self._rules:
            self._rules[key] = self._select(config, more)
        return self._rules[key]

    def _ignored(self, config: Config, found: Found) -> tuple[str, ...]:
        """What per-file-ignores takes away from a file's rules."""
        ignores = self._patterns.get(id(config))
        if ignores is None:
            ignores = [(Patterns([pattern], config.root), codes) for pattern, codes in config.ignored]
            self._patterns[id(config)] = ignores
        name = os.path.basename(found.path)
        return tuple(
            code for patterns, codes in ignores if patterns.match_file(found.folder, name) for code in codes
        )

    @staticmethod
    def _select(config: Config, more: tuple[str, ...]) -> tuple[Rule, ...]:
        from telepathy_lint import rules as registry

        refuse_unknown_rules(config)
        ignored = {rule.meta.code for rule in registry.select(more)} if more else set()
        return tuple(rule for rule in registry.select_by(config.rule_layers) if rule.meta.code not in ignored)

    @staticmethod
    def _written(job: Job, task: Task, result: FileResult) -> FileResult:
        if result.output is None:
            return result
        from telepathy_lint.run.atomic_write import WriteRefusedError, write_back
        from telepathy_lint.run.lint_file import unfixed

        try:
            write_back(job.path, result.output, job.data)
        except WriteRefusedError as error:
            from telepathy_lint.sites import Modules

            return unfixed(job, task, str(error), Modules())
        return result._replace(output=None)

    @staticmethod
    def _work(
        prepared: Sequence[tuple[_Read, Job]],
        task: Task,
        jobs: int | None,
        progress: Callable[[int, int], None],
        contents: Contents | None,
    ) -> list[tuple[FileResult, Grounds | None]]:
        """Each file's result, and what it rests on where `contents` are kept."""
        from telepathy_lint.findings.result import failure
        from telepathy_lint.run.lint_file import run
        from telepathy_lint.run.processes import Collector, Pool, processes
        from telepathy_lint.sites import Modules

        modules = Modules() if contents is None else Modules(contents.read)

        def work(item: tuple[_Read, Job]) -> tuple[FileResult, Grounds | None]:
            read, job = item
            changed = False
            if read.data is None:
                try:
                    job = job._replace(data=read_bytes(job.path))
                except OSError as error:
                    return Project._failed(job.path, f"cannot be read: {error.strerror}"), None
                changed = read.digest is not None and _digest_of(job.data) != read.digest
            result = run(job, task, modules)
            if contents is None or changed:
                return result, None
            from telepathy_lint.cache import grounds

            return result, grounds(modules.asked(job.path), contents)

        sizes = [read.size for read, _ in prepared]
        count = processes(jobs, len(prepared), sum(sizes))
        if count > 1:
            pool: Pool[tuple[_Read, Job], tuple[FileResult, Grounds | None]] = Pool(
                work,
                lambda item, how: (
                    failure(item[1].path, f"the process linting this file died ({how})"),
                    None,
                ),
                lambda done: progress(done, len(prepared)),
            )
            return pool.run(prepared, sizes, count)
        results = []
        collector = Collector()
        for item, size in zip(prepared, sizes, strict=True):
            results.append(work(item))
            collector.add(size)
            progress(len(results), len(prepared))
        return results


def _digest_of(data: bytes) -> str:
    from telepathy_lint.cache.contents import digest_of

    return digest_of(data)


def selection(config: Config) -> str:
    """The rules that a configuration chooses, and may fix, as a cached result's key begins."""
    fixing = config.settings(None).fixing
    return f"{config.rule_layers!r} {fixing!r}\n"


def refuse_unknown_rules(config: Config) -> None:
    """Refuse a configuration in which a selector of rules fits none.

    Raises:
        ConfigError: says where, and which rule is near.
    """
    from telepathy_lint import rules as registry

    ignored = [code for _, codes in config.ignored for code in codes]
    groups: tuple[tuple[tuple[str, ...], Sequence[str]], ...] = (
        (("select", "ignore", "extend-select"), _selectors(config.rule_layers)),
        (("per-file-ignores", "extend-per-file-ignores"), ignored),
        (_FIXING, config.settings(None).fixing.selectors),
    )
    for keys, selectors in groups:
        more: tuple[tuple[str, str], ...] = ()
        if keys is _FIXING and selectors:
            from telepathy_lint.suppression.edits import UNUSED_CODE, UNUSED_NAME

            # Unused suppression comments are found by no rule, but can be fixed.
            more = ((UNUSED_CODE, UNUSED_NAME),)
        try:
            registry.check(selectors, more)
        except ValueError as error:
            given = [config.origins[key] for key in keys if key in config.origins]
            raise ConfigError(f"{', '.join(dict.fromkeys(given))}: {error}") from error


def _selectors(layers: Iterable[Layer]) -> list[str]:
    return [each for layer in layers for each in (*(layer.only or ()), *layer.more, *layer.less)]
