"""Suppression comments, read exactly as flake8 reads them, and our own comments for files and ranges.

model = load(ID, device_map="auto")  # noqa: TLP101     this line (flake8's rules: first match, codes are prefixes)
# flake8: noqa                                          the whole file
# flake8: noqa: TLP101                                  the whole file, these codes
# telepathy-lint: disable-file=TLP101                   the same, but ignored by flake8
# telepathy-lint: disable=TLP101 ... enable=TLP101      a range; after code on a line: only that line
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from operator import itemgetter

from telepathy_lint.hints import TYPE_CHECKING, Literal, NamedTuple
from telepathy_lint.source.text import Ranges, Source

if TYPE_CHECKING:
    from telepathy_lint.findings.violation import Violation

# flake8.defaults.NOQA_INLINE_REGEXP, the same from flake8 6.0 to 7.5.
NOQA = r"(?i)# noqa(?::[\s]?(?P<codes>([A-Z]+[0-9]+(?:[,\s]+)?)+))?"
# flake8 matches this at the start of any physical line, with any text after it; we read the codes as Ruff
# does.
_NOQA_FILE = (
    r"(?im)(?:^|(?<=\r))[^\S\r\n]*# flake8[:=]\s*noqa"
    r"(?:[^\S\r\n]*:[^\S\r\n]*(?P<codes>[A-Z]+[0-9]+(?:(?:,|[^\S\r\n])+[A-Z]+[0-9]+)*))?"
)
_OURS = (
    r"#[^\S\r\n]*telepathy-lint:[^\S\r\n]*(?P<verb>disable-file|disable|enable)\b"
    r"(?:[^\S\r\n]*=[^\S\r\n]*(?P<codes>[\w-]+(?:[^\S\r\n]*,[^\S\r\n]*[\w-]+)*))?"
)
_SEPARATOR = r"[,\s]+"

Kind = Literal["line", "file", "range"]


class Directive(NamedTuple):
    """One comment: its position in the text, the physical lines it covers, and its codes."""

    kind: Kind
    start: int
    end: int
    first_line: int
    last_line: int
    #: Codes, prefixes or names; None for everything.
    selectors: tuple[str, ...] | None
    #: The positions of the selectors in the text, to remove them.
    places: tuple[tuple[int, int], ...] = ()

    def covers(self, violation: Violation) -> bool:
        return self.selectors is None or any(selects(one, violation) for one in self.selectors)


def selects(selector: str, violation: Violation) -> bool:
    return violation.code.startswith(selector) or violation.name == selector or selector == "ALL"


class Suppressions:
    """The comments of one file, applied to its `violations`.

    Even with many violations, a file has few kinds of them: a comment is compared with each kind only once.
    """

    def __init__(self, source: Source, violations: Sequence[Violation], every: bool = False) -> None:
        self.source = source
        self._kinds: dict[str, list[Violation]] = {}
        for violation in violations:
            self._kinds.setdefault(violation.code, []).append(violation)
        # Tokenizing is slow, so only do it if a comment may apply; with `every`, for each of our comments.
        self.noqa = [
            match
            for match in re.finditer(NOQA, source.text)
            if every or (codes := match["codes"]) is None or self._may_name(codes)
        ]
        self.groups = LineGroups(source) if self.noqa else None
        self.directives = [*_file_level(source), *_ranges(source)]
        self._silenced: dict[str, Ranges] = {}
        self._lines: dict[str, list[int]] = {}

    def _may_name(self, codes: str) -> bool:
        prefixes = tuple(filter(None, re.split(_SEPARATOR, codes)))
        return any(code.startswith(prefixes) for code in self._kinds)

    def silence(self, violation: Violation) -> bool:
        """Whether any comment suppresses this violation."""
        lines = noqa_lines(self.source, violation)
        silenced = self._silenced.get(violation.code)
        if silenced is None:
            silenced = self._silenced[violation.code] = Ranges(
                (each.first_line, each.last_line + 1) for each in self.directives if each.covers(violation)
            )
        if any(line in silenced for line in lines):
            return True
        noqa = map(self.groups.directive, lines) if self.groups is not None else ()
        return any(each is not None and each.covers(violation) for each in noqa)

    def serves(self, directive: Directive, selector: str | None) -> bool:
        """Whether a comment suppresses any violation, through one of its codes (None: it has no codes)."""
        return any(
            self._any_on(code, directive.first_line, directive.last_line)
            for code, (one, *_) in self._kinds.items()
            if selector is None or selects(selector, one)
        )

    def _any_on(self, code: str, first: int, last: int) -> bool:
        """Whether a comment on these lines applies to any violation of the code."""
        lines = self._lines.get(code)
        if lines is None:
            found = {line for each in self._kinds[code] for line in noqa_lines(self.source, each)}
            lines = self._lines[code] = sorted(found)
        at = bisect_left(lines, first)
        return at < len(lines) and lines[at] <= last

    def all_directives(self) -> list[Directive]:
        """All comments of the file, in order."""
        lines = {self.source.line_of(match.start()): None for match in self.noqa}
        inline = [self.groups.directive(line) for line in lines] if self.groups is not None else []
        found = dict.fromkeys([*(each for each in inline if each is not None), *self.directives])
        return sorted(found, key=lambda directive: (directive.start, directive.end))


def noqa_lines(source: Source, violation: Violation) -> tuple[int, ...]:
    """Physical lines on which a `noqa` takes effect: the finding's line, and the first and last line of its call."""
    line = source.line_of(violation.start)
    if violation.site is None:
        return (line,)
    span = violation.site.span
    # Spans count lines within their cell; subtract to get the cell's position in the joined text.
    offset = line - violation.line
    return tuple(dict.fromkeys((line, span.line + offset, span.end_line + offset)))


