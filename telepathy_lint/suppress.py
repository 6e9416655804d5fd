"""Suppression comments, read exactly as flake8 reads them, and the file and range forms beside them.

model = load(ID, device_map="auto")  # noqa: TLP101     this line (flake8's rules: first match, codes are prefixes)
# flake8: noqa                                          the whole file
# flake8: noqa: TLP101                                  the whole file, these codes
# telepathy-lint: disable-file=TLP101                   the same, without flake8 taking notice
# telepathy-lint: disable=TLP101 ... enable=TLP101      a range; behind code on the same line: that line only
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, NamedTuple

from telepathy_lint.source import Source

if TYPE_CHECKING:
    from telepathy_lint.violation import Violation

# flake8.defaults.NOQA_INLINE_REGEXP, the same from flake8 6.0 to 7.5.
NOQA = r"(?i)# noqa(?::[\s]?(?P<codes>([A-Z]+[0-9]+(?:[,\s]+)?)+))?"
# flake8 matches this at the start of any physical line, whatever follows; the codes are ours (and Ruff's) reading.
_NOQA_FILE = r"(?im)^[^\S\r\n]*# flake8[:=]\s*noqa(?:[^\S\r\n]*:[^\S\r\n]*(?P<codes>[A-Z]+[0-9]+(?:[,\s]+[A-Z]+[0-9]+)*))?"
_OURS = (
    r"#\s*telepathy-lint:\s*(?P<verb>disable-file|disable|enable)\b"
    r"(?:\s*=\s*(?P<codes>[\w-]+(?:\s*,\s*[\w-]+)*))?"
)
_SEPARATOR = r"[,\s]+"

Kind = Literal["line", "file", "range"]


class Directive(NamedTuple):
    """One comment: where it stands in the text, the physical lines it covers and for which codes."""

    kind: Kind
    start: int
    end: int
    first_line: int
    last_line: int
    #: Codes, prefixes or names; None for everything.
    selectors: tuple[str, ...] | None
    #: Where each selector stands in the text, for its removal.
    places: tuple[tuple[int, int], ...] = ()

    def covers(self, violation: Violation) -> bool:
        return self.selectors is None or any(selects(one, violation) for one in self.selectors)


def selects(selector: str, violation: Violation) -> bool:
    return violation.code.startswith(selector) or violation.name == selector or selector == "ALL"


def unsuppressed(source: Source, violations: Sequence[Violation]) -> list[Violation]:
    """The violations that no comment silences, in the order given."""
    if not violations or not may_suppress(source.text):
        return list(violations)
    found = Suppressions(source, violations)
    return [violation for violation in violations if not any(True for _ in found.silencing(violation))]


def may_suppress(text: str) -> bool:
    """A cheap look: without one of these words nothing is tokenized."""
    return "noqa" in text.lower() or "telepathy-lint:" in text


class Suppressions:
    """The comments of one file that could silence one of `violations`."""

    def __init__(self, source: Source, violations: Sequence[Violation], every: bool = False) -> None:
        self.source = source
        # Only a comment that could matter makes the file worth tokenizing; `every` asks for all of ours.
        self.noqa = [
            match
            for match in re.finditer(NOQA, source.text)
            if every
            or (codes := match["codes"]) is None
            or any(
                one.code.startswith(tuple(filter(None, re.split(_SEPARATOR, codes)))) for one in violations
            )
        ]
        self.groups = LineGroups(source) if self.noqa else None
        self.directives = [*_file_level(source), *_ranges(source)]
        self._spans: dict[tuple[str, ...] | None, _Spans] = {}
        for directive in sorted(self.directives, key=lambda each: each.first_line):
            self._spans.setdefault(directive.selectors, _Spans()).add(directive)

    def silencing(self, violation: Violation) -> Iterator[Directive]:
        """Every comment that silences this violation."""
        lines = noqa_lines(self.source, violation)
        lowest, highest = min(lines), max(lines)
        for spans in self._spans.values():
            if spans.directives[0].covers(violation):
                for directive in spans.touching(lowest, highest):
                    if any(directive.first_line <= line <= directive.last_line for line in lines):
                        yield directive
        if self.groups is not None:
            for noqa in dict.fromkeys(map(self.groups.directive, lines)):
                if noqa is not None and noqa.covers(violation):
                    yield noqa

    def all_directives(self) -> list[Directive]:
        """Every comment of the file, in the order of the text."""
        lines = {self.source.line_of(match.start()) for match in self.noqa}
        inline = [self.groups.directive(line) for line in lines] if self.groups is not None else []
        found = {directive for directive in inline if directive is not None}.union(self.directives)
        return sorted(found, key=lambda directive: (directive.start, directive.end))


class _Spans:
    """Directives for the same codes, by their first line; added in that order."""

    def __init__(self) -> None:
        self.directives: list[Directive] = []
        self.firsts: list[int] = []
        #: How far down any directive reaches of those so far.
        self.reach: list[int] = []

    def add(self, directive: Directive) -> None:
        self.directives.append(directive)
        self.firsts.append(directive.first_line)
        self.reach.append(max(directive.last_line, self.reach[-1] if self.reach else 0))

    def touching(self, lowest: int, highest: int) -> Iterator[Directive]:
        """Those that begin above the one line and end below the other."""
        at = bisect_right(self.firsts, highest) - 1
        while at >= 0 and self.reach[at] >= lowest:
            if self.directives[at].last_line >= lowest:
                yield self.directives[at]
            at -= 1


def noqa_lines(source: Source, violation: Violation) -> tuple[int, ...]:
    """Physical lines on which a `noqa` counts: the finding's, and the first and last of the call it is about."""
    line = source.line_of(violation.start)
    if violation.site is None:
        return (line,)
    span = violation.site.span
    # A span counts lines inside its cell; the finding's own line says where that cell stands in the joined text.
    offset = line - violation.line
    return tuple(dict.fromkeys((line, span.line + offset, span.end_line + offset)))


