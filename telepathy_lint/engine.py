"""The engine: `lint` and `fix` for one source. It accesses no files and prints nothing."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from functools import cached_property

from telepathy_lint.facts.out_of_use import is_bare, is_out_of_use, kinds_that_matter
from telepathy_lint.findings.violation import (
    ORDER,
    Edit,
    Fix,
    Safety,
    SiteRef,
    Span,
    Violation,
    place_in_words,
)
from telepathy_lint.hints import TYPE_CHECKING, NamedTuple
from telepathy_lint.rule import Reported, Rule, on_at
from telepathy_lint.settings import Settings
from telepathy_lint.settings.installs import at_its_release
from telepathy_lint.sites import Modules, Site, scan
from telepathy_lint.sites.site import Kind
from telepathy_lint.source.text import Source, SourceError
from telepathy_lint.suppression import unsuppressed

if TYPE_CHECKING:
    from telepathy_lint.fixes.planner import Rewrite, Rewriter

#: The safety levels of fixes that have edits.
EVERY_FIX: tuple[Safety, ...] = ("safe", "unsafe")
#: Maximum number of rounds; fixes that need more undo each other.
MAX_ROUNDS = 10


class RuleError(Exception):
    """A rule crashed at a call (`span`); the run continues with other files."""

    def __init__(self, message: str, span: Span) -> None:
        super().__init__(message)
        self.span = span

    # By default, an exception is unpickled from its message alone.
    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (str(self), self.span)


class FixError(Exception):
    """Fixes broke the file or did not converge; none are applied."""


class Fixed(NamedTuple):
    """The result of fixing one source."""

    text: str
    changed: bool
    applied: tuple[Violation, ...]
    remaining: tuple[Violation, ...]


class _Found(NamedTuple):
    violation: Violation
    reported: Reported

    @property
    def site(self) -> Site:
        return self.reported.site

    @property
    def rule(self) -> Rule:
        return self.reported.rule


class Linted:
    """The findings in one state of a source, scanned once; close it, or use it in a `with` statement, to free the tree."""

    def __init__(
        self, source: Source, rules: Sequence[Rule], settings: Settings, project: Modules | None = None
    ) -> None:
        """Scan the source and run the rules.

        Raises:
            SourceError: the source is not valid Python for this interpreter.
            RuleError: a rule crashed.
        """
        self.source = source
        self.settings = at_its_release(settings, source.data, source.path.endswith(".ipynb"))
        self.rules = rules if settings.strict else on_at(rules, settings.stage, self.settings.stage)
        self._scan = scan(source, self.settings, project)
        sites = self._scan.of(kinds_that_matter(self._scan.file, self.rules, self.settings))
        found = reported(sites, self.rules, self.settings)
        self._found = [_Found(violation_of(source, each), each) for each in found]

    def __enter__(self) -> Linted:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the tree; afterwards, only values that were computed before are available."""
        self._scan.release()

    @cached_property
    def _rewriter(self) -> Rewriter:
        from telepathy_lint.fixes.planner import Rewriter  # most files have no finding

        return Rewriter(self._scan, self.settings)

    @cached_property
    def _kept(self) -> list[_Found]:
        """The findings without suppressed ones."""
        if not self._found:
            return self._found
        kept = {id(each) for each in unsuppressed(self.source, self.all_violations)}
        return [each for each in self._found if id(each.violation) in kept]

    @property
    def all_violations(self) -> list[Violation]:
        """All violations, including suppressed ones, without fixes."""
        return [each.violation for each in self._found]

    def sites(self, kinds: Iterable[Kind]) -> Sequence[Site]:
        """Return the sites of these kinds, whether or not a rule asked for them."""
        return self._scan.of(kinds)

    def violations(
        self, *, noqa: bool = True, edits: Container[Safety] = (), offers: bool = True, reasons: bool = False
    ) -> list[Violation]:
        """Return the sorted violations, each with its fix.

        `edits` names the safeties of the fixes whose edits are wanted; without it a Fix
        only says that there is one and how safe it is. Without `offers` no fix is looked for, for front-ends that show none; with `reasons`
        these still learn why a finding is not fixed.
        """
        found = self._kept if noqa else self._found
        if not offers and not reasons:
            return sorted([each.violation for each in found], key=ORDER)
        if not offers:
            return sorted([each.violation._replace(fix=self._withheld(each)) for each in found], key=ORDER)
        violations: list[Violation] = []
        for site, group in _by_site(found):
            rewrites = [
                self._with_edits(each) if each.fix.safety in edits else each
                for each in self._rewriter.offers(site, _fixable(group, self.settings))
            ]
            answers = {id(violation): rewrite.fix for violation, rewrite in _answered(group, rewrites)}
            violations += [
                each.violation._replace(fix=answers.get(id(each.violation)) or self._withheld(each))
                for each in group
            ]
        return sorted(violations, key=ORDER)

    def edits_of(self, violation: Violation) -> tuple[Edit, ...]:
        """Return the edits of the fix of one violation; none if it is suppressed or has no fix."""
        for site, group in _by_site(self._kept):
            if not any(each.violation == violation for each in group):
                continue
            rewrites = self._rewriter.offers(site, _fixable(group, self.settings))
            for answered, rewrite in _answered(group, rewrites):
                if answered == violation:
                    return self._with_edits(rewrite).fix.edits
        return ()

    def fixes(self, unsafe: bool, noqa: bool = True) -> tuple[list[Edit], list[Violation]]:
        """Return the edits of all fixes that can be combined, and the fixed violations, each with its fix."""
        return self._planned(self._kept if noqa else self._found, unsafe)

    def fixes_of(self, codes: Container[str], unsafe: bool) -> tuple[list[Edit], list[Violation]]:
        """The same as `fixes`, for some of the rules."""
        return self._planned([each for each in self._kept if each.rule.meta.code in codes], unsafe)

    def _planned(self, found: list[_Found], unsafe: bool) -> tuple[list[Edit], list[Violation]]:
        chosen = [
            rewrite
            for site, group in _by_site(found)
            for rewrite in self._rewriter.chosen(site, _fixable(group, self.settings), unsafe)
        ]
        edits, made = self._rewriter.plan(chosen) if chosen else ([], [])
        return edits, [violation._replace(fix=rewrite.fix) for violation, rewrite in _answered(found, made)]

    def _with_edits(self, rewrite: Rewrite) -> Rewrite:
        edits = tuple(self._rewriter.plan([rewrite])[0])
        return rewrite._replace(fix=rewrite.fix._replace(edits=edits))

    def _withheld(self, found: _Found) -> Fix | None:
        """The reason why an allowed fix is not offered; None if there is none."""
        return self._rewriter.withheld(found.site, found.rule) if _fixable([found], self.settings) else None


