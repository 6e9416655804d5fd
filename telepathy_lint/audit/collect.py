"""Collects the facts of one file: loads and other calls, findings of the rules, and model ids."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from telepathy_lint.audit import identifiers, texts
from telepathy_lint.audit.callers import given_by
from telepathy_lint.audit.commands import passed_by
from telepathy_lint.audit.conversions import conversion
from telepathy_lint.audit.data import (
    CachePath,
    Entry,
    FileFacts,
    Finding,
    Generate,
    Load,
    LoadKind,
    Mention,
    Place,
    Wanted,
)
from telepathy_lint.audit.escapes import Escapes
from telepathy_lint.audit.follow import Follower, written
from telepathy_lint.audit.loads import settings_of
from telepathy_lint.audit.tables import numbers_in
from telepathy_lint.audit.together import groups
from telepathy_lint.engine import reported, violation_of
from telepathy_lint.findings.violation import Violation, place_in_words
from telepathy_lint.fixes.planner import Rewriter
from telepathy_lint.flow.file import File
from telepathy_lint.rule import Reported, Rule, shown
from telepathy_lint.rules import select
from telepathy_lint.run.lint_file import open_source
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Modules, Scan, Site, scan
from telepathy_lint.sites.direct_loads import IDENTITY
from telepathy_lint.source.prefilter import CACHE_VARIABLES
from telepathy_lint.source.text import Source, SourceError
from telepathy_lint.suppression import unsuppressed

#: The kinds of calls that count for the share of calls without findings.
_COUNTED = ("model", "tokenizer", "pipeline", "generate")

#: The decoding arguments of a `generate` call.
DECODING = ("max_new_tokens", "max_length", "do_sample", "temperature", "generation_config", "pad_token_id")


@dataclass(frozen=True, slots=True)
class Job:
    """One file to read; `rules` is empty for files that are not Python."""

    path: str
    shown: str
    data: bytes
    rules: tuple[Rule, ...]
    settings: Settings


def collect(job: Job, modules: Modules, root: str) -> FileFacts:
    """Collect the facts of a file. Never raises for its contents: a problem is one of the facts."""
    if not job.path.endswith((".py", ".ipynb")):
        return texts.facts_of(job.shown, job.data.decode("utf-8", "replace"))
    try:
        source = open_source(job.path, job.data)
        scanned = scan(source, job.settings, modules)
        facts = _facts(job, source, scanned, modules, root)
        scanned.release()
        return facts
    except SourceError as error:
        return FileFacts(job.shown, problem=f"{place_in_words(error.line, error.cell)}: {error.message}")
    except RecursionError:
        return FileFacts(job.shown, problem="nested too deeply to be read")
    except Exception as error:
        return FileFacts(job.shown, problem=_failed(error))


def with_given(facts: FileFacts, job: Job, modules: Modules, wanted: tuple[Wanted, ...]) -> FileFacts:
    """Add to a file's facts what it passes to functions of other files."""
    try:
        file = _finder(open_source(job.path, job.data), job, modules)
        facts = replace(facts, given=tuple(given_by(Follower(file, job.shown), wanted)))
        file.release()
        return facts
    except Exception as error:
        return replace(facts, problem=_failed(error))


def _finder(source: Source, job: Job, modules: Modules) -> File:
    """The `File` that answers questions about names, even if the scan finds nothing relevant."""
    return File(source, job.settings, modules)


def _failed(error: Exception) -> str:
    return f"telepathy-lint itself failed: {type(error).__name__}: {error}; please report it"


def _facts(job: Job, source: Source, scanned: Scan, modules: Modules, root: str) -> FileFacts:
    facts = FileFacts(job.shown)
    file, has_ids = scanned.file, identifiers.has_ids(source.text)
    if file is None and not has_ids:
        return facts
    if file is None:
        file = _finder(source, job, modules)
    follower = Follower(file, job.shown)
    if has_ids:
        found = list(identifiers.in_python(file.tree, file.words, job.shown))
        ids = tuple(dict.fromkeys(mention.model_id for _, mention in found))
        facts = replace(
            facts,
            mentions=tuple(mention for _, mention in found),
            entries=tuple(_entries(found, Escapes(file.tree, file.words))),
            numbers=tuple(numbers_in(file.tree, ids, job.shown)),
            passed=tuple(passed_by(follower)),
        )
    if scanned.file is None:
        file.release()
        return facts
    loads = [
        _load(site, follower, root)
        for site in scanned.sites
        if site.kind in ("model", "tokenizer", "pipeline")
    ]
    findings, calls, clean = _judged(scanned, source, job)
    return replace(
        facts,
        loads=tuple(loads),
        findings=findings,
        conversion=conversion(source, file.words, job.shown) if loads else None,
        caches=_caches(scanned.sites, job.shown),
        generates=tuple(
            Generate(
                _place(site, job.shown),
                tuple(name for name in DECODING if name in site.arguments),
                site.opaque,
            )
            for site in scanned.sites
            if site.kind == "generate"
        ),
        calls=calls,
        clean=clean,
        together=tuple(
            tuple(_place(site, job.shown) for site in group)
            for group in groups(scanned.sites, file.tree, file.words)
        ),
    )


