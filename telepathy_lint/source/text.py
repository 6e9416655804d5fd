"""A source file as text: encoding, byte order mark, newlines, positions, and its `ast` tree, parsed once."""

from __future__ import annotations

import ast
import codecs
import gc
import io
import re
import sys
import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import accumulate

from telepathy_lint.findings.violation import Edit, Span
from telepathy_lint.hints import Any, TypeVar
from telepathy_lint.source.occurs import LINE_START

# PEP 263: the declaration counts only in the first two lines, and in the second only below a comment or blank line.
_COOKIE = rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)"
_BLANK_OR_COMMENT = rb"^[ \t\f]*(?:#.*)?$"
_Answer = TypeVar("_Answer")
_NEWLINE = re.compile(r"\r\n|\r|\n")


class SourceError(Exception):
    """The file cannot be linted; the message says why, with the 1-based line and column if known."""

    def __init__(self, message: str, line: int = 1, column: int = 1, cell: int = -1) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column
        self.cell = cell


class Ranges:
    """Half-open ranges of numbers, with a fast test for membership."""

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        for start, end in sorted(ranges):
            if self.ends and start <= self.ends[-1]:
                self.ends[-1] = max(end, self.ends[-1])
            else:
                self.starts.append(start)
                self.ends.append(end)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self.starts, number) - 1
        return at >= 0 and number < self.ends[at]