def lint(
    source: Source,
    rules: Sequence[Rule],
    settings: Settings,
    *,
    noqa: bool = True,
    edits: Container[Safety] = (),
    offers: bool = True,
    reasons: bool = False,
    project: Modules | None = None,
) -> list[Violation]:
    """The violations of one source, sorted; `edits`, `offers` and `reasons` are those of `Linted.violations`.

    Raises:
        SourceError: the source is not valid Python for this interpreter.
        RuleError: a rule crashed.
    """
    with Linted(source, rules, settings, project) as linted:
        return linted.violations(noqa=noqa, edits=edits, offers=offers, reasons=reasons)


def fix(
    source: Source,
    rules: Sequence[Rule],
    settings: Settings,
    *,
    unsafe: bool = False,
    noqa: bool = True,
    project: Modules | None = None,
) -> Fixed:
    """Apply the fixes to one source until nothing changes.

    Raises:
        SourceError, RuleError: as in `lint`.
        FixError: a fix broke the file, or the fixes do not converge.
    """
    linted, applied = settled(source, rules, settings, unsafe=unsafe, noqa=noqa, project=project)
    with linted:
        text = linted.source.text
        return Fixed(text, text != source.text, tuple(applied), tuple(linted.violations(noqa=noqa)))


def settled(
    source: Source,
    rules: Sequence[Rule],
    settings: Settings,
    *,
    unsafe: bool = False,
    noqa: bool = True,
    project: Modules | None = None,
) -> tuple[Linted, list[Violation]]:
    """Return the state without further fixes, still open, and the fixed violations. Raises what `fix` raises."""
    from telepathy_lint.fixes import apply as fixes
    from telepathy_lint.fixes.answered import gone

    applied: list[Violation] = []
    known: list[Violation] = []
    done: list[Violation] = []
    planned: list[Edit] = []
    for _ in range(MAX_ROUNDS):
        linted = Linted(source, rules, settings, project)
        try:
            found = linted.violations(noqa=noqa, offers=False)
            if done:
                applied += gone(known, done, planned, found)
            known = found
            planned, done = linted.fixes(unsafe, noqa)
        except BaseException:
            linted.close()
            raise
        if not planned:
            return linted, applied
        linted.close()
        codes = ", ".join(sorted({violation.code for violation in done}))
        try:
            before, source = source, source.with_text(fixes.apply(source.text, planned))
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
    """Return how many findings each run would fix in one source; a run has rules, with or without unsafe fixes.

    The number is 0 if the fixes would break the file. The source is scanned once for all runs without fixes.

    Raises:
        SourceError, RuleError: as in `lint`.
    """
    rules = {rule.meta.code: rule for chosen, _ in runs for rule in chosen}
    with Linted(source, list(rules.values()), settings, project) as linted:
        fixing = [
            bool(linted.fixes_of({rule.meta.code for rule in chosen}, unsafe)[0]) for chosen, unsafe in runs
        ]
    counts = []
    for (chosen, unsafe), fixes_some in zip(runs, fixing, strict=True):
        try:
            made = fix(source, chosen, settings, unsafe=unsafe, project=project).applied if fixes_some else ()
        except FixError:
            made = ()
        counts.append(len(made))
    return counts


