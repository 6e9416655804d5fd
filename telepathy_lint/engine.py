"""The engine: `lint` and `fix` for one source. Reads and writes no file, prints nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from telepathy_lint.findings.violation import ORDER, Edit, Fix, SiteRef, Span, Violation, place_in_words
from telepathy_lint.fixes import apply as fixes
from telepathy_lint.fixes.planner import Rewrite, Rewriter
from telepathy_lint.rule import Report, Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Modules, Scan, Site, scan
from telepathy_lint.source.text import Source, SourceError
from telepathy_lint.suppression import comments as suppress

#: Fixes that do not settle in this many rounds are fighting each other.
MAX_ROUNDS = 10


class RuleError(Exception):
    """A rule crashed at a call, whose place `span` is; the other files go on."""

    def __init__(self, message: str, span: Span) -> None:
        super().__init__(message)
        self.span = span

    def __reduce__(self) -> tuple[object, ...]:  # an exception is otherwise made again from its message alone
        return type(self), (str(self), self.span)


class FixError(Exception):
    """Fixes broke the file or did not settle; nothing of them is kept."""


class Fixed(NamedTuple):
    """The outcome of fixing one source."""

    text: str
    changed: bool
    applied: tuple[Violation, ...]
    remaining: tuple[Violation, ...]


class _Found(NamedTuple):
    violation: Violation
    site: Site
    rule: Rule


def lint(
    source: Source,
    rules: Sequence[Rule],
    settings: Settings,
    *,
    noqa: bool = True,
    edits: bool | Callable[[Fix], bool] = False,
    offers: bool = True,
    project: Modules | None = None,
) -> list[Violation]:
    """The violations of one source, sorted.

    `edits` asks for the edits of every fix, or of those it says yes to, which costs the import of LibCST; without it a
    Fix only says that there is one and how safe it is. Without `offers` no fix is looked for: for doors that show none.

    Raises:
        SourceError: the source is not Python that this interpreter can read.
        RuleError: a rule crashed.
    """
    found, scanned = _found(source, rules, settings, noqa, project)
    plain = [each.violation for each in found]
    violations = _with_fixes(found, scanned, settings, edits) if offers else sorted(plain, key=ORDER)
    scanned.release()
    return violations


def fix(
    source: Source,
    rules: Sequence[Rule],
    settings: Settings,
    *,
    unsafe: bool = False,
    noqa: bool = True,
    project: Modules | None = None,
) -> Fixed:
    """Apply the fixes of one source until nothing changes.

    Raises:
        SourceError, RuleError: as `lint`.
        FixError: a fix broke the file or the fixes do not settle.
    """
    original = source
    applied: list[Violation] = []
    for _ in range(MAX_ROUNDS):
        found, scanned = _found(source, rules, settings, noqa, project)
        rewriter = Rewriter(scanned, settings)
        chosen = _chosen(found, rewriter, unsafe)
        planned, carried_out = rewriter.plan(chosen) if chosen else ([], [])
        if not planned:
            remaining = _with_fixes(found, scanned, settings, edits=False)
            scanned.release()
            return Fixed(source.text, source.text != original.text, tuple(applied), tuple(remaining))
        scanned.release()
        text = fixes.apply(source.text, planned)
        done = [violation._replace(fix=rewrite.fix) for violation, rewrite in _answered(found, carried_out)]
        codes = ", ".join(sorted({violation.code for violation in done}))
        try:
            before, source = source, source.with_text(text)
        except SourceError as error:
            raise FixError(f"the fix of {codes} {error.message}; nothing was changed") from error
        if (broken := _broken(before, source)) is not None:
            raise FixError(f"the fix of {codes} would break the file ({broken}); nothing was changed")
        applied += done
    raise FixError(f"fixes did not settle in {MAX_ROUNDS} rounds; nothing was changed")


def trial(
    source: Source,
    runs: Sequence[tuple[Sequence[Rule], bool]],
    settings: Settings,
    *,
    project: Modules | None = None,
) -> list[int]:
    """How many fixes each run would make in one source, in its first round; each is some rules, and whether unsafe fixes count.

    0 where the fixes would break the file: `fix` refuses those. The source is scanned once for all runs.

    Raises:
        SourceError, RuleError: as `lint`.
    """
    rules = {rule.meta.code: rule for chosen, _ in runs for rule in chosen}
    found, scanned = _found(source, list(rules.values()), settings, True, project)
    rewriter = Rewriter(scanned, settings)
    counts = []
    for chosen, unsafe in runs:
        codes = {rule.meta.code for rule in chosen}
        wanted = [each for each in found if each.rule.meta.code in codes]
        made = _chosen(wanted, rewriter, unsafe)
        edits, carried_out = rewriter.plan(made) if made else ([], [])
        counts.append(len(_answered(wanted, carried_out)) if edits and _holds(source, edits) else 0)
    scanned.release()
    return counts


def _chosen(found: list[_Found], rewriter: Rewriter, unsafe: bool) -> list[Rewrite]:
    """The fixes to make, of all sites."""
    return [
        rewrite
        for site, group in _by_site(found)
        for rewrite in rewriter.chosen(site, _fixable(group, rewriter.settings), unsafe)
    ]


def _holds(source: Source, edits: Sequence[Edit]) -> bool:
    """Whether the source can be read after the edits."""
    try:
        return _broken(source, source.with_text(fixes.apply(source.text, edits))) is None
    except SourceError:
        return False


def _broken(before: Source, after: Source) -> str | None:
    """What no longer parses after a fix, None where all does."""
    try:
        _ = after.tree
    except SourceError as error:
        return error.message
    return after.problems[-1].message if len(after.problems) > len(before.problems) else None


def _found(
    source: Source, rules: Sequence[Rule], settings: Settings, noqa: bool, project: Modules | None
) -> tuple[list[_Found], Scan]:
    scanned = scan(source, settings, project)
    found = [
        _Found(_violation(source, site, rule, report), site, rule)
        for site, rule, report in reported(scanned.sites, rules, settings)
    ]
    if noqa and found:
        kept = {
            id(violation) for violation in suppress.unsuppressed(source, [each.violation for each in found])
        }
        found = [each for each in found if id(each.violation) in kept]
    return found, scanned


def reported(
    sites: Sequence[Site], rules: Sequence[Rule], settings: Settings
) -> list[tuple[Site, Rule, Report]]:
    """What the rules report of sites, as strictly as the settings say.

    Raises:
        RuleError: a rule crashed.
    """
    found: list[tuple[Site, Rule, Report]] = []
    for site in sites:
        for rule in rules:
            if site.kind not in rule.meta.kinds:
                continue
            try:
                report = rule.check(site, settings)
                if report is not None and (settings.strict or rule.matters(site, settings)):
                    found.append((site, rule, report))
            except Exception as error:
                span = site.source.place(site.start, site.end)
                where = place_in_words(span.line, span.cell)
                raise RuleError(
                    f"{rule.meta.code} crashed on {where}: {type(error).__name__}: {error}", span
                ) from error
    return found if settings.strict else _once(found)


def _once(found: list[tuple[Site, Rule, Report]]) -> list[tuple[Site, Rule, Report]]:
    """Without what another finding says of the same load already."""
    if not any(rule.meta.covered_by and site.about for site, rule, _ in found):
        return found
    at = {(id(site.call), rule.meta.code) for site, rule, _ in found}
    return [
        (site, rule, report)
        for site, rule, report in found
        if not any((id(load.call), rule.meta.covered_by) in at for load in site.about)
    ]


def _violation(source: Source, site: Site, rule: Rule, report: Report) -> Violation:
    span = source.place(report.start, report.end)
    ref = SiteRef(site.kind, site.callee, site.model_id, source.place(site.start, site.end))
    return Violation(
        path=source.path,
        cell=span.cell,
        line=span.line,
        column=span.column,
        code=rule.meta.code,
        name=rule.meta.name,
        message=report.message,
        span=span,
        site=ref,
        start=report.start,
        end=report.end,
    )


def _by_site(found: list[_Found]) -> list[tuple[Site, list[_Found]]]:
    groups: dict[int, tuple[Site, list[_Found]]] = {}
    for each in found:
        groups.setdefault(id(each.site), (each.site, []))[1].append(each)
    return list(groups.values())


def _with_fixes(
    found: list[_Found], scanned: Scan, settings: Settings, edits: bool | Callable[[Fix], bool]
) -> list[Violation]:
    """The violations, each with its site's fix: one rewrite for all rules that reported the site."""
    wanted = edits if callable(edits) else lambda fix: bool(edits)
    rewriter = Rewriter(scanned, settings)
    violations: list[Violation] = []
    for site, group in _by_site(found):
        rewrites = rewriter.offers(site, _fixable(group, settings))
        rewrites = [
            each._replace(fix=each.fix._replace(edits=tuple(rewriter.plan([each])[0])))
            if wanted(each.fix)
            else each
            for each in rewrites
        ]
        answers = {id(violation): rewrite.fix for violation, rewrite in _answered(group, rewrites)}
        violations += [
            each.violation._replace(fix=answers.get(id(each.violation)) or _withheld(each, rewriter))
            for each in group
        ]
    return sorted(violations, key=ORDER)


def _withheld(found: _Found, rewriter: Rewriter) -> Fix | None:
    """Why a finding that may be fixed is not."""
    return rewriter.withheld(found.site, found.rule) if _fixable([found], rewriter.settings) else None


def _fixable(group: list[_Found], settings: Settings) -> list[Rule]:
    """The rules that reported a site and may be fixed."""
    allows = settings.fixing.allows
    return [each.rule for each in group if allows(each.rule.meta.code, each.rule.meta.name)]


def _answered(found: list[_Found], rewrites: list[Rewrite]) -> list[tuple[Violation, Rewrite]]:
    """The violations that rewrites answer."""
    by_answer = {
        (id(rewrite.site), rule.meta.code): rewrite for rewrite in rewrites for rule in rewrite.rules
    }
    return [
        (each.violation, rewrite)
        for each in found
        if (rewrite := by_answer.get((id(each.site), each.rule.meta.code))) is not None
    ]


__all__ = ["FixError", "Fixed", "RuleError", "fix", "lint", "reported", "trial"]