def _entries(found: list[tuple[ast.Constant, Mention]], escapes: Escapes) -> Iterator[Entry]:
    for node, mention in found:
        if mention.role in ("table", "constant") and (names := escapes.exports(node)) is not None:
            yield Entry(mention, names)


def _load(site: Site, follower: Follower, root: str) -> Load:
    found = follower.of(site)
    if site.loader:  # the rules treat every call of the loader as one with hidden arguments
        _, opaque = follower.file.arguments.read(site.call, site.context, (IDENTITY,))
        site = site._replace(opaque=opaque)
    kinds: dict[str, LoadKind] = {"model": "model", "tokenizer": "tokenizer", "pipeline": "pipeline"}
    ids = tuple(
        replace(each, place=replace(each.place, path=relative(each.place.path, root)))
        if os.path.isabs(each.place.path)
        else each
        for each in found.chosen
    )
    return Load(
        place=_place(site, follower.path),
        kind=kinds[site.kind],
        callee=site.callee,
        ids=ids,
        open=found.is_open,
        written=written(site),
        options=found.options,
        keys=follower.keys(found.options),
        settings=settings_of(site),
        generative=site.generative,
        indirect=site.indirect,
        logs_memory=site.kind == "tokenizer" or not any(_unlogged().check(site, follower.file.settings)),
        wanted=found.wanted,
        task=_task_of(site) if site.kind == "pipeline" else "",
    )


def _task_of(site: Site) -> str:
    argument = site.argument("task")
    values = argument.values if argument is not None else ()
    return str(values[0].data) if len(values) == 1 and values[0].kind == "const" else ""


@cache
def _unlogged() -> Rule:
    (rule,) = select(("TLP901",))
    return rule


def relative(path: str, root: str) -> str:
    """The path as shown by the audit: relative to the audited folder, with forward slashes."""
    return os.path.relpath(os.path.abspath(path), root).replace(os.sep, "/")


def _place(site: Site, path: str) -> Place:
    span = site.source.place(site.start, site.start)
    return Place(path, span.line, span.cell)


def _judged(scanned: Scan, source: Source, job: Job) -> tuple[tuple[Finding, ...], int, int]:
    """The findings that are not suppressed, the number of counted calls, and the number of those without a finding."""
    violations: list[Violation] = []
    sites = scanned.sites
    calls: dict[int, Site] = {id(site): site for site in sites if site.kind in _COUNTED}
    of_violation: dict[int, Reported] = {}
    for each in reported(sites, job.rules, job.settings):
        violation = violation_of(source, each)
        violations.append(violation)
        of_violation[id(violation)] = each
    kept = unsuppressed(source, violations)
    faulty = {id(of_violation[id(violation)].site) for violation in kept}
    fix_of = _fixes(scanned, job.settings) if kept else lambda found: (None, None)
    findings = tuple(
        Finding(
            one.code,
            one.name,
            one.message,
            Place(job.shown, one.line, one.cell),
            *fix_of(of_violation[id(one)]),
        )
        for one in kept
    )
    return findings, len(calls), sum(1 for site in calls if site not in faulty)


_Fix = tuple[Literal["safe", "unsafe"] | None, str | None]


def _fixes(scanned: Scan, settings: Settings) -> Callable[[Reported], _Fix]:
    """How safe the fix of one finding by itself is, and what holds it back."""
    rewriter = Rewriter(scanned, settings)

    def fix_of(found: Reported) -> _Fix:
        safeties = {offer.fix.safety for offer in rewriter.offers(found.site, [found])}
        if safeties:
            return "safe" if "safe" in safeties else "unsafe" if "unsafe" in safeties else None, None
        withheld = rewriter.withheld(found.site, found.rule)
        return None, withheld.reason if withheld is not None else None

    return fix_of


def _caches(sites: Sequence[Site], path: str) -> tuple[CachePath, ...]:
    found = []
    for site in sites:
        names = list(site.arguments) if site.kind == "path" else ["cache_dir"]
        for name in names:
            argument = site.arguments.get(name)
            if argument is not None and name in (*CACHE_VARIABLES, "cache_dir"):
                text = " or ".join(dict.fromkeys(shown(value) for value in argument.values))
                literal = any(
                    value.kind in ("const", "text") and not value.is_none for value in argument.values
                )
                found.append(CachePath(name, text, _place(site, path), literal))
    return tuple(found)
