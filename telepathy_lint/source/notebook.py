"""A Jupyter notebook as a Source: code cells are joined, magics hidden, positions are per cell, writing is byte-exact.

`text` contains every visible code cell followed by a separator comment, so that edits across cells are detected and
`encode` can find the cells again. A hidden line stays one line, so that other lines do not move.
"""

from __future__ import annotations

import codecs
import json
import re
from bisect import bisect_right
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property

from telepathy_lint.findings.violation import Edit, Span
from telepathy_lint.hints import TYPE_CHECKING, NamedTuple
from telepathy_lint.source.magics import hide_magics, show_magics
from telepathy_lint.source.notebook_json import Cell, JsonReader
from telepathy_lint.source.text import Source, SourceError, parse

if TYPE_CHECKING:
    import ast

_ESCAPED_NEWLINE = re.compile(r"\\(?:(?P<newline>n|u000[aA])|u[0-9a-fA-F]{4}|.)")
_ESCAPED_NON_ASCII = re.compile(r"(?<!\\)(?:\\\\)*\\u(?!00[0-7])[0-9a-fA-F]{4}")


class Notebook(Source):
    """A .ipynb file of nbformat 3 or 4."""

    def __init__(self, path: str, data: bytes) -> None:
        self.path = path
        self.data = data
        self.bom = data.startswith(codecs.BOM_UTF8)
        self.encoding = "utf-8"
        self.raw = self._decode()
        reader = JsonReader(self.raw)
        reader.read()
        self.cells = reader.cells if reader.is_python else []
        self.marker = "# telepathy-lint cell"
        while any(self.marker in cell.text for cell in self.cells):  # the marker may be escaped in the JSON
            self.marker += "-"
        self.hidden: list[str] = []
        self.visible: list[Cell] = []
        self.cell_starts: list[int] = []
        self.cell_ends: list[int] = []
        self.text = self._join()

    @classmethod
    def from_text(cls, path: str, text: str) -> Notebook:
        """Create a notebook from its JSON text."""
        return cls(path, text.encode("utf-8", "surrogatepass"))

    def _join(self) -> str:
        parts: list[str] = []
        length = 0
        for cell in self.cells:
            if cell.language not in ("", "python", "plaintext"):
                continue
            masked = hide_magics(cell.text, self.marker, self.hidden)
            if masked is None or (cell.language == "plaintext" and not _is_python(masked)):
                continue
            header = self._header(masked)
            self.visible.append(cell)
            self.cell_starts.append(length + len(header))
            self.cell_ends.append(length + len(header) + len(masked) + 1)
            part = f"{header}{masked}\n{self._separator(cell)}"
            parts.append(part)
            length += len(part)
        return "".join(parts)

    def _header(self, masked: str) -> str:
        """A statement that allows an indented cell after it, because IPython removes the indentation of such cells."""
        first = next(
            (line for line in masked.split("\n") if line.strip() and not line.lstrip().startswith("#")), ""
        )
        return f"if 1:  {self.marker} begins\n" if first[:1] in (" ", "\t") else ""

    def _separator(self, cell: Cell) -> str:
        return f"{self.marker} {cell.number} ends\n"

    @property
    def unread(self) -> tuple[str, ...]:
        visible = {cell.number for cell in self.visible}
        return (*self.hidden, *(cell.text for cell in self.cells if cell.number not in visible))

    @cached_property
    def _first_lines(self) -> list[int]:
        return [self.line_of(start) for start in self.cell_starts]

    def place(self, start: int, end: int) -> Span:
        """The range as users see it: the cell's index, and lines relative to the cell."""
        at = self._cell_at(start)
        if at is None:
            return super().place(start, end)
        span = super().place(start, end)
        above = self._first_lines[at] - 1
        return Span(
            span.line - above, span.column, span.end_line - above, span.end_column, self.visible[at].number
        )

    def _cell_at(self, offset: int) -> int | None:
        return bisect_right(self.cell_starts, offset) - 1 if self.visible else None

    def edit(self, start: int, end: int, text: str) -> Edit:
        if self._cell_at(start) != self._cell_at(end):
            raise ValueError("an edit must not cross cells")
        return super().edit(start, end, text)

    @cached_property
    def tree(self) -> ast.Module:
        return self._parsed[0]

    @property
    def code(self) -> str:
        return self._parsed[2]

    @property
    def problems(self) -> tuple[SourceError, ...]:
        """One error for each cell that is not valid Python. Jupyter runs cells one by one, so the others are linted."""
        return self._parsed[1]

    @cached_property
    def _parsed(self) -> tuple[ast.Module, tuple[SourceError, ...], str]:
        with suppress(SourceError):
            tree = parse(self.text)
            if not self._runs_on(tree):
                return tree, (), self.text
        text, problems = self._without_broken_cells()
        try:
            return parse(text), tuple(problems), text
        except SourceError as error:
            raise self._placed(error) from error  # each cell parses, but not all together

    def _runs_on(self, tree: ast.Module) -> bool:
        """Whether the text after a cell completes it here, although Jupyter runs the cell alone."""
        ends = [self.line_of(end) for end in self.cell_ends]
        return any(cell.text.endswith("\\") for cell in self.visible) or any(
            bisect_right(ends, min(each.lineno for each in (stmt, *getattr(stmt, "decorator_list", ()))))
            != bisect_right(ends, stmt.end_lineno or 0)
            for stmt in tree.body
        )

    def _without_broken_cells(self) -> tuple[str, list[SourceError]]:
        """The text, with cells that do not parse on their own replaced with blanks, so that offsets stay the same."""
        text, problems = self.text, []
        for number, (start, end) in enumerate(zip(self.cell_starts, self.cell_ends, strict=True)):
            begin = self.text.index("\n", self.cell_ends[number - 1]) + 1 if number else 0
            chunk = self.text[begin:end]
            try:
                parse(chunk)
            except SourceError as error:
                inside = error.line - chunk[: len(chunk) - (end - start)].count("\n")
                problems.append(
                    SourceError(
                        f"cell skipped: {error.message}",
                        max(inside, 1),
                        error.column,
                        self.visible[number].number,
                    )
                )
                text = text[:begin] + re.sub(r"[^\r\n]", " ", chunk) + text[end:]
        return text, problems

    def _placed(self, error: SourceError) -> SourceError:
        """The error with its position in the cell."""
        line = min(error.line, len(self.line_starts))
        at = self._cell_at(self.line_starts[line - 1])
        if at is None:
            return error
        return SourceError(
            error.message, line - self._first_lines[at] + 1, error.column, self.visible[at].number
        )

    def encode(self, text: str) -> bytes:
        """The notebook's bytes with the changed lines of `text`; everything else is unchanged."""
        raw, written, position = [], 0, 0
        for number, cell in enumerate(self.visible):
            separator = self._separator(cell)
            end = text.find(separator, position)
            if end < 0:
                raise ValueError("an edit crossed a cell boundary")
            start = self.cell_starts[number]
            if text.startswith(header := f"if 1:  {self.marker} begins\n", position):
                position += len(header)
            chunk = text[position:end]
            position = end + len(separator)
            if self.text.startswith(chunk + separator, start):
                continue
            begin, finish = cell.array or cell.literals[0]
            raw += [self.raw[written:begin], self._written(cell, self._unmask(chunk).removesuffix("\n"))]
            written = finish
        raw.append(self.raw[written:])
        return (codecs.BOM_UTF8 if self.bom else b"") + "".join(raw).encode("utf-8")

    def _unmask(self, chunk: str) -> str:
        return show_magics(chunk, self.marker, self.hidden)

    def shows_value(self, offset: int) -> bool:
        at = self._cell_at(offset)
        if at is None or self.text[offset : self.cell_ends[at]].strip():
            return False
        # `%%capture out` keeps what is shown, and nothing at all where the cell ends in a semicolon.
        return re.search(r"(?m)^%%capture\b", self.visible[at].text) is None

    def line(self, number: int) -> str:
        """Physical line `number` (1-based) with its newline, as the notebook has it."""
        text = super().line(number)
        return self._unmask(text) if self.marker in text else text

    def _written(self, cell: Cell, text: str) -> str:
        """The JSON of the cell's source for `text`; unchanged lines keep their spelling."""
        import difflib

        old = [piece for literal in cell.literals for piece in self._pieces(*literal)]
        new = text.splitlines(keepends=True) if _plain(text) else re.findall(r"[^\n]*\n|[^\n]+", text)
        escape = self._escapes_non_ascii(cell)
        pieces: list[_Piece] = []
        matcher = difflib.SequenceMatcher(None, [piece.text for piece in old], new, autojunk=False)
        for _, old_start, old_end, new_start, new_end in matcher.get_opcodes():
            if [piece.text for piece in old[old_start:old_end]] == new[new_start:new_end]:
                pieces += old[old_start:old_end]
                continue
            for line in new[new_start:new_end]:
                pieces.append(_Piece(line, json.dumps(line, ensure_ascii=escape)[1:-1], True))
        if cell.array is None:
            return '"' + "".join(piece.raw for piece in pieces) + '"'
        return self._array(cell, pieces)

    def _array(self, cell: Cell, pieces: list[_Piece]) -> str:
        assert cell.array is not None
        begin, finish = cell.array
        if not cell.literals:
            return json.dumps([piece.text for piece in pieces], ensure_ascii=False)
        items: list[str] = []
        for piece in pieces:
            if piece.first or not items:
                items.append(piece.raw)
            else:
                items[-1] += piece.raw
        head = self.raw[begin : cell.literals[0][0]]
        tail = self.raw[cell.literals[-1][1] : finish]
        if len(cell.literals) > 1:
            between = self.raw[cell.literals[0][1] : cell.literals[1][0]]
        else:
            between = "," + (head[1:] or " ")
        return head + between.join(f'"{item}"' for item in items) + tail

    def file_lines(self, keys: Iterable[tuple[int, int]]) -> dict[tuple[int, int], int]:
        """The line numbers in the file of lines in cells, for formats that do not support cells."""
        cells = {cell.number: cell for cell in self.cells}
        found: dict[tuple[int, int], int] = {}
        for cell, line in keys:
            if cell not in cells:
                continue
            starts = [
                start + 1 + at
                for start, end in cells[cell].literals
                for at in [
                    0,
                    *(
                        cut.end()
                        for cut in _ESCAPED_NEWLINE.finditer(self.raw[start + 1 : end - 1])
                        if cut["newline"]
                    ),
                ]
                if at == 0 or at < end - start - 2
            ]
            if starts:
                found[cell, line] = self.raw.count("\n", 0, starts[min(line, len(starts)) - 1]) + 1
        return found

    def _pieces(self, start: int, end: int) -> list[_Piece]:
        """Split one string literal into its lines."""
        raw = self.raw[start + 1 : end - 1]
        cuts = [found.end() for found in _ESCAPED_NEWLINE.finditer(raw) if found["newline"]]
        if not cuts or cuts[-1] != len(raw):
            cuts.append(len(raw))
        parts = [raw[first:last] for first, last in zip([0, *cuts], cuts, strict=False)]
        return [_Piece(json.loads(f'"{part}"'), part, number == 0) for number, part in enumerate(parts)]

    def _escapes_non_ascii(self, cell: Cell) -> bool:
        """Whether non-ASCII characters are escaped in this notebook; the cell's own style takes precedence."""
        first, last = (cell.literals[0][0], cell.literals[-1][1]) if cell.literals else (0, 0)
        own = _habit(self.raw[first:last])
        return self._habit if own is None else own

    @cached_property
    def _habit(self) -> bool:
        return _habit(self.raw) or False


class _Piece(NamedTuple):
    """One line of a cell: its text, its spelling in the JSON, and whether it begins a string literal."""

    text: str
    raw: str
    first: bool


def _habit(raw: str) -> bool | None:
    """Whether non-ASCII characters are escaped in a piece of JSON; None if it has none."""
    if not raw.isascii():
        return False
    return True if _ESCAPED_NON_ASCII.search(raw) else None


def _plain(text: str) -> bool:
    return text.isascii() and not re.search("[\r\x0b\x0c\x1c-\x1e]", text)


def _is_python(text: str) -> bool:
    """Whether a cell that is marked as plain text is still code: VS Code marks cells so without its Python extension."""
    try:
        parse(text)
    except SourceError:
        return False
    return True