class LineGroups:
    """Physical lines that flake8 joins before it looks for `noqa`: multi-line strings, backslash continuations."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.groups: dict[int, tuple[int, int]] = {}
        self.found: dict[int, Directive | None] = {}
        self._read()

    def _read(self) -> None:
        import tokenize  # takes long; few files have comments that could silence anything

        skipped = (tokenize.ENDMARKER, tokenize.DEDENT)
        ends = (tokenize.NL, tokenize.NEWLINE)
        first, last = 0, -1
        # Where tokenizing fails, flake8 looks at each physical line alone.
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
        """The first `noqa` of the line's group; flake8 looks at no other."""
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
    """Lines as Python's tokenizer and flake8 see them: every newline is LF."""
    starts, text = source.line_starts, source.text
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
    """A directive with the codes of the match, each with its place."""
    if match["codes"] is None:
        return Directive(kind, match.start(), match.end(), first, last, None)
    codes, places = [], []
    for found in re.finditer(r"[^,\s]+", match["codes"]):
        codes.append(found.group())
        places.append((match.start("codes") + found.start(), match.start("codes") + found.end()))
    return Directive(kind, match.start(), places[-1][1], first, last, tuple(codes), tuple(places))


def _file_level(source: Source) -> Iterator[Directive]:
    text = source.text
    if "flake8" not in text.lower():
        return
    for match in re.finditer(_NOQA_FILE, text):
        yield _directive("file", match, 1, len(source.line_starts))


class Comments:
    """Where a file's comments stand; `noqa`, as flake8 reads it, may also stand in a string."""

    def __init__(self, source: Source) -> None:
        import tokenize

        starts = source.line_starts
        self.ranges: list[tuple[int, int]] = []
        with suppress(tokenize.TokenError, SyntaxError):
            for token in tokenize.generate_tokens(physical_lines(source).__next__):
                if token.type == tokenize.COMMENT:
                    begin = starts[token.start[0] - 1] + token.start[1]
                    self.ranges.append((begin, begin + len(token.string)))

    def hold(self, offset: int) -> bool:
        at = bisect_right(self.ranges, (offset, sys.maxsize)) - 1
        return at >= 0 and self.ranges[at][0] <= offset < self.ranges[at][1]


def _comments(source: Source) -> Iterator[re.Match[str]]:
    """Our own comments; unlike `noqa`, which flake8 reads anywhere, only where they are comments."""
    matches = list(re.finditer(_OURS, source.text))
    if matches:
        comments = Comments(source)
        yield from (match for match in matches if comments.hold(match.start()))


def _ranges(source: Source) -> Iterator[Directive]:
    if "telepathy-lint:" not in source.text:
        return
    open_: list[tuple[re.Match[str], set[str] | None]] = []
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
            open_.append((match, set(re.split(_SEPARATOR, match["codes"])) if match["codes"] else None))
        else:
            yield from _close(source, open_, match, line)
    for match, left in open_:
        yield _narrowed(match, left, source.line_of(match.start()), last_line)


def _close(
    source: Source, open_: list[tuple[re.Match[str], set[str] | None]], match: re.Match[str], line: int
) -> Iterator[Directive]:
    """`enable` ends what it names, in every range still open; without names it ends them all."""
    ended = set(re.split(_SEPARATOR, match["codes"])) if match["codes"] else None
    remaining: list[tuple[re.Match[str], set[str] | None]] = []
    for begun, left in open_:
        first = source.line_of(begun.start())
        if ended is None or (left is not None and left <= ended):
            yield _narrowed(begun, left, first, line)
        elif left is not None and left & ended:
            yield _narrowed(begun, left & ended, first, line)
            remaining.append((begun, left - ended))
        else:
            remaining.append((begun, left))
    open_[:] = remaining


def _narrowed(match: re.Match[str], left: Iterable[str] | None, first: int, last: int) -> Directive:
    """The range of `match` for those of its codes that end here."""
    whole = _directive("range", match, first, last)
    if left is None or whole.selectors is None:
        return whole
    pairs = [pair for pair in zip(whole.selectors, whole.places, strict=True) if pair[0] in set(left)]
    return Directive(
        "range",
        whole.start,
        whole.end,
        first,
        last,
        tuple(code for code, _ in pairs),
        tuple(place for _, place in pairs),
    )
