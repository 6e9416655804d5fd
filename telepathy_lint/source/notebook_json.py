"""Parses a notebook's JSON and records where in the file the source of each code cell is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from telepathy_lint.hints import Any, NamedTuple
from telepathy_lint.source.text import SourceError

_SPACE = re.compile(r"[ \t\r\n]*")


class Cell(NamedTuple):
    """A code cell: the positions of its source's string literals in the JSON, including quotes."""

    number: int
    literals: tuple[tuple[int, int], ...]
    text: str
    #: The span of the JSON array; None if the source is one string.
    array: tuple[int, int] | None
    language: str


class JsonReader:
    """Walks the JSON to find the sources of the code cells; everything else is skipped by json's C scanner."""

    def __init__(self, raw: str) -> None:
        self.raw = raw
        self.cells: list[Cell] = []
        self.language = ""
        self.has_cells = False
        self.value = json.JSONDecoder().raw_decode

    @property
    def is_python(self) -> bool:
        return self.language.lower() in ("", "python", "ipython", "python2", "python3")

    def read(self) -> None:
        try:
            end = self._object(
                self._skip(0),
                {"cells": self._cells, "worksheets": self._worksheets, "metadata": self._metadata},
            )
            if self._skip(end) != len(self.raw):
                raise json.JSONDecodeError("Extra data", self.raw, self._skip(end))
        except json.JSONDecodeError as error:
            raise SourceError(f"not a notebook: {error.msg}", error.lineno, error.colno) from error
        except ValueError as error:  # a number with too many digits
            raise SourceError(f"not a notebook: {error}") from error
        except RecursionError as error:
            raise SourceError("not a notebook: JSON nested too deeply") from error
        if not self.has_cells:
            raise SourceError("not a notebook: it has no cells")

    def _skip(self, at: int) -> int:
        found = _SPACE.match(self.raw, at)
        assert found is not None
        return found.end()

    def _expect(self, character: str, at: int) -> int:
        if not self.raw.startswith(character, at):
            raise json.JSONDecodeError(f"Expecting {character!r}", self.raw, at)
        return self._skip(at + 1)

    def _object(self, at: int, on: dict[str, Callable[[int], int]]) -> int:
        """Walk an object, pass the values of some keys to `on`, and return the offset after it."""
        at = self._expect("{", at)
        if self.raw.startswith("}", at):
            return at + 1
        while True:
            key, at = self._string(at)
            at = self._expect(":", self._skip(at))
            at = self._skip(on[key](at) if key in on else self.value(self.raw, at)[1])
            if self.raw.startswith("}", at):
                return at + 1
            at = self._expect(",", at)

    def _array(self, at: int, item: Callable[[int], int]) -> int:
        at = self._expect("[", at)
        if self.raw.startswith("]", at):
            return at + 1
        while True:
            at = self._skip(item(at))
            if self.raw.startswith("]", at):
                return at + 1
            at = self._expect(",", at)

    def _worksheets(self, at: int) -> int:
        return self._array(at, lambda sheet: self._object(sheet, {"cells": self._cells}))

    def _cells(self, at: int) -> int:
        self.has_cells = True
        return self._array(at, self._cell)

    def _metadata(self, at: int) -> int:
        value, end = self.value(self.raw, at)
        if isinstance(value, dict):
            self.language = _language(value)
        return end

    def _cell(self, at: int) -> int:
        literals: list[tuple[int, int]] = []
        texts: list[str] = []
        array: list[tuple[int, int]] = []
        found: dict[str, Any] = {}

        def literal(begin: int) -> int:
            text, end = self._string(begin)
            literals.append((begin, end))
            texts.append(text)
            return end

        def source(begin: int) -> int:
            del literals[:], texts[:], array[:]
            if not self.raw.startswith("[", begin):
                return literal(begin)
            end = self._array(begin, literal)
            array.append((begin, end))
            return end

        def keep(key: str) -> Callable[[int], int]:
            def read(begin: int) -> int:
                value, end = self.value(self.raw, begin)
                found[key] = value
                return end

            return read

        on = {key: keep(key) for key in ("cell_type", "language", "metadata")}
        end = self._object(at, {**on, "source": source, "input": source})
        if found.get("cell_type") == "code":
            index = len(self.cells)
            joined = "".join(texts)
            whole = array[0] if array else None
            if not literals and whole is None:
                raise SourceError("not a notebook: a code cell has no source", cell=index)
            self.cells.append(Cell(index, tuple(literals), joined, whole, _cell_language(found)))
        return end

    def _string(self, at: int) -> tuple[str, int]:
        if not self.raw.startswith('"', at):
            raise json.JSONDecodeError("Expecting a string", self.raw, at)
        text, end = self.value(self.raw, at)
        return str(text), end


def _language(metadata: dict[str, Any]) -> str:
    """The kernel's language, for all versions of the format; empty if it is not given."""
    for key, name in (("language_info", "name"), ("kernelspec", "language")):
        value = metadata.get(key)
        if isinstance(value, dict) and isinstance(value.get(name), str):
            return str(value[name])
    return ""


def _cell_language(cell: dict[str, Any]) -> str:
    """A cell's own language: nbformat 3 stores it in the cell, VS Code in the cell's metadata."""
    metadata = cell.get("metadata")
    vscode = metadata.get("vscode") if isinstance(metadata, dict) else None
    language = vscode.get("languageId") if isinstance(vscode, dict) else cell.get("language")
    return language.lower() if isinstance(language, str) else ""


def parsed(data: bytes) -> dict[str, Any]:
    """A notebook as JSON; empty if it is none. Reading it whole is slow: ask only about findings."""
    try:
        notebook = json.loads(data.decode("utf-8-sig", "surrogatepass"))
    except ValueError:
        return {}
    return notebook if isinstance(notebook, dict) else {}


def code_cells(data: bytes) -> list[dict[str, Any]]:
    """The code cells of a notebook, with their outputs, by their numbers."""
    notebook = parsed(data)
    sheets = notebook.get("worksheets") or [notebook]
    cells = [cell for sheet in sheets if isinstance(sheet, dict) for cell in sheet.get("cells") or ()]
    return [cell for cell in cells if isinstance(cell, dict) and cell.get("cell_type") == "code"]


def was_run(cell: dict[str, Any]) -> bool:
    """Whether a cell has the number of a run, or an output where the numbers were taken out."""
    return count_of(cell) is not None or bool(cell.get("outputs"))


def count_of(cell: dict[str, Any]) -> object:
    """The number of a cell's last run; None if its output was cleared."""
    return cell.get("execution_count", cell.get("prompt_number"))