class Source:
    """One Python file: `text` is the decoded content, without the byte order mark.

    Offsets count characters of `text`. Lines end at LF, CR or CRLF only, as in Python's tokenizer.
    """

    is_text = False

    def __init__(self, path: str, data: bytes) -> None:
        self.path = path
        self.data = data
        self.bom = data.startswith(codecs.BOM_UTF8)
        self.encoding = declared_encoding(data)
        self.text = self._decode()

    def _decode(self) -> str:
        body = self.data[len(codecs.BOM_UTF8) :] if self.bom else self.data
        try:
            return body.decode(self.encoding)
        except UnicodeDecodeError as error:
            line = body.count(b"\n", 0, error.start) + 1
            said = "" if declares_encoding(self.data) else ", and no encoding is declared"
            raise SourceError(
                f"not valid {self.encoding}: byte 0x{body[error.start]:02x} at offset {error.start}{said}",
                line,
            ) from error
        except ValueError as error:  # some codecs fail in their own way, such as "undefined" and "punycode"
            raise SourceError(f"not valid {self.encoding}: {error}") from error

    @property
    def unread(self) -> tuple[str, ...]:
        """Text that is not Python but may use the file's names: a notebook's magics, and cells in other languages."""
        return ()

    @classmethod
    def from_text(cls, path: str, text: str) -> Source:
        """Create a source from text, such as an editor's buffer or the lines from flake8."""
        source = cls.__new__(cls)
        source.path = path
        source.bom = False
        source.encoding = "utf-8"
        source.text = text
        source.data = text.encode("utf-8", "surrogatepass")
        source.is_text = True
        return source

    def with_text(self, text: str) -> Source:
        """A copy with another text; encoding, byte order mark and newlines stay the same."""
        # Text that was not decoded from bytes has no encoding, whatever its first lines declare.
        return self.from_text(self.path, text) if self.is_text else type(self)(self.path, self.encode(text))

    def encode(self, text: str) -> bytes:
        """The bytes to write for `text`.

        Raises:
            SourceError: the encoding cannot represent it, or would change unchanged parts.
        """
        mark = codecs.BOM_UTF8 if self.bom else b""
        if self.encoding == "utf-8":
            return mark + text.encode("utf-8")
        try:
            # Some encodings, such as utf-7, spell one text in several ways.
            if mark + self.text.encode(self.encoding) == self.data:
                return mark + text.encode(self.encoding)
        except ValueError:
            pass
        raise SourceError(f"cannot be written back exactly as {self.encoding}")

    @cached_property
    def newline(self) -> str:
        """The newline of the first line, which is used for added lines."""
        found = _NEWLINE.search(self.text)
        return found.group() if found else "\n"

    @cached_property
    def line_starts(self) -> list[int]:
        """Offset of each line's first character."""
        if "\r" in self.text:
            return [0, *(match.end() for match in _NEWLINE.finditer(self.text))]
        # A line starts where the previous lines end, including their newlines.
        starts = [0, *accumulate(map(len, io.StringIO(self.text, newline="\n")))]
        return starts if self.text.endswith("\n") or not self.text else starts[:-1]

    @cached_property
    def is_ascii(self) -> bool:
        return self.text.isascii()

    @cached_property
    def folded(self) -> bytes:
        """The text in UTF-8 with ASCII letters in lower case, for case-insensitive searches.

        If a text has non-ASCII characters, `str.lower` takes many times as long.
        """
        return self.text.encode("utf-8", "surrogatepass").lower()

    def once(self, ask: Callable[[str], _Answer]) -> _Answer:
        """The cached result of a function of the whole text."""
        if ask not in self._answers:
            self._answers[ask] = ask(self.text)
        answer: _Answer = self._answers[ask]
        return answer

    def remember(self, key: Hashable, ask: Callable[[], _Answer]) -> _Answer:
        """A cached value for this text. It must not refer back to the source: that would be a reference cycle."""
        if key not in self._answers:
            self._answers[key] = ask()
        answer: _Answer = self._answers[key]
        return answer

    @cached_property
    def _answers(self) -> dict[Hashable, Any]:
        return {}

    def line(self, number: int) -> str:
        """Physical line `number` (1-based) with its newline."""
        starts = self.line_starts
        end = starts[number] if number < len(starts) else len(self.text)
        return self.text[starts[number - 1] : end]

    def shows_value(self, offset: int) -> bool:
        """Whether a notebook shows the value of an expression that ends at an offset; False in a plain file."""
        return False

    def line_of(self, offset: int) -> int:
        """1-based physical line of an offset."""
        return bisect_right(self.line_starts, offset)

    def offset(self, lineno: int, utf8_column: int) -> int:
        """Offset of an `ast` position, whose columns count UTF-8 bytes."""
        start = self.line_starts[lineno - 1]
        if self.is_ascii:
            return start + utf8_column
        return start + utf8_column - bisect_left(self._within(lineno), utf8_column)

    def _within(self, lineno: int) -> list[int]:
        """The positions of UTF-8 continuation bytes in a line, computed once per line."""
        known = self._within_lines.get(lineno)
        if known is None:
            line = self.line(lineno)
            data = b"" if line.isascii() else line.encode("utf-8", "surrogatepass")
            known = [place for place, byte in enumerate(data) if byte & 0xC0 == 0x80]
            self._within_lines[lineno] = known
        return known

    @cached_property
    def _within_lines(self) -> dict[int, list[int]]:
        return {}

    def start_of(self, node: ast.expr | ast.stmt | ast.keyword | ast.alias) -> int:
        return self.offset(node.lineno, node.col_offset)

    def end_of(self, node: ast.expr | ast.stmt | ast.keyword | ast.alias) -> int:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return self.offset(node.end_lineno, node.end_col_offset)

    def place(self, start: int, end: int) -> Span:
        """The range as users see it."""
        first, last = self.line_of(start), self.line_of(end)
        starts = self.line_starts
        return Span(first, start - starts[first - 1] + 1, last, end - starts[last - 1] + 1)

    def edit(self, start: int, end: int, text: str) -> Edit:
        return Edit(start, end, text, self.place(start, end))

    @cached_property
    def tree(self) -> ast.Module:
        """The `ast` tree, parsed once unless it is given; raises SourceError if the file is not valid."""
        return self._parse[0]

    @property
    def code(self) -> str:
        """The text that `tree` was parsed from: `text` without the parts that cannot be parsed, with the same offsets."""
        if "tree" in self.__dict__ and "_parse" not in self.__dict__:
            return self.text  # the tree is given
        if _without_magics(self.text) == self.text:
            return self.text  # most files are never parsed: only their strings and comments mention loads
        try:
            return self._parse[1]
        except SourceError:
            return self.text

    @cached_property
    def _parse(self) -> tuple[ast.Module, str]:
        try:
            return parse(self.text), self.text
        except SourceError:
            code = _without_magics(self.text)
            if code == self.text:
                raise
            return parse(code), code

    @property
    def problems(self) -> tuple[SourceError, ...]:
        """Errors for the parts that cannot be parsed and were left out; only notebooks have such parts."""
        return ()


