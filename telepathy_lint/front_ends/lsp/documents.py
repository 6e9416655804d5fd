"""The documents that an editor has open, and positions in them."""

from __future__ import annotations

import json
import os
import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from itertools import accumulate
from urllib.parse import unquote

from lsprotocol import types
from pygls.uris import to_fs_path
from pygls.workspace import TextDocument, Workspace

from telepathy_lint.findings.violation import Span
from telepathy_lint.source.notebook import Notebook
from telepathy_lint.source.text import Source

#: The cell number of a text document, which has no cells.
NO_CELL = -1
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def lines_of(text: str) -> list[str]:
    """The lines with their newlines. Lines end where the protocol and Python end them, not where `splitlines` does."""
    return _LINE.findall(text)


def units(text: str, encoding: str) -> int:
    """The length of a text in the units that the client counts: `utf-8`, `utf-16` or `utf-32`."""
    if encoding == "utf-32" or text.isascii():
        return len(text)
    if encoding == "utf-8":
        return len(text.encode("utf-8", "surrogatepass"))
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def characters(line: str, count: int, encoding: str) -> int:
    """How many characters of a line stand before `count` units; a position inside a character is before it."""
    if encoding == "utf-32" or line.isascii():
        return min(count, len(line))
    ends = list(accumulate(units(each, encoding) for each in line))
    return bisect_right(ends, count)


class Document(TextDocument):
    """A text document whose changes are applied at the protocol's positions.

    pygls splits lines at form feeds and other separators too, so that its changes go to the wrong line below one.
    """

    def apply_change(self, change: types.TextDocumentContentChangeEvent) -> None:
        if not isinstance(change, types.TextDocumentContentChangePartial):
            self._source = change.text
            return
        text, lines = self.source, lines_of(self.source)
        start, end = (self._offset(lines, place) for place in (change.range.start, change.range.end))
        self._source = text[:start] + change.text + text[end:]

    def _offset(self, lines: list[str], place: types.Position) -> int:
        if place.line >= len(lines):
            return sum(map(len, lines))
        line = lines[place.line].rstrip("\r\n")
        encoding = str(getattr(self.position_codec.encoding, "value", self.position_codec.encoding))
        return sum(map(len, lines[: place.line])) + characters(line, place.character, encoding)


class Documents(Workspace):
    """pygls's workspace, which keeps our kind of document."""

    def _create_text_document(
        self,
        doc_uri: str,
        source: str | None = None,
        version: int | None = None,
        language_id: str | None = None,
    ) -> Document:
        return Document(doc_uri, source, version, language_id, position_codec=self.position_codec)

    @property
    def encoding(self) -> str:
        """The unit of positions: `utf-8`, `utf-16` or `utf-32`."""
        return str(getattr(self.position_encoding, "value", self.position_encoding))

    def roots(self) -> list[str]:
        """The paths of the workspace's folders."""
        uris = [folder.uri for folder in self.folders.values()] or [self.root_uri or ""]
        return [path for uri in uris if (path := to_fs_path(uri))]

    def root_of(self, path: str) -> str | None:
        """The innermost folder of the workspace that a file lies in."""
        around = [root for root in self.roots() if path.startswith(os.path.join(root, ""))]
        return max(around, key=len, default=None)

    @staticmethod
    def normal(uri: str) -> str:
        """The one spelling of a URI that documents are known by; editors differ in what they escape."""
        return unquote(uri)

    def key_of(self, uri: str) -> str | None:
        """What a document belongs to: the URI of its notebook, or its own; None where it is not open."""
        uri = unquote(uri)
        if uri in self.notebook_documents:
            return uri
        notebook = self.get_notebook_document(cell_uri=uri)
        if notebook is not None:
            return unquote(notebook.uri)
        return uri if uri in self.text_documents else None

    def open_keys(self) -> list[str]:
        """Everything that is open: notebooks, and text documents that are not cells."""
        plain = [uri for uri in self.text_documents if self.get_notebook_document(cell_uri=uri) is None]
        return [*self.notebook_documents, *plain]

    def buffer(self, uri: str) -> Buffer | None:
        """The present text of what a document belongs to; None where it is not open."""
        key = self.key_of(uri)
        if key is None:
            return None
        notebook = self.notebook_documents.get(key)
        if notebook is None:
            document = self.text_documents[key]
            return Buffer(self, key, document.uri, [document], document.version)
        wanted = [cell.document for cell in notebook.cells if cell.kind == types.NotebookCellKind.Code]
        found = [self.text_documents.get(unquote(cell)) for cell in wanted]
        cells = [document for document in found if document is not None]
        return Buffer(self, key, notebook.uri, cells, notebook.version, notebook=True)

    def are_at(self, buffer: Buffer) -> bool:
        """Whether nothing was typed or closed since the buffer was taken. It only looks: the linting thread asks too."""
        found = [self.text_documents.get(unquote(uri)) for uri in buffer.uris.values()]
        notebook = self.notebook_documents.get(buffer.key)
        if buffer.is_notebook and (notebook is None or notebook.version != buffer.version):
            return False
        return [each and each.version for each in found] == [
            buffer.versions[uri] for uri in buffer.uris.values()
        ]

    def path_of(self, uri: str) -> str:
        """Where a document lies, or, of one that has no file yet, where it would: in the first folder."""
        path = to_fs_path(uri)
        if path:
            return str(path)
        name = os.path.basename(unquote(uri).partition(":")[2].partition("#")[0]) or "untitled"
        return os.path.join(next(iter(self.roots()), os.getcwd()), name)


