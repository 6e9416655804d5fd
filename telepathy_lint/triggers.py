"""The cheap questions asked before anything is parsed: does this file matter, and where.

First on bytes, before decoding; then, for the files left, one lexical pass at regular-expression speed that tells a
word in code from one in a string or comment (most mentions of `from_pretrained` in libraries stand in docstrings).
"""

from __future__ import annotations

import re
from bisect import bisect_right

LOAD_WORDS = ("from_pretrained", "pipeline")
#: Environment variables that say where Hugging Face keeps models.
CACHE_VARIABLES = ("HF_HOME", "TRANSFORMERS_CACHE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")
#: How the ids begin whose families the model registry knows completely.
ID_PREFIXES = ("meta-llama/", "mistralai/", "Qwen/", "qwen/", "Mistralai/", "Meta-Llama/")
#: An argument that only calls of transformers' generation have, which may stand in a file that loads nothing.
DECODING_WORD = "do_sample"

#: A string or a comment; an unclosed quote runs to the end of its line, as it does for Python's tokenizer.
_QUIET = re.compile(
    r'"""(?:[^"\\]+|\\[\s\S]?|"(?!""))*(?:"""|\Z)'
    r"|'''(?:[^'\\]+|\\[\s\S]?|'(?!''))*(?:'''|\Z)"
    r'|"(?:[^"\\\r\n]+|\\(?:\r\n|[\s\S]))*"?'
    r"|'(?:[^'\\\r\n]+|\\(?:\r\n|[\s\S]))*'?"
    r"|\#[^\r\n]*"
)


_CACHE_VARIABLES = tuple(name.encode() for name in CACHE_VARIABLES)
_ID_PREFIXES = tuple(prefix.encode() for prefix in ID_PREFIXES)


def may_matter(data: bytes, words: tuple[str, ...] = ()) -> bool:
    """Whether a file can hold a call of interest; False lets it go unread by everything behind.

    `words` are the names of further functions that load (`Settings.loading_words`).
    """
    return (
        b"from_pretrained" in data
        or (b"pipeline" in data and b"transformers" in data)
        or (b"telepathy_runtime" in data and b"load_model" in data)
        or (b"environ" in data and any(name in data for name in _CACHE_VARIABLES))
        or b"do_sample" in data
        or any(prefix in data for prefix in _ID_PREFIXES)
        or any(word.encode() in data for word in words)
    )


class CodeWords:
    """Where words stand in a file's code, as opposed to its strings and comments."""

    def __init__(self, text: str) -> None:
        self._text = text
        starts, ends = [], []
        for match in _QUIET.finditer(text):
            start = match.start()
            # What stands in an f-string may be code: leave it visible.
            if text[start] != "#" and _is_formatted(text, start):
                continue
            starts.append(start)
            ends.append(match.end())
        self._starts, self._ends = starts, ends

    def in_code(self, offset: int) -> bool:
        index = bisect_right(self._starts, offset) - 1
        return index < 0 or self._ends[index] <= offset

    def in_string(self, offset: int) -> bool:
        """Whether the place is inside a string: quiet, but not in a comment."""
        index = bisect_right(self._starts, offset) - 1
        return not self.in_code(offset) and self._text[self._starts[index]] != "#"

    def find(self, *words: str, whole: bool = True) -> list[int]:
        """Offsets in code at which one of the words stands, as a whole word unless told otherwise."""
        return [offset for offset in find_words(self._text, *words, whole=whole) if self.in_code(offset)]


def find_words(text: str, *words: str, whole: bool = True) -> list[int]:
    """Offsets of words anywhere in the text, strings and comments included.

    `str.find` and a look at the neighbours: ten times the speed of a regular expression with word boundaries.
    """
    offsets: list[int] = []
    for word in words:
        length, offset = len(word), text.find(word)
        while offset >= 0:
            end = offset + length
            if not whole or (
                not (offset and _is_word(text[offset - 1])) and not (end < len(text) and _is_word(text[end]))
            ):
                offsets.append(offset)
            offset = text.find(word, end)
    return offsets


def _is_word(character: str) -> bool:
    return character == "_" or character.isalnum()


def _is_formatted(text: str, quote: int) -> bool:
    prefix = text[max(quote - 2, 0) : quote].lower()
    return prefix[-1:] in ("f", "t") or prefix in ("fr", "tr")