def _without_magics(text: str) -> str:
    """The text of a script with cells, which editors send to IPython, with its magics as comments."""
    if "%%" not in text or re.search(rf"{LINE_START}# ?%%", text) is None:
        return text
    return re.sub(rf"({LINE_START}[ \t]*)[%!](?=[\w%!])", r"\1#", text)


@contextmanager
def without_collections() -> Iterator[None]:
    """Turn off garbage collection while a tree is built: it would find nothing and take a quarter of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def parse(text: str) -> ast.Module:
    """`ast.parse`, with all errors converted to SourceError."""
    try:
        with without_collections(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in strings are not reported
            return ast.parse(text)
    except SyntaxError as error:
        if "\0" in text:  # Python's message and position differ between releases
            raise SourceError("cannot be parsed: it contains a NUL character", _line_of_nul(text)) from error
        raise SourceError(_syntax_message(error), error.lineno or 1, max(error.offset or 1, 1)) from error
    except UnicodeEncodeError as error:  # a lone surrogate, which only a notebook's JSON can contain
        line = text.count("\n", 0, error.start) + 1
        raise SourceError("cannot be parsed: it contains a lone surrogate", line) from error
    except ValueError as error:
        raise SourceError("cannot be parsed: it contains a NUL character", _line_of_nul(text)) from error
    except (RecursionError, MemoryError) as error:
        raise SourceError("cannot be parsed: nested too deeply for this Python") from error


def _line_of_nul(text: str) -> int:
    return text.count("\n", 0, max(text.find("\0"), 0)) + 1


def _syntax_message(error: SyntaxError) -> str:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    message = error.msg or "invalid syntax"
    if (
        message.startswith("Missing parentheses in call to 'print'")
        or "multiple exception types must be paren" in message
    ):
        return f"syntax error: {message} (Python 2 code?)"
    return f"syntax error: {message} (read with Python {version}; newer syntax needs a newer interpreter)"


def declares_encoding(data: bytes) -> bool:
    return _declaration(data) is not None


def _declaration(data: bytes) -> str | None:
    head = data[len(codecs.BOM_UTF8) :] if data.startswith(codecs.BOM_UTF8) else data
    head = head[:4096]
    if b"coding" not in head:
        return None
    lines = re.split(rb"\r\n|\r|\n", head, maxsplit=2)
    for number, line in enumerate(lines[:2]):
        if found := re.match(_COOKIE, line):
            return found.group(1).decode("ascii")
        if number == 0 and not re.match(_BLANK_OR_COMMENT, line):
            return None
    return None


def declared_encoding(data: bytes) -> str:
    """The codec's name by PEP 263; raises SourceError if the declaration is invalid."""
    name = _declaration(data)
    if name is None:
        return "utf-8"
    try:
        codec = codecs.lookup(name)
    except LookupError as error:
        raise SourceError(f"unknown encoding {name!r} declared") from error
    if not getattr(codec, "_is_text_encoding", True):
        raise SourceError(f"{name!r} is declared as encoding, but is not a text encoding")
    # After a byte order mark, Python's parser only accepts this spelling, not synonyms such as utf8 or U8.
    spelled = f"{name.lower().replace('_', '-')}-"
    if data.startswith(codecs.BOM_UTF8) and not spelled.startswith("utf-8-"):
        raise SourceError(f"declares {name!r} but starts with a UTF-8 byte order mark")
    return codec.name
