"""Cheap tests before anything is parsed: whether a file is relevant, and where.

The first tests use the undecoded bytes. For the remaining files, one fast lexical pass distinguishes words in code
from words in strings and comments (most mentions of `from_pretrained` in libraries are in docstrings).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

LOAD_WORDS = ("from_pretrained", "pipeline")
#: The module of the companion loader.
COMPANION = "telepathy_runtime"
#: Environment variables for the location of Hugging Face models.
CACHE_VARIABLES = ("HF_HOME", "TRANSFORMERS_CACHE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")
#: Prefixes of the ids in families that the model registry knows completely.
ID_PREFIXES = ("meta-llama/", "mistralai/", "Qwen/", "qwen/", "Mistralai/", "Meta-Llama/")
#: An argument that only generation calls have; they may be in a file without loads.
DECODING_WORD = "do_sample"

#: Parts of names of which transformers 5 or trl removed something, in files that may load nothing.
MIGRATION_STEMS = (
    "SFTConfig", "DPOConfig", "GRPOConfig", "encode_plus", "apply_chat_template", "AdamW", "FeatureExtractor", "import TF",
    ", TF", "Flax", "_legacy_cache", "LogitsWarper", "FlashAttention2", "SdpaAttention", "WholeWordMask", "pytorch_utils",
    "transformers.deepspeed", "attn_mask_utils", "load_sharded", "SparseTop2", "int8_training", "_telemetry", "_torch_tpu",
)  # fmt: skip

#: A part of the names of trainers and their configs. Most names with it are those of models (`PreTrainedModel`), of which these are gone.
_TRAIN, _PRETRAIN = "Train", "PreTrain"
PRETRAINED_GONE = (
    "DetaPreTrain", "EfficientFormerPreTrain", "ErnieMPreTrain", "GPTSanJapanesePreTrain", "GraphormerPreTrain", "JukeboxPreTrain",
    "MCTCTPreTrain", "MegaPreTrain", "NatPreTrain", "NezhaForPreTrain", "NezhaPreTrain", "OpenLlamaPreTrain", "QDQBertPreTrain",
    "RealmPreTrain", "RetriBertPreTrain", "Speech2Text2PreTrain", "TrajectoryTransformerPreTrain", "TransfoXLPreTrain", "TvltForPreTrain",
    "TvltPreTrain", "VanPreTrain", "ViTHybridPreTrain", "XLMProphetNetPreTrain", "PreTrainedModelWrapper",
)  # fmt: skip
_WRAPPER = PRETRAINED_GONE[-1]

#: A string or comment; an unterminated quote ends at the end of the line, as in Python's tokenizer.
_QUIET = re.compile(
    r'"""(?:[^"\\]+|\\[\s\S]?|"(?!""))*(?:"""|\Z)'
    r"|'''(?:[^'\\]+|\\[\s\S]?|'(?!''))*(?:'''|\Z)"
    r'|"(?:[^"\\\r\n]+|\\(?:\r\n|[\s\S]))*"?'
    r"|'(?:[^'\\\r\n]+|\\(?:\r\n|[\s\S]))*'?"
    r"|\#[^\r\n]*"
)


_CACHE_VARIABLES = tuple(name.encode() for name in CACHE_VARIABLES)
_MIGRATION_STEMS = tuple(stem.encode() for stem in MIGRATION_STEMS)
_PRETRAINED_GONE = tuple(name.encode() for name in PRETRAINED_GONE)
_ID_PREFIXES = tuple(prefix.encode() for prefix in ID_PREFIXES)
#: The ends of the prefixes, with fewer variants: for most files, searching for these is enough.
_ID_ENDS = ("lama/", "istralai/", "wen/")
_ID_END_BYTES = tuple(end.encode() for end in _ID_ENDS)


def may_matter(data: bytes, words: tuple[str, ...] = ()) -> bool:
    """Whether a file can contain a call of interest; if False, it is not processed further.

    `words` are the names of other loading functions (`Settings.loading_words`).
    """
    return (
        b"from_pretrained" in data
        or (b"pipeline" in data and b"transformers" in data)
        or (b"telepathy_runtime" in data and b"load" in data)
        or (b"environ" in data and any(name in data for name in _CACHE_VARIABLES))
        or b"do_sample" in data
        or (
            (b"transformers" in data or b"trl" in data)
            and (any(stem in data for stem in _MIGRATION_STEMS) or _may_train(data))
        )
        or (any(end in data for end in _ID_END_BYTES) and any(prefix in data for prefix in _ID_PREFIXES))
        or any(word.encode() in data for word in words)
    )


def _may_train(data: bytes) -> bool:
    """Whether "Train" stands somewhere else than in the names of models that there still are; counting takes a hundredth of a parse."""
    number = data.count(b"Train")
    return number > data.count(b"PreTrain") or (number > 0 and any(name in data for name in _PRETRAINED_GONE))


def may_name_rules(data: bytes) -> bool:
    """Whether a suppression comment may name one of our rules, in a file that may have no call of interest."""
    return b"telepathy-lint:" in data or (
        (b"noqa" in data or b"NOQA" in data) and (b"TLP" in data or b"tlp" in data)
    )


def may_set_cache(text: str) -> bool:
    """Whether the file may set one of the environment variables for the location of models."""
    return "environ" in text and any(name in text for name in CACHE_VARIABLES)


def may_migrate(words: CodeWords) -> bool:
    """Whether a file's code may use something of transformers or trl that a later release removed."""
    text = words.text
    if "transformers" not in text and "trl" not in text:
        return False
    if words.has(*MIGRATION_STEMS, whole=False):
        return True
    return any(
        words.in_code(offset)
        for offset in words.find(_TRAIN, whole=False)
        if not _is_of_a_model(text, offset)
    )


def _is_of_a_model(text: str, offset: int) -> bool:
    """Whether "Train" at an offset belongs to the name of a model that there still is."""
    start = offset - len(_PRETRAIN) + len(_TRAIN)
    if start < 0 or not text.startswith(_PRETRAIN, start):
        return False
    while start and _is_word(text[start - 1]):
        start -= 1
    name = text[start : offset + len(_WRAPPER)]
    return not name.startswith(PRETRAINED_GONE) and _WRAPPER not in name


def ids_in(text: str) -> Iterator[int]:
    """The offsets of literals that begin like an id of a family in the model registry."""
    for end in _ID_ENDS:
        for offset in find_words(text, end, whole=False):
            for prefix in ID_PREFIXES:
                start = offset + len(end) - len(prefix)
                if start > 0 and text[start - 1] in "\"'" and text.startswith(prefix, start):
                    yield start


def may_replace(text: str, offset: int) -> bool:
    """Whether a mention of `from_pretrained` may replace the function: it is at the end of a string, or assigned to."""
    end = offset + len("from_pretrained")
    behind = text[end : end + 4].lstrip()
    return behind[:1] in ('"', "'") or (behind[:1] == "=" and behind[1:2] != "=")


class CodeWords:
    """Finds words in a file, and tells whether they are in code or in strings and comments.

    The text is only read as far as needed: often the first load is enough.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._quiet = _QUIET.finditer(text)
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._seen = -1  # how far strings and comments have been read
        self._found: dict[tuple[str, bool], list[int]] = {}

    def _before(self, offset: int) -> int:
        """The index of the last string or comment that starts at the offset or before it, -1 for none."""
        while self._seen < offset:
            match = next(self._quiet, None)
            if match is None:
                self._seen = len(self.text)
                break
            start = self._seen = match.start()
            # An f-string may contain code, so it is not hidden.
            if self.text[start - 1 : start] not in _FORMATS or not _is_formatted(self.text, start):
                self._starts.append(start)
                self._ends.append(match.end())
        return bisect_right(self._starts, offset) - 1

    def in_code(self, offset: int) -> bool:
        index = self._before(offset)
        return index < 0 or self._ends[index] <= offset

    def in_string(self, offset: int) -> bool:
        """Whether the position is inside a string, and not in a comment."""
        index = self._before(offset)
        return not self.in_code(offset) and self.text[self._starts[index]] != "#"

    def has(self, *words: str, whole: bool = True) -> bool:
        """Whether one of the words occurs in code, by default as a whole word."""
        return any(self.in_code(offset) for word in words for offset in self.find(word, whole=whole))

    def find(self, *words: str, whole: bool = True) -> list[int]:
        """Offsets of the words, in code or not, for callers that look at the nodes there."""
        if len(words) > 1:
            return [offset for word in words for offset in self.find(word, whole=whole)]
        key = words[0], whole
        if key not in self._found:
            self._found[key] = find_words(self.text, words[0], whole=whole)
        return self._found[key]


def find_words(text: str, word: str, *, whole: bool = True) -> list[int]:
    """Offsets of a word anywhere in the text, including strings and comments.

    `str.find` with a check of the neighbouring characters is ten times as fast as a regular expression.
    """
    offsets: list[int] = []
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


#: The last character of prefixes of strings that may contain code in braces.
_FORMATS = frozenset("fFtTrR")


def _is_formatted(text: str, quote: int) -> bool:
    if text[quote] == "#":
        return False
    prefix = text[max(quote - 2, 0) : quote].lower()
    return prefix[-1:] in ("f", "t") or prefix in ("fr", "tr")
