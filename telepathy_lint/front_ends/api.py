"""The Python API: `lint` and `fix` for one source, given as text or bytes.

They do not read files or configuration; settings are arguments. Imports from other modules of the project are therefore
not followed. For a whole repository, run the command with `--output-format json`.
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
    """The result of `fix`."""

    #: The source afterwards, of the type that was given: text for text, bytes for bytes.
    source: AnyStr
    changed: bool
    #: The fixed findings; lines and columns are those at the time when each was found. This includes findings that went
    #: away with the fix of another finding.
    applied: tuple[Violation, ...]
    #: The remaining findings.
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
    """The findings in one script or notebook, sorted by position.

    Args:
        source: Python code, or a notebook's JSON; bytes are decoded as Python decodes source files.
        path: the path shown in findings; a path that ends in `.ipynb` is a notebook.
        settings: settings of rules and fixes, such as the lowest transformers version to support.
        select, ignore, extend_select: codes, prefixes, names or "ALL", as on the command line. Without `select`, the
            rules that are on by default.
        fixable, unfixable: rules that may be fixed (default: all), and rules that are reported but never fixed, in addition
            to `settings`.
        noqa: whether to respect suppression comments.
        edits: whether every finding's fix includes its edits, which imports LibCST.

    Raises:
        ValueError: a selector matches no rule, or the GPU in the settings is unknown.
        SourceError: the source is not valid Python for this interpreter. Invalid cells of a notebook are skipped.
        RuleError: a rule crashed.
    """
    rules = select_rules(select, ignore, extend_select)
    settings = _settings(settings or Settings(), fixable, unfixable)
    opened = open_source(path, _without_mark(source))
    try:
        return engine.lint(opened, rules, settings, noqa=noqa, edits=engine.EVERY_FIX if edits else ())
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
    """Apply fixes until nothing changes. The other arguments are those of `lint`.

    Args:
        unsafe: whether to apply fixes that change numbers or decoding, too.

    Raises:
        ValueError, SourceError, RuleError: as in `lint`.
        FixError: a fix broke the file, or the fixes do not converge; nothing is changed.
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
    """The settings combined with the arguments, which are checked."""
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
    """Text without a byte order mark; in bytes, the mark determines the encoding and is handled elsewhere."""
    return source.removeprefix(_BYTE_ORDER_MARK) if isinstance(source, str) else source


def _like(source: AnyStr, data: bytes) -> AnyStr:
    """The new content in the type of the source; text keeps its byte order mark."""
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
