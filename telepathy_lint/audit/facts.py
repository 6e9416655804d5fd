"""Collects the facts of a whole project: finds and reads its files, and follows ids from file to file."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from telepathy_lint import __version__
from telepathy_lint.audit import texts
from telepathy_lint.audit.actions import Planner
from telepathy_lint.audit.callers import MayCall, wanted_of, with_ids
from telepathy_lint.audit.checks import checked
from telepathy_lint.audit.collect import Job, collect, relative, with_given
from telepathy_lint.audit.consistency import consistency
from telepathy_lint.audit.data import FileFacts, Gpu, Load, Mention, Model, Place, Role
from telepathy_lint.audit.host import host_of
from telepathy_lint.audit.identifiers import has_ids
from telepathy_lint.audit.options import Options
from telepathy_lint.audit.outcome import Audit
from telepathy_lint.audit.pairs import together
from telepathy_lint.audit.sizes import gpu_of, peaks, spec_of
from telepathy_lint.audit.unused import Area, areas, unused_models
from telepathy_lint.discovery.config import Configs
from telepathy_lint.discovery.walk import Discovery, Found, read_bytes
from telepathy_lint.rules import all_rules
from telepathy_lint.run.selection import Selection
from telepathy_lint.settings import UnusedModel
from telepathy_lint.sites import Modules
from telepathy_lint.source.prefilter import may_matter


def unused(
    paths: Iterable[str], configs: Configs, jobs: int | None = None
) -> dict[str, tuple[UnusedModel, ...]]:
    """Return the models that projects configure but never load, by the file's absolute path.

    Raises:
        ConfigError: the configuration is invalid.
    """
    found: dict[str, tuple[UnusedModel, ...]] = {}
    for area in areas(paths):
        root = area.root
        # A pipe can only be read once, by the linter.
        python = [each for each in Discovery(configs).find(area.paths) if not each.passing]
        todo = [replace(job, rules=()) for job in _python_jobs(python, Selection(configs), root, [])]
        todo += _other_files(area.paths, root, configs)[0]
        files = _work(todo, root, jobs)
        if not any(facts.entries for facts in files):
            continue  # no model is configured, so the registry is not needed
        files = _with_callers(files, todo)
        readable = (each.path for each in python if each.problem is None)
        models = _models(files, _loads(files), sized=False)
        for name, unloaded in unused_models(files, models, area, readable).items():
            found[os.path.join(root, *name.split("/"))] = unloaded
    return found


def audit(path: str, configs: Configs, gpu: str, jobs: int | None = None, given: Sequence[str] = ()) -> Audit:
    """Audit a file or folder; `gpu` is a name in the runtime's table of GPUs.

    `given` are the options that selected the configuration; the recommended commands repeat them.

    Raises:
        ConfigError: the configuration is invalid.
        ValueError: the GPU is unknown.
    """
    card = gpu_of(gpu)
    root = os.path.abspath(path if os.path.isdir(path) else os.path.dirname(path) or ".")
    discovery = Discovery(configs)
    python = discovery.find([path])
    problems = [(relative(found.path, root), found.problem) for found in python if found.problem is not None]
    selection = Selection(configs)
    todo = list(_python_jobs(python, selection, root, problems))
    others, other_files = _other_files([path], root, configs)
    todo += others
    files = _with_callers(_work(todo, root, jobs), todo)
    problems += [(facts.path, facts.problem) for facts in files if facts.problem is not None]
    readable = [found.path for found in python if found.problem is None]
    area = Area(root, (os.path.abspath(path),))
    found = _assembled(files, area, readable, len(python), other_files, problems, card)
    planner = Planner(path, configs, found.findings, found.conversions, given)
    by_path = {relative(each.path, root): each for each in python}
    sources = {job.shown: (by_path[job.shown], job.data) for job in todo if job.shown in by_path}
    return replace(
        found,
        actions=planner.actions(sources, jobs),
        commands=tuple(planner.rule_command(code) for code, *_ in found.rules),
        where=planner.where,
        path=path,
        host=host_of(root),
        copies=tuple(discovery.copies.items()),
    )


def _python_jobs(
    files: Iterable[Found], selection: Selection, root: str, problems: list[tuple[str, str]]
) -> Iterator[Job]:
    for found in files:
        if found.problem is not None:
            continue
        try:
            data = read_bytes(found.path)
        except OSError as error:
            problems.append((relative(found.path, root), f"cannot be read: {error.strerror}"))
            continue
        words = selection.configs.of(found.folder).loading_words
        if may_matter(data, words) or (b"/" in data and has_ids(data.decode("utf-8", "replace"))):
            plan = selection.plan(found.path, found.folder)
            yield Job(found.path, relative(found.path, root), data, plan.rules, plan.settings)


def _other_files(paths: Iterable[str], root: str, configs: Configs) -> tuple[list[Job], int]:
    """Return jobs for the scripts and configuration files below folders that are not excluded, and the number of files.

    There are only jobs for files with facts, because a project may have any number of JSON files with
    results.
    """
    settings = configs.of(root).settings(None)
    jobs: list[Job] = []
    count = 0
    for found in Discovery(configs, suffixes=texts.SUFFIXES).find(filter(os.path.isdir, paths)):
        try:
            if found.problem is not None or os.path.getsize(found.path) > texts.MAX_BYTES:
                continue
            data = read_bytes(found.path)
        except OSError:
            continue
        count += 1
        shown = relative(found.path, root)
        if texts.may_have_facts(shown, data):
            jobs.append(Job(found.path, shown, data, (), settings))
    return jobs, count


def _work(todo: Sequence[Job], root: str, jobs: int | None) -> list[FileFacts]:
    from telepathy_lint.run.processes import Pool, processes

    modules = Modules()
    sizes = [len(job.data) for job in todo]
    count = processes(jobs, len(todo), sum(sizes))
    if count < 2:
        return [collect(job, modules, root) for job in todo]
    pool: Pool[Job, FileFacts] = Pool(
        lambda job: collect(job, modules, root),
        lambda job, how: FileFacts(job.shown, problem=f"the process reading this file died ({how})"),
    )
    return pool.run(todo, sizes, count)


def _with_callers(files: list[FileFacts], todo: Sequence[Job]) -> list[FileFacts]:
    """Add what calls pass to functions of other files, by reading the few files with such calls again."""
    wanted = wanted_of(files)
    if not wanted:
        return files
    modules, may_call = Modules(), MayCall(wanted)
    return [
        with_given(facts, job, modules, wanted)
        if facts.problem is None and may_call(job.shown, job.data)
        else facts
        for facts, job in zip(files, todo, strict=True)
    ]


# ---- putting together


def _assembled(
    files: Sequence[FileFacts],
    area: Area,
    readable: Sequence[str],
    python_files: int,
    other_files: int,
    problems: Sequence[tuple[str, str]],
    card: Gpu,
) -> Audit:
    loads = _loads(files)
    models = _models(files, loads, sized=True)
    findings = sorted(
        (finding for facts in files for finding in facts.findings), key=lambda one: (one.code, one.place)
    )
    codes = {finding.code for finding in findings}
    conversions = tuple(sorted(facts.conversion for facts in files if facts.conversion is not None))
    return Audit(
        root=os.path.basename(area.root) or area.root,
        version=__version__,
        python_files=python_files,
        other_files=other_files,
        models=models,
        unused=frozenset(
            one.model_id for found in unused_models(files, models, area, readable).values() for one in found
        ),
        loads=tuple(sorted(loads, key=lambda load: load.place)),
        consistency=consistency(loads, {one.place.path for one in conversions}),
        findings=tuple(findings),
        together=together(files, loads, card.name),
        checked=tuple(
            found
            for facts in files
            for number in facts.numbers
            if (found := checked(number, card.name)) is not None
        ),
        caches=tuple(cache for facts in files for cache in facts.caches),
        generates=tuple(call for facts in files for call in facts.generates),
        problems=tuple(sorted(problems)),
        gpu=card,
        calls=sum(facts.calls for facts in files),
        clean=sum(facts.clean for facts in files),
        rules=tuple(
            (rule.meta.code, rule.meta.name, rule.meta.fix or "none", rule.summary())
            for rule in all_rules()
            if rule.meta.code in codes
        ),
        conversions=conversions,
    )


def _loads(files: Sequence[FileFacts]) -> tuple[Load, ...]:
    """All loads, with the ids that scripts and configuration files pass to them."""
    options = Options(facts.passed for facts in files)
    given = [each for facts in files for each in facts.given]
    options.match((load for facts in files for load in facts.loads), given)
    loads = (options.given(load) for facts in files for load in facts.loads)
    return with_ids(loads, given, options)


def _models(files: Sequence[FileFacts], loads: Sequence[Load], sized: bool) -> tuple[Model, ...]:
    """All models that are named; `sized` ones with their peaks, which take most of the time."""
    mentions: dict[str, set[Mention]] = defaultdict(set)
    weights: dict[str, set[Place]] = defaultdict(set)
    tokenizers: dict[str, set[Place]] = defaultdict(set)
    for facts in files:
        for mention in facts.mentions:
            mentions[mention.model_id].add(mention)
    for load in loads:
        for chosen in load.ids:
            (tokenizers if load.kind == "tokenizer" else weights)[chosen.model_id].add(load.place)
            known = {mention.place for mention in mentions[chosen.model_id]}
            if chosen.place not in known:
                mentions[chosen.model_id].add(Mention(chosen.model_id, chosen.place, "load"))
    others = {
        model_id
        for model_id, found in mentions.items()
        if not weights[model_id] and _names_no_model({mention.role for mention in found})
    }
    return tuple(
        _model(
            model_id,
            tuple(sorted(found, key=lambda one: one.place)),
            tuple(sorted(weights[model_id])),
            tuple(sorted(tokenizers[model_id])),
            sized,
        )
        for model_id, found in sorted(mentions.items(), key=lambda item: (item[0].casefold(), item[0]))
        if model_id not in others
    )


def _names_no_model(roles: set[Role]) -> bool:
    """Whether an id only names a dataset, or a model of a service."""
    return "dataset" in roles or ("service" in roles and roles <= {"service", "data", "compared"})


def _model(
    model_id: str,
    mentions: tuple[Mention, ...],
    loads: tuple[Place, ...],
    tokenizers: tuple[Place, ...],
    sized: bool,
) -> Model:
    from telepathy_runtime.models.registry import check_id

    status = check_id(model_id)
    model = Model(
        model_id,
        status.status,
        status.canonical,
        status.nearest,
        mentions,
        loads,
        tokenizers,
        spelled=status.spelled,
    )
    spec = spec_of(model_id)
    if spec is None:
        return model
    known = status.status if status.status != "outside" else "known"
    return replace(
        model,
        status=known,
        canonical=model.canonical or spec.id,
        parameters=spec.params,
        weight_bytes=spec.bytes_in("bfloat16"),
        hidden=spec.hidden,
        layers=spec.layers,
        peaks=peaks(spec) if sized else (),
    )
