"""Whether and where a regular expression occurs in a text, much faster than `re` for whole files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from telepathy_lint.hints import NamedTuple

#: Where a line begins and ends, also in files whose lines end in "\\r\\n" or "\\r": `(?m)^` and `$` only know "\\n".
LINE_START, LINE_END = r"(?:^|(?<=[\r\n]))", r"(?=[\r\n]|$)"

_IGNORING_CASE = "(?i)"
#: Characters with a special meaning.
_SPECIAL = frozenset(".^$*+?{}[]()|")
#: Characters after which the preceding character is optional.
_OPTIONAL = frozenset("*?{")
#: Brackets and bars of a pattern, and what may contain some that mean themselves: an escaped character, a set.
_MARKS = r"[()|]|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]"
#: Conditions on the text around a match, which match no text themselves.
_CONDITIONS = r"(?:\\b|\(\?<?[=!][^()]*\))*"


class _Alternative(NamedTuple):
    """One alternative of a regular expression."""

    #: The text with which every match begins.
    word: str
    #: The whole alternative; None if it is only the word.
    pattern: str | None

    def is_in(self, text: str) -> bool:
        if self.pattern is None:
            return self.word in text
        return next(self.places(text), None) is not None

    def places(self, text: str) -> Iterator[int]:
        if not self.word:
            yield from (match.start() for match in re.finditer(self.pattern or "", text))
            return
        at = text.find(self.word)
        if at < 0:
            return
        match = re.compile(self.pattern).match if self.pattern is not None else None
        while at >= 0:
            if match is None or match(text, at) is not None:
                yield at
            at = text.find(self.word, at + 1)


def occurs(pattern: str, text: str) -> bool:
    """Whether `re.search` finds the pattern in the text. The pattern must not have back references.

    `re` tries each alternative at each character. Here, each is only tried where its first word occurs, which
    `str.find` finds fifty times as fast; most of the words are not in the file.
    """
    if pattern.startswith(_IGNORING_CASE):
        text = _lowered(text)
    return any(alternative.is_in(text) for alternative in _alternatives(pattern))


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern matches the whole text. It must not have back references.

    An alternative is only compiled if the text begins as it does; compiling a list of names takes longer than a search.
    """
    lowered = lower_case(text) if pattern.startswith(_IGNORING_CASE) else text
    return any(
        lowered.startswith(each.word)
        and (lowered == each.word if each.pattern is None else re.fullmatch(each.pattern, text) is not None)
        for each in _alternatives(pattern)
    )


def places(pattern: str, text: str) -> Iterator[int]:
    """The offsets where the pattern matches, alternative by alternative; matches that overlap count too.

    The pattern must not ignore case.
    """
    assert not pattern.startswith(_IGNORING_CASE)
    for alternative in _alternatives(pattern):
        yield from alternative.places(text)


def lower_case(text: str) -> str:
    """The text with its ASCII letters in lower case.

    If a text has other characters, `str.lower` takes three times as long, because their lower-case forms may be longer.
    """
    if text.isascii():
        return text.lower()
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


@lru_cache(maxsize=1)
def _lowered(text: str) -> str:
    """The text in lower case; many questions are asked about one file before the next."""
    return lower_case(text)


@lru_cache(maxsize=1000)  # some patterns contain names from the source
def _alternatives(pattern: str) -> tuple[_Alternative, ...]:
    flag = _IGNORING_CASE if pattern.startswith(_IGNORING_CASE) else ""
    found = []
    for each in _split(pattern[len(flag) :]):
        word, is_all = _beginning(each)
        found.append(_Alternative(word.lower() if flag else word, None if is_all else flag + each))
    return tuple(found)


def _split(pattern: str) -> list[str]:
    """The alternatives of a pattern; those inside groups and sets are not split."""
    if pattern.startswith("(?") and pattern[2:3].isalpha():
        return [pattern]  # a flag for the whole pattern
    found, start, depth = [], 0, 0
    for mark in re.finditer(_MARKS, pattern):
        if mark[0] == "|" and not depth:
            found.append(pattern[start : mark.start()])
            start = mark.end()
        depth += (mark[0] == "(") - (mark[0] == ")")
    return [*found, pattern[start:]]


def _beginning(alternative: str) -> tuple[str, bool]:
    """The plain text with which an alternative begins, and whether it is the whole alternative."""
    if "\\" not in alternative and _SPECIAL.isdisjoint(alternative):
        return alternative, True
    conditions = re.match(_CONDITIONS, alternative)
    assert conditions is not None
    word, place = "", conditions.end()
    while place < len(alternative):
        character = alternative[place]
        if character == "\\":
            character = alternative[place + 1]
            if character.isalnum():
                return word, False
            place += 1
        elif character in _SPECIAL:
            return (word[:-1] if character in _OPTIONAL else word), False
        word += character
        place += 1
    return word, not conditions.end()
