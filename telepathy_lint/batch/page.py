"""The page of a survey: bars that show how many loads set each setting, by year, library and class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any

from telepathy_lint.batch.summary import MODEL_SETTINGS, TOKENIZER_SETTINGS, Group, Share, Summary
from telepathy_lint.hints import NamedTuple

#: Rows of a table; less frequent values are left out and counted.
_MOST = 15


class Cell(NamedTuple):
    """A share as shown: the length of its bar in percent, the text, and the counts behind it."""

    percent: float | None
    text: str
    detail: str


class Line(NamedTuple):
    name: str
    number: int
    cells: tuple[Cell, ...]


class Table(NamedTuple):
    """Lines with one share for each column; `left_out` says what is not shown."""

    title: str
    first: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    left_out: str = ""


class NoTemplatesError(ValueError):
    """jinja2 is not installed."""


def tables(summary: Summary) -> list[Table]:
    """The tables of the page."""
    found = [_table("All loads of models", "", [("all", summary.models)], MODEL_SETTINGS)]
    if summary.by_year:
        found.append(_table("By year", "year", sorted(summary.by_year.items()), MODEL_SETTINGS))
    for title, first, groups in (
        ("By library", "library", summary.by_library),
        ("By class", "class", summary.by_class),
    ):
        ordered = sorted(groups.items(), key=lambda item: (-item[1].loads, item[0]))
        found.append(_table(title, first, ordered, MODEL_SETTINGS))
    found.append(_table("Tokenizers", "", [("all", summary.tokenizers)], TOKENIZER_SETTINGS))
    for name in MODEL_SETTINGS:
        if summary.values[name]:
            found.append(
                _counts(
                    f"Values of {_title(name)}", "value", summary.values[name].items(), summary.models.loads
                )
            )
    findings = {f"{code} {name}": count for (code, name), count in summary.findings.items()}
    loads = summary.models.loads + summary.tokenizers.loads
    found.append(_counts("Findings", "rule", findings.items(), loads, "per 100 loads"))
    if summary.errors:
        found.append(
            _counts("Rows that could not be read", "reason", summary.reasons.items(), summary.errors)
        )
    return found


def html(summary: Summary, title: str) -> str:
    """The page as one self-contained file.

    Raises:
        NoTemplatesError: jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise NoTemplatesError("the page needs jinja2: `pip install 'telepathy-lint[survey]'`") from error
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = resources.files(__package__).joinpath("page.html.jinja").read_text(encoding="utf-8")
    page = environment.from_string(text).render(title=title, summary=summary, tables=tables(summary))
    return f"{page}\n"


def _title(setting: str) -> str:
    return setting.replace("_", " ") if setting != "device_map" else setting


def _table(title: str, first: str, groups: Sequence[tuple[str, Group]], settings: tuple[str, ...]) -> Table:
    lines = tuple(
        Line(name, group.loads, tuple(_cell(group.settings[setting]) for setting in settings))
        for name, group in groups[:_MOST]
    )
    rest = [group.loads for _, group in groups[_MOST:]]
    left_out = f"{len(rest)} more with {sum(rest):,} loads" if rest else ""
    return Table(title, first, tuple(map(_title, settings)), lines, left_out)


def _cell(share: Share) -> Cell:
    detail = f"{share.set:,} set, {share.unset:,} not set, {share.undecided:,} undecided"
    if share.percent is None:
        return Cell(None, "–", detail)
    return Cell(share.percent, f"{share.percent:.0f} %", detail)


def _counts(
    title: str, first: str, counts: Iterable[tuple[Any, int]], of: int, column: str = "share"
) -> Table:
    ordered = sorted(counts, key=lambda item: (-item[1], str(item[0])))
    lines = []
    for name, count in ordered[:_MOST]:
        percent = 100 * count / of if of else 0.0
        text = f"{percent:.0f} %" if column == "share" else f"{percent:.1f}"
        lines.append(Line(str(name), count, (Cell(min(percent, 100.0), text, f"{count:,} of {of:,}"),)))
    rest = [count for _, count in ordered[_MOST:]]
    left_out = f"{len(rest)} more, {sum(rest):,} in total" if rest else ""
    return Table(title, first, (column,), tuple(lines), left_out)
