"""The linter for programs: `lint` and `fix` for one source that is at hand as text or bytes.

Both read no file and no configuration; what a run of the command line takes from there is given as arguments. What another
module of the project defines is therefore not followed: for a whole repository, run the command with
`--output-format json`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import AnyStr, Generic

from telepathy_lint import engine
from telepathy_lint.engine import FixError, RuleError
from telepathy_lint.findings.violation import Edit, Fix, SiteRef, Span, Violation
from telepathy_lint.rules import check as check_selectors
from telepathy_lint.rules import select as select_rules
from telepathy_lint.run.lint_file import open_source
from telepathy_lint.settings import Loader, Settings
from telepathy_lint.settings.selectors import Layer
from telepathy_lint.source.text import SourceError

_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True)
class FixResult(Generic[AnyStr]):
    """What `fix` made of a source."""

    #: The source afterwards, of the type that was given: text for text, bytes for bytes.
    source: AnyStr
    changed: bool
    #: What was fixed, with the edits; lines and columns are those of the round of fixes that it was found in.
    applied: tuple[Violation, ...]
    #: What is still found afterwards.
    remaining: tuple[Violation, ...]


def lint(
    source: str | bytes,
    *,
    path: str = "<string>",
    settings: Settings | None = None,
    select: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    extend_select: Sequence[str] = (),
    fixable: Sequence[str] | None = None,
    unfixable: Sequence[str] = (),
    noqa: bool = True,
    edits: bool = False,
) -> list[Violation]:
    """The findings in one script or notebook, sorted by place.

    Args:
        source: Python code, or a notebook's JSON; bytes are decoded as Python does it.
        path: what findings call the file; a notebook is known by its suffix, `.ipynb`.
        settings: what rules and fixes may ask, such as the lowest transformers version to support.
        select, ignore, extend_select: codes, prefixes, names or "ALL", as on the command line. Without `select`, the
            rules that are on by default.
        fixable, unfixable: rules that may be fixed, and rules that are reported and never fixed, beside what `settings` say;
            without `fixable`, all.
        noqa: whether suppression comments count.
        edits: whether every finding's fix comes with its edits; LibCST is imported for them.

    Raises:
        ValueError: a selector fits no rule, or no GPU has the name that the settings give.
        SourceError: the source is not Python that this interpreter can read. A notebook's cells that are not are skipped.
        RuleError: a rule crashed.
    """
    rules = select_rules(select, ignore, extend_select)
    settings = _settings(settings or Settings(), fixable, unfixable)
    opened = open_source(path, _without_mark(source))
    try:
        return engine.lint(opened, rules, settings, noqa=noqa, edits=edits)
    except RecursionError as error:
        raise SourceError("nested too deeply to be linted") from error


def fix(
    source: AnyStr,
    *,
    path: str = "<string>",
    settings: Settings | None = None,
    select: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    extend_select: Sequence[str] = (),
    fixable: Sequence[str] | None = None,
    unfixable: Sequence[str] = (),
    noqa: bool = True,
    unsafe: bool = False,
) -> FixResult[AnyStr]:
    """The source with the fixes of its findings made, until nothing changes; arguments are those of `lint`.

    Args:
        unsafe: whether to make fixes too that change numbers or decoding.

    Raises:
        ValueError, SourceError, RuleError: as `lint`.
        FixError: a fix broke the file or the fixes do not settle; nothing was changed.
    """
    rules = select_rules(select, ignore, extend_select)
    settings = _settings(settings or Settings(), fixable, unfixable)
    opened = open_source(path, _without_mark(source))
    try:
        fixed = engine.fix(opened, rules, settings, noqa=noqa, unsafe=unsafe)
    except RecursionError as error:
        raise FixError("nested too deeply to be fixed; nothing was changed") from error
    after = _like(source, opened.with_text(fixed.text).data) if fixed.changed else source
    return FixResult(after, fixed.changed, fixed.applied, fixed.remaining)


def _settings(settings: Settings, fixable: Sequence[str] | None, unfixable: Sequence[str]) -> Settings:
    """The settings with what the arguments add; what they name is checked."""
    if settings.gpu != Settings().gpu:
        from telepathy_runtime.machine.gpu_names import DEVICE, canonical, unknown

        if settings.gpu != DEVICE and canonical(settings.gpu) is None:
            raise ValueError(unknown(settings.gpu))
    fixing = settings.fixing
    if fixable is not None or unfixable:
        layer = Layer(tuple(fixable) if fixable is not None else None, (), tuple(unfixable))
        fixing = fixing._replace(layers=(*fixing.layers, layer))
    check_selectors(fixing.selectors)
    return settings._replace(fixing=fixing)


def _without_mark(source: str | bytes) -> str | bytes:
    """Text as Python takes it; in bytes the mark says the encoding, and is seen to there."""
    return source.removeprefix(_BYTE_ORDER_MARK) if isinstance(source, str) else source


def _like(source: AnyStr, data: bytes) -> AnyStr:
    """What was written, as text with its byte order mark where the source was text."""
    if isinstance(source, bytes):
        return data
    mark = _BYTE_ORDER_MARK if source.startswith(_BYTE_ORDER_MARK) else ""
    return mark + data.decode("utf-8", "surrogatepass")


__all__ = [
    "Edit",
    "Fix",
    "FixError",
    "FixResult",
    "Loader",
    "RuleError",
    "Settings",
    "SiteRef",
    "SourceError",
    "Span",
    "Violation",
    "fix",
    "lint",
]