class Buffer:
    """One state of a text document, or of the code cells of a notebook, each a document of its own. It never changes."""

    def __init__(
        self,
        documents: Documents,
        key: str,
        uri: str,
        parts: list[Document],
        version: int | None,
        notebook: bool = False,
    ) -> None:
        self.key = key
        self.uri = uri
        self.path = documents.path_of(uri)
        self.root = documents.root_of(self.path)
        self.encoding = documents.encoding
        self.version = version
        self.is_notebook = notebook
        numbers = range(len(parts)) if notebook else [NO_CELL]
        #: The document of each cell; for a text document its own URI.
        self.uris = {number: part.uri for number, part in zip(numbers, parts, strict=True)}
        self.texts: dict[int, str] = {
            number: part.source for number, part in zip(numbers, parts, strict=True)
        }
        self.versions = {part.uri: part.version for part in parts}
        self._lines: dict[int, list[str]] = {}

    def same_text(self, other: Buffer) -> bool:
        """Whether findings of the one are findings of the other."""
        return self.uris == other.uris and self.texts == other.texts and self.encoding == other.encoding

    @cached_property
    def data(self) -> bytes:
        if not self.is_notebook:
            return self.texts[NO_CELL].encode("utf-8", "surrogatepass")
        cells = [{"cell_type": "code", "source": self.texts[number]} for number in sorted(self.texts)]
        return json.dumps({"cells": cells}).encode()

    def source(self) -> Source:
        """What the engine lints.

        Raises:
            SourceError: the text cannot be read.
        """
        if self.is_notebook:
            return Notebook(self.path, self.data)
        return Source.from_text(self.path, self.texts[NO_CELL])

    def cell_of(self, uri: str) -> int | None:
        """The cell number of one of the buffer's documents."""
        wanted = unquote(uri)
        return next((cell for cell, own in self.uris.items() if unquote(own) == wanted), None)

    def lines(self, cell: int) -> list[str]:
        if cell not in self._lines:
            self._lines[cell] = lines_of(self.texts.get(cell, ""))
        return self._lines[cell]

    def range(self, span: Span) -> types.Range:
        """A place as the protocol counts it."""
        return types.Range(
            self._position(span.cell, span.line, span.column),
            self._position(span.cell, span.end_line, span.end_column),
        )

    def _position(self, cell: int, line: int, column: int) -> types.Position:
        lines = self.lines(cell)
        before = lines[line - 1][: column - 1] if line <= len(lines) else ""
        return types.Position(line - 1, units(before, self.encoding))

    def edits(self, after: Source) -> Iterator[tuple[int, types.TextEdit]]:
        """The edits that lead to another state of the source, by cell: whole lines, so that cursors stay where they are."""
        import difflib

        texts = {NO_CELL: after.text}
        if isinstance(after, Notebook):
            texts = {cell.number: cell.text for cell in after.cells}
        for cell, text in texts.items():
            old, new = self.lines(cell), lines_of(text)
            if old == new:
                continue
            for tag, first, last, new_first, new_last in difflib.SequenceMatcher(
                None, old, new, autojunk=False
            ).get_opcodes():
                if tag != "equal":
                    place = types.Range(self._line_start(cell, first), self._line_start(cell, last))
                    yield cell, types.TextEdit(place, "".join(new[new_first:new_last]))

    def _line_start(self, cell: int, number: int) -> types.Position:
        """Where a line begins (counted from 0); behind the last one, where the text ends."""
        lines = self.lines(cell)
        if number < len(lines) or not lines or lines[-1].endswith(("\r", "\n")):
            return types.Position(number, 0)
        return types.Position(number - 1, units(lines[-1], self.encoding))
