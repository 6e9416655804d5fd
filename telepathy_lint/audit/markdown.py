"""A report as Markdown, with links from every statement to the lines that show it."""

from __future__ import annotations

import re
from urllib.parse import quote

from telepathy_lint.audit.blocks import Block, Cell, Check, Command, Report, Statement, Table
from telepathy_lint.audit.data import Place

_MARKS = {"good": "✅", "bad": "⚠️", "note": "ℹ️"}
#: Links shown for one statement; the JSON has all.
_SHOWN = 4
_IN_CELL = 2


def markdown(report: Report, base: str = "") -> str:
    """The report's text; `base` leads from where it is read to the audited folder."""
    lines = [f"# {escaped(report.title)}", "", escaped(report.summary), ""]
    for section in report.sections:
        lines += [f"## {section.title}", ""]
        number = 0
        for before, block in zip((None, *section.blocks), section.blocks, strict=False):
            if isinstance(before, (Statement, Check)) and not isinstance(block, type(before)):
                lines.append("")
            if isinstance(block, Command):
                number += 1
            lines += _block(block, base, number)
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def _block(block: Block, base: str, number: int) -> list[str]:
    if isinstance(block, Statement):
        return [f"- {_MARKS[block.mark]} {escaped(block.text)}{_links(block.places, base)}"]
    if isinstance(block, Check):
        return [f"- [{'x' if block.done else ' '}] {escaped(block.text)}"]
    if isinstance(block, Command):
        return [
            f"{number}. {escaped(block.text)}",
            "",
            "   ```sh",
            f"   {_one_line(block.command)}",
            "   ```",
            "",
        ]
    return _table(block, base)


def _table(table: Table, base: str) -> list[str]:
    lines = [escaped(table.caption), ""] if table.caption else []
    lines += [_row(map(escaped, table.header)), _row("---" for _ in table.header)]
    lines += [_row(_cell(cell, base) for cell in row) for row in table.rows]
    return [*lines, ""]


def _row(cells: object) -> str:
    assert hasattr(cells, "__iter__")
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _cell(cell: Cell, base: str) -> str:
    if len(cell.places) == 1 and str(cell.places[0]) == cell.text:
        return _link(cell.places[0], base)
    return f"{escaped(cell.text)}{_links(cell.places, base, _IN_CELL)}"


def _links(places: tuple[Place, ...], base: str, most: int = _SHOWN) -> str:
    if not places:
        return ""
    more = f", and {len(places) - most:,} more" if len(places) > most else ""
    return f" ({', '.join(_link(place, base) for place in places[:most])}{more})"


def _link(place: Place, base: str) -> str:
    return f"[{escaped(str(place))}]({address(place, base)})"


def address(place: Place, base: str) -> str:
    """A relative URL to the line; the leading `./` keeps a file name from being taken for a scheme."""
    path = quote(f"{base}/{place.path}" if base else place.path, safe="/")
    anchor = f"#L{place.line}" if place.cell < 0 else ""
    return f"{path if path.startswith('../') else './' + path}{anchor}"


def escaped(text: str) -> str:
    """Text that Markdown shows as it is; `code` stays code."""
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