class LineGroups:
    """Groups of physical lines that flake8 joins before it searches for `noqa`: multi-line strings, continuations."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.groups: dict[int, tuple[int, int]] = {}
        self.found: dict[int, Directive | None] = {}
        self._read()

    def _read(self) -> None:
        import tokenize  # tokenizing is slow, and few files have suppression comments

        skipped = (tokenize.ENDMARKER, tokenize.DEDENT)
        ends = (tokenize.NL, tokenize.NEWLINE)
        first, last = 0, -1
        # If tokenizing fails, flake8 treats each physical line separately.
        with suppress(tokenize.TokenError, SyntaxError):
            for kind, _, (start, _), (end, _), _ in tokenize.generate_tokens(
                physical_lines(self.source).__next__
            ):
                if kind in skipped:
                    continue
                first = min(first, start) if first else start
                last = max(last, end)
                if kind in ends:
                    if first != last:
                        for line in range(first, last + 1):
                            self.groups[line] = (first, last)
                    first, last = 0, -1

    def bounds(self, line: int) -> tuple[int, int]:
        return self.groups.get(line, (line, line))

    def directive(self, line: int) -> Directive | None:
        """The first `noqa` of the line's group; flake8 ignores any others."""
        first, last = self.bounds(line)
        if first not in self.found:
            self.found[first] = self._find(first, last)
        return self.found[first]

    def _find(self, first: int, last: int) -> Directive | None:
        starts, text = self.source.line_starts, self.source.text
        if first > len(starts):
            return None
        end = starts[last] if last < len(starts) else len(text)
        match = re.compile(NOQA).search(text, starts[first - 1], end)
        return _directive("line", match, first, last) if match is not None else None


def physical_lines(source: Source) -> Iterator[str]:
    """Lines as Python's tokenizer and flake8 see them: all newlines are LF. Cells that are not Python are blank."""
    starts, text = source.line_starts, source.code
    if "\r" not in text:
        return (
            iter(text.splitlines(keepends=True))
            if text.isascii() and _plain(text)
            else iter(_cut(text, starts))
        )
    return (line.rstrip("\r\n") + "\n" if line[-1:] in ("\r", "\n") else line for line in _cut(text, starts))


def _plain(text: str) -> bool:
    return not any(break_ in text for break_ in "\x0b\x0c\x1c\x1d\x1e")


def _cut(text: str, starts: Sequence[int]) -> list[str]:
    return [
        text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True) if start < end
    ]


