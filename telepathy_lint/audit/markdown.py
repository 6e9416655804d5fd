"""Renders a report as Markdown; each statement links to the lines that support it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote

from telepathy_lint.audit.blocks import Block, Cell, Check, Command, Report, Statement, Table, counted
from telepathy_lint.audit.data import Place

_MARKS = {"good": "✅", "bad": "⚠️", "note": "ℹ️"}
#: Links per statement; the JSON has all of them.
_SHOWN = 4
_IN_CELL = 2


def markdown(report: Report, base: str = "", links: bool = True) -> str:
    """Render the report; `base` is the path from the document to the audited folder.

    A place is shown as its path and line, which terminals and editors can open. With `links` it is also a
    link, with the targets at the end of the document, so that the text stays readable.
    """
    page = _Page(base, links)
    lines = [f"# {escaped(report.title)}", "", escaped(report.summary), ""]
    for section in report.sections:
        lines += [f"## {section.title}", ""]
        number = 0
        for before, block in zip((None, *section.blocks), section.blocks, strict=False):
            if isinstance(before, (Statement, Check)) and not isinstance(block, type(before)):
                lines.append("")
            if isinstance(block, Command):
                number += 1
            lines += page.block(block, number)
        while lines and not lines[-1]:
            lines.pop()
        lines.append("")
    lines += [f"[{label}]: {target}" for label, target in page.targets.items()]
    return "\n".join(lines).rstrip("\n") + "\n"


class _Page:
    def __init__(self, base: str, links: bool) -> None:
        self.base = base
        self.links = links
        #: The target of each label; Markdown labels ignore case.
        self.targets: dict[str, str] = {}
        self._known: dict[str, str] = {}

    def block(self, block: Block, number: int) -> list[str]:
        if isinstance(block, Statement):
            return [f"- {_MARKS[block.mark]} {escaped(block.text)}{self._places(block.places)}"]
        if isinstance(block, Check):
            return [f"- [{'x' if block.done else ' '}] {escaped(block.text)}"]
        if isinstance(block, Command):
            safety = f"**{block.safety}** " if block.safety else ""
            details = "".join(f" {escaped(detail)}" for detail in block.details)
            text = escaped(block.text) + (f".{details}" if details else "")
            return [
                f"{number}. {safety}{text}",
                "",
                "   ```sh",
                f"   {_one_line(block.command)}",
                "   ```",
                "",
            ]
        return self._table(block)

    def _table(self, table: Table) -> list[str]:
        lines = [escaped(table.caption), ""] if table.caption else []
        numeric = numeric_columns(table)
        rules = ["---:" if right else "---" for right in numeric]
        lines += [_row(list(map(escaped, table.header))), _row(rules)]
        lines += [_row([self._cell(cell) for cell in row]) for row in table.rows]
        return [*lines, ""]

    def _cell(self, cell: Cell) -> str:
        if len(cell.places) == 1 and str(cell.places[0]) == cell.text:
            return self._link(cell.places[0])
        if cell.places and cell.text == counted(len(cell.places), "place"):
            # Only show the number if some places are omitted.
            count = f"{cell.text}: " if len(cell.places) > _IN_CELL else ""
            return f"{count}{self._listed(cell.places, _IN_CELL)}"
        return f"{escaped(cell.text)}{self._places(cell.places, _IN_CELL)}"

    def _places(self, places: tuple[Place, ...], most: int = _SHOWN) -> str:
        return f" ({self._listed(places, most)})" if places else ""

    def _listed(self, places: tuple[Place, ...], most: int) -> str:
        more = f", and {len(places) - most:,} more" if len(places) > most else ""
        return f"{', '.join(self._link(place) for place in places[:most])}{more}"

    def _link(self, place: Place) -> str:
        text = _code(
            str(place)
            if self.links or not self.base
            else str(replace(place, path=f"{self.base}/{place.path}"))
        )
        if not self.links:
            return text
        target = address(place, self.base)
        if (
            "[" in text
            or "]" in text
            or "\\" in text
            or self._known.setdefault(text.casefold(), target) != target
        ):
            # Markdown would not recognise a label with brackets.
            return f"[{escaped(str(place))}]({target})"
        self.targets[text] = target
        return f"[{text}]"


def _code(text: str) -> str:
    """Text in backquotes, which terminals treat as the end of a path."""
    plain = _one_line(text).replace("|", "\\|")
    return f"`{plain}`" if "`" not in plain else f"`` {plain} ``"


def numeric_columns(table: Table) -> list[bool]:
    """Whether each column contains numbers, which are easier to compare if they are right-aligned."""
    return [
        any(cell.text[:1].isdigit() for cell in column) and all(_is_number(cell) for cell in column)
        for column in zip(*table.rows, strict=True)
    ] or [False] * len(table.header)


def _is_number(cell: Cell) -> bool:
    return not cell.places and (not cell.text or cell.sort is not None)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def address(place: Place, base: str) -> str:
    """A relative URL to the line; the leading `./` keeps a file name from being read as a scheme."""
    path = quote(f"{base}/{place.path}" if base else place.path, safe="/")
    anchor = f"#L{place.line}" if place.cell < 0 else ""
    return f"{path if path.startswith('../') else './' + path}{anchor}"


def escaped(text: str) -> str:
    """Escape text for Markdown; `code` stays code."""
    parts = re.split(r"(`[^`]*`)", _one_line(text))
    return "".join(
        part.replace("|", "\\|") if part.startswith("`") and part.endswith("`") and len(part) > 1
        else re.sub(r"([\\*_\[\]<>|#`&])", r"\\\1", part)
        for part in parts
    )  # fmt: skip


def _one_line(text: str) -> str:
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