def _broken(before: Source, after: Source) -> str | None:
    """Describe the part that no longer parses after a fix; None if everything does."""
    try:
        _ = after.tree
    except SourceError as error:
        return error.message
    from telepathy_lint.fixes import apply as fixes

    if fixes.given_twice(after.tree) > fixes.given_twice(before.tree):
        return "an argument is given twice"
    return after.problems[-1].message if len(after.problems) > len(before.problems) else None


def reported(sites: Sequence[Site], rules: Sequence[Rule], settings: Settings) -> list[Reported]:
    """Run the rules on sites; without `strict`, leave out findings that do not matter.

    Raises:
        RuleError: a rule crashed.
    """
    found: list[Reported] = []
    looking: dict[str, list[Rule]] = {}
    for site in sites:
        if site.kind not in looking:
            looking[site.kind] = [rule for rule in rules if site.kind in rule.meta.kinds]
        for rule in looking[site.kind]:
            try:
                if site.kind in rule.meta.only_bare and not (settings.strict or is_bare(site)):
                    continue
                findings = list(rule.check(site, settings))
                if findings and not settings.strict and not rule.matters(site, settings):
                    continue
                if findings and (settings.strict or not is_out_of_use(site, bool(rule.meta.five))):
                    found += [Reported(site, rule, each._replace(detail=each.told)) for each in findings]
            except Exception as error:
                span = site.source.place(site.start, site.end)
                where = place_in_words(span.line, span.cell)
                raise RuleError(
                    f"{rule.meta.code} crashed on {where}: {type(error).__name__}: {error}", span
                ) from error
    return found if settings.strict else _once(found)


def _once(found: list[Reported]) -> list[Reported]:
    """Remove findings that another finding about the same load covers."""
    if not any(each.rule.meta.covered_by and each.site.about for each in found):
        return found
    at = {(id(each.site.node), each.rule.meta.code) for each in found}
    return [
        each
        for each in found
        if not any((id(load.node), each.rule.meta.covered_by) in at for load in each.site.about)
    ]


def violation_of(source: Source, reported: Reported) -> Violation:
    """Convert a finding to a violation without a fix."""
    site, rule, (start, end, *_) = reported
    span = source.place(start, end)
    return Violation(
        path=source.path,
        cell=span.cell,
        line=span.line,
        column=span.column,
        code=rule.meta.code,
        name=rule.meta.name,
        message=reported.message,
        span=span,
        site=SiteRef(site.kind, site.callee, site.model_id, source.place(site.start, site.end)),
        start=start,
        end=end,
    )


def _by_site(found: list[_Found]) -> list[tuple[Site, list[_Found]]]:
    groups: dict[int, tuple[Site, list[_Found]]] = {}
    for each in found:
        groups.setdefault(id(each.site), (each.site, []))[1].append(each)
    return list(groups.values())


def _fixable(group: list[_Found], settings: Settings) -> list[Reported]:
    """The findings at a site that the configuration allows to be fixed."""
    allows = settings.fixing.allows
    return [each.reported for each in group if allows(each.rule.meta.code, each.rule.meta.name)]


def _answered(found: list[_Found], rewrites: list[Rewrite]) -> list[tuple[Violation, Rewrite]]:
    """The violations that the rewrites fix."""
    by_answer = {id(each): rewrite for rewrite in rewrites for each in rewrite.answers}
    pairs = ((each.violation, by_answer.get(id(each.reported))) for each in found)
    return [(violation, rewrite) for violation, rewrite in pairs if rewrite is not None]


__all__ = [
    "EVERY_FIX", "FixError", "Fixed", "Linted", "RuleError", "fix", "lint", "reported", "settled", "trial", "violation_of",
]  # fmt: skip