def _directive(kind: Kind, match: re.Match[str], first: int, last: int) -> Directive:
    """A directive with the codes of the match and their positions."""
    if match["codes"] is None:
        return Directive(kind, match.start(), match.end(), first, last, None)
    codes, places = [], []
    for found in re.finditer(r"[^,\s]+", match["codes"]):
        codes.append(found.group())
        places.append((match.start("codes") + found.start(), match.start("codes") + found.end()))
    return Directive(kind, match.start(), places[-1][1], first, last, tuple(codes), tuple(places))


def _file_level(source: Source) -> Iterator[Directive]:
    text = source.text
    if b"flake8" not in source.folded:
        return
    for match in re.finditer(_NOQA_FILE, text):
        yield _directive("file", match, 1, len(source.line_starts))


def selector_lists(source: Source) -> Iterator[tuple[re.Match[str], bool, bool]]:
    """Every match in the text that names codes: whether its form is our own, and whether it is an `enable`."""
    for pattern in (NOQA, _NOQA_FILE, _OURS):
        for match in re.finditer(pattern, source.text):
            if match["codes"]:
                yield match, pattern is _OURS, pattern is _OURS and match["verb"] == "enable"


class Comments:
    """The positions of a file's comments. A `noqa` can also be in a string, because flake8 accepts that."""

    def __init__(self, source: Source) -> None:
        import tokenize

        starts = source.line_starts
        found: list[tuple[int, int]] = []
        with suppress(tokenize.TokenError, SyntaxError):
            for token in tokenize.generate_tokens(physical_lines(source).__next__):
                if token.type == tokenize.COMMENT:
                    begin = starts[token.start[0] - 1] + token.start[1]
                    found.append((begin, begin + len(token.string)))
        self._ranges = Ranges(found)

    def hold(self, offset: int) -> bool:
        return offset in self._ranges


def _comments(source: Source) -> Iterator[re.Match[str]]:
    """Our own comments. Unlike `noqa`, which flake8 reads anywhere, they must be real comments."""
    matches = list(re.finditer(_OURS, source.text))
    if matches:
        comments = Comments(source)
        yield from (match for match in matches if comments.hold(match.start()))


def _ranges(source: Source) -> Iterator[Directive]:
    if "telepathy-lint:" not in source.text:
        return
    begun: list[Directive] = []
    #: For each code (None: all codes), the indices in `begun` of the ranges in which it is still disabled.
    open_: dict[str | None, list[int]] = {}
    last_line = len(source.line_starts)
    for match in _comments(source):
        line = source.line_of(match.start())
        before = source.text[source.line_starts[line - 1] : match.start()]
        if match["verb"] == "disable-file":
            yield _directive("file", match, 1, last_line)
        elif before.strip() and not before.strip().startswith("#"):
            if match["verb"] == "disable":
                yield _directive("line", match, line, line)
        elif match["verb"] == "disable":
            whole = _directive("range", match, line, last_line)
            for code in dict.fromkeys(whole.selectors or (None,)):
                open_.setdefault(code, []).append(len(begun))
            begun.append(whole)
        else:  # ends the named codes in all open ranges; without names, ends all ranges
            codes = re.split(_SEPARATOR, match["codes"]) if match["codes"] else list(open_)
            yield from _closed(begun, open_, codes, line)
    yield from _closed(begun, open_, list(open_), last_line)


def _closed(
    begun: Sequence[Directive], open_: dict[str | None, list[int]], codes: Iterable[str | None], line: int
) -> Iterator[Directive]:
    """The ranges, or parts of them, that end on a line for the codes."""
    ended: dict[int, set[str | None]] = {}
    for code in codes:
        for place in open_.pop(code, ()):
            ended.setdefault(place, set()).add(code)
    for place, here in sorted(ended.items(), key=itemgetter(0)):
        whole = begun[place]._replace(last_line=line)
        if whole.selectors is not None:
            pairs = [pair for pair in zip(whole.selectors, whole.places, strict=True) if pair[0] in here]
            whole = whole._replace(
                selectors=tuple(code for code, _ in pairs),
                places=tuple(place for _, place in pairs),
            )
        yield whole
