"""Finds the ids of models that a text names, by their publishers."""

from __future__ import annotations

import re
from collections.abc import Iterator

#: The publishers of most models.
_PUBLISHERS = frozenset({
    "meta-llama", "Qwen", "mistralai", "google", "google-bert", "google-t5", "openai", "openai-community", "distilbert",
    "FacebookAI", "EleutherAI", "facebook", "microsoft", "deepseek-ai", "tiiuae", "bigscience", "bigcode", "BAAI", "intfloat",
    "thenlper", "sentence-transformers", "cross-encoder", "HuggingFaceTB", "HuggingFaceH4", "allenai", "state-spaces", "Snowflake",
    "nomic-ai", "jinaai", "mixedbread-ai", "TinyLlama", "unsloth", "NousResearch", "lmsys", "codellama", "Salesforce",
    "stabilityai", "01-ai", "THUDM", "zai-org", "ibm-granite", "CohereForAI", "CohereLabs", "nvidia", "internlm", "mosaicml",
    "VietAI", "doc2query", "cardiffnlp",
})  # fmt: skip
#: The models that had none.
_UNPUBLISHED = (
    r"(?:distil)?gpt2(?:-\w+)?|(?:distil)?bert-[\w-]+|(?:distil|xlm-)?roberta-[\w-]+|(?:flan-)?t5-[\w-]+"
)
#: What stands in quotes if it is an id, and before the quotes of a data set.
_IN_QUOTES, _OF_A_DATA_SET = r"[\"']([\w./-]+)[\"']", "load_dataset("
#: A part of each id, and how far behind the opening quote it can begin.
_PARTS, _REACH = ("/", "gpt2", "bert", "t5-"), 32
#: Without quotes, as in YAML and on command lines; what stands before it; and how the publishers' names end.
_BARE = rf"(?:^|[\s:=\"'])((?:{'|'.join(sorted(_PUBLISHERS))})/[\w.-]+|{_UNPUBLISHED})(?:$|[\s,\"'])"
_BEFORE = r"[\s:=\"']"
_ENDS = frozenset(each[-2:] for each in _PUBLISHERS)


def hub_id(model_id: str) -> str:
    """The id that a folder is named after: `org/name` in a path, `models--org--name` in the hub's cache."""
    cached = re.search(r"models--([\w.-]+?)--([\w.-]+)", model_id)
    if cached is not None:
        return f"{cached[1]}/{cached[2]}"
    return "/".join(model_id.rstrip("/").split("/")[-2:])


def ids_in(text: str) -> tuple[str, ...]:
    """The ids in the string literals of a text, without those of data sets that are loaded there."""
    written = re.compile(_IN_QUOTES)
    found = (
        written.match(text, start)
        for start in sorted(_quotes_before_ids(text))
        if not text.endswith(_OF_A_DATA_SET, 0, start)
    )
    return tuple(dict.fromkeys(each[1] for each in found if each is not None and _is_published(each[1])))


def _is_published(written: str) -> bool:
    publisher, slash, name = written.partition("/")
    if slash:
        return publisher in _PUBLISHERS and name != "" and "/" not in name
    return re.fullmatch(_UNPUBLISHED, written) is not None


def _quotes_before_ids(text: str) -> set[int]:
    """The quotes behind which an id may begin; `re` alone takes many times as long."""
    found = set()
    for part in _PARTS:
        at = text.find(part)
        while at >= 0:
            near = max(at - _REACH, 0)
            if (quote := max(text.rfind('"', near, at), text.rfind("'", near, at))) >= 0:
                found.add(quote)
            at = text.find(part, at + 1)
    return found


def bare_ids_in(text: str) -> tuple[str, ...]:
    """The ids in settings or a command, where they may stand without quotes."""
    written = re.compile(_BARE)
    found: dict[str, None] = {}
    behind = 0
    for part in sorted(_parts_of_ids(text)):
        near = max(part - _REACH, 0)
        start = part - len(re.split(_BEFORE, text[near:part])[-1])
        match = written.match(text, max(start - 1, 0)) if start > near or not near else None
        if match is not None and match.start() >= behind:
            found[match[1]] = None
            behind = match.end()
    return tuple(found)


def _parts_of_ids(text: str) -> Iterator[int]:
    """The offsets of slashes behind publishers, and of parts of other ids."""
    slash = -1
    for before in text.split("/")[:-1]:
        slash += len(before) + 1
        if before[-2:] in _ENDS:
            yield slash
    for part in _PARTS[1:]:
        at = text.find(part)
        while at >= 0:
            yield at
            at = text.find(part, at + 1)
