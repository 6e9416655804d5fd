"""Finds model ids in other files by text search: YAML, JSON and TOML files, shell and SLURM scripts."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

from telepathy_lint.audit.data import CachePath, FileFacts, Mention, Passed, Place, Role
from telepathy_lint.audit.identifiers import (
    has_ids,
    ids_in,
    ids_written,
    is_other_id,
    may_have_ids,
    names_data,
    names_models,
)
from telepathy_lint.source.prefilter import CACHE_VARIABLES

SCRIPTS = (".sh", ".bash", ".slurm", ".sbatch")
CONFIGS = (".yaml", ".yml", ".toml")
#: Files that are configuration only if their path says so, because most JSON files are results.
DATA = (".json", ".jsonl")
SUFFIXES = (*SCRIPTS, *CONFIGS, *DATA)
MAX_BYTES = 2_000_000

_CONFIG_WORD = re.compile(
    r"(?i)(?:^|[/_.-])(?:configs?|conf|settings|hparams|accelerate|deepspeed)(?:[/_.-]|$)"
)
_ASSIGNMENT = re.compile(
    r"^[ \t]*(?:export[ \t]+|local[ \t]+|readonly[ \t]+)?([A-Za-z_]\w*)=(\"[^\"\n]*\"|'[^'\n]*'|[^\s;#]*)",
    re.MULTILINE,
)
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::?-([^}]*))?\})")
_PYTHON = re.compile(r"(?:^|[\s;&|(])(?:python[\d.]*|torchrun|accelerate[ \t]+launch|srun|deepspeed)\s[^\n]*")
_OPTION = re.compile(r"--([A-Za-z][\w-]*)(?:=|[ \t]+)(\"[^\"]*\"|'[^']*'|[^\s\\]+)")
_TARGET = re.compile(r"([\w./-]+\.py)\b|-m[ \t]+([\w.]+)")
_KEY = re.compile(r"""([A-Za-z_][\w-]*)["']?\s*[:=]\s*["']?$""")
_CACHE = re.compile(r"\b(" + "|".join(CACHE_VARIABLES) + r")=(\"[^\"\n]*\"|'[^'\n]*'|[^\s;#]+)")

#: A comment, or a string, which may contain the comment sign.
_COMMENT = re.compile(r"""("(?:[^"\\\n]|\\.)*"|'[^'\n]*')|(?:^|(?<=[\s;]))#[^\n]*""", re.MULTILINE)


#: Files for services, whose repositories and actions look like model ids.
_SERVICE = re.compile(
    r"(?:^|/)(?:\.github/|\.gitlab|\.circleci/|(?:mkdocs|_config|\.pre-commit-config|docker-compose)\.ya?ml$)"
)


def may_have_facts(path: str, data: bytes) -> bool:
    """Whether a file's bytes may contain anything for `facts_of`."""
    may = has_ids if path.endswith(DATA) and not _configures(path) else may_have_ids
    return (b"/" in data and may(data.decode("utf-8", "replace"))) or any(
        name.encode() in data for name in CACHE_VARIABLES
    )


def facts_of(path: str, text: str) -> FileFacts:
    """The facts of a file that is not Python."""
    if _SERVICE.search(path):
        return FileFacts(path)
    if not path.endswith(DATA):
        text = without_comments(text)
    script = path.endswith(SCRIPTS)
    caches = any(name in text for name in CACHE_VARIABLES) if script else False
    configures = script or _configures(path)
    ids = may_have_ids(text) if configures else has_ids(text)
    if not ids and not caches:
        return FileFacts(path)
    lines = _Lines(text)
    role: Role = "script" if script else "config" if configures else "data"
    mentions: list[Mention] = []
    # Results name models under arbitrary keys, so only ids of known organisations are found in them.
    for model_id, offset in ids_written(text) if role != "data" else ids_in(text):
        line = lines.text_at(offset)
        here: Role = "data" if role in ("script", "config") and _is_talk(line) else role
        if "dataset" in line.lower() or (role == "config" and any(map(names_data, lines.keys_above(offset)))):
            here = "dataset"
        mentions.append(Mention(model_id, Place(path, lines.of(offset)), here))
    found: tuple[CachePath, ...] = ()
    if caches:
        found = tuple(
            CachePath(match.group(1), match.group(2).strip("\"'"), Place(path, lines.of(match.start())))
            for match in _CACHE.finditer(text)
        )
    passed: tuple[Passed, ...] = ()
    if ids and role == "script":
        passed = tuple(_passed(path, text, lines))
    elif ids and role == "config":
        passed = tuple(_keyed(path, text, lines))
    return FileFacts(path, tuple(mentions), caches=found, passed=passed)


def _configures(path: str) -> bool:
    return path.endswith(CONFIGS) or (path.endswith(".json") and _CONFIG_WORD.search(path) is not None)


def _is_talk(line: str) -> bool:
    """Whether a line of a script only prints text."""
    return line.lstrip().startswith(("echo ", "printf "))


def without_comments(text: str) -> str:
    """Replace the comments of a script, YAML or TOML file by blanks."""
    return _COMMENT.sub(lambda match: match.group(1) or " " * len(match.group()), text)


class _Lines:
    def __init__(self, text: str) -> None:
        self.text = text
        self.starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def of(self, offset: int) -> int:
        return bisect_right(self.starts, offset)

    def keys_above(self, offset: int) -> Iterator[str]:
        """The keys that contain a line of a YAML file, innermost first."""
        number = self.of(offset)
        indent, is_item = _indent(self._line(number))
        while number > 1 and (indent or is_item):
            number -= 1
            line = self._line(number)
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            above, above_is_item = _indent(line)
            if above < indent or (above == indent and is_item and not above_is_item):
                yield line.strip().lstrip("- ").partition(":")[0]
                indent, is_item = above, above_is_item

    def _line(self, number: int) -> str:
        return self.text_at(self.starts[number - 1])

    def text_at(self, offset: int) -> str:
        start = self.starts[self.of(offset) - 1]
        end = self.text.find("\n", start)
        return self.text[start : end if end >= 0 else len(self.text)]


def _indent(line: str) -> tuple[int, bool]:
    """The indentation of a line, and whether it begins a list item."""
    text = line.lstrip(" ")
    return len(line) - len(text), text.startswith("- ")


def _passed(path: str, text: str, lines: _Lines) -> Iterator[Passed]:
    """The ids that a script passes to Python files: `python train.py --model "$MODEL"`, with the variable's values."""
    variables: dict[str, list[tuple[str, int]]] = {}
    for match in _ASSIGNMENT.finditer(text):
        for model_id, at in _ids_of(match.group(1), match.group(2)):
            variables.setdefault(match.group(1), []).append((model_id, match.start(2) + at))
    joined = re.sub(r"\\\r?\n", lambda match: " " * len(match.group()), text)  # keeps the offsets
    for command in _PYTHON.finditer(joined):
        target = _TARGET.search(command.group())
        if target is None:
            continue
        name = target.group(1) or target.group(2).replace(".", "/") + ".py"
        for option in _OPTION.finditer(command.group()):
            key = option.group(1).replace("-", "_")
            value, offset = option.group(2), command.start() + option.start(2)
            for model_id, at in _ids_of(key, value):
                yield Passed(name, key, model_id, Place(path, lines.of(offset + at)))
            for variable in _VARIABLE.finditer(value):
                for model_id, at in variables.get(variable.group(1) or variable.group(2), ()):
                    yield Passed(name, key, model_id, Place(path, lines.of(at)))


def _ids_of(name: str, value: str) -> Iterator[tuple[str, int]]:
    """The ids in the value of a variable or option; the whole value, if the name says that it is a model."""
    found = list(ids_in(value))
    plain = value.strip("\"'")
    if not found and names_models(name) and is_other_id(plain):
        found = [(plain, value.index(plain))]
    yield from found


def _keyed(path: str, text: str, lines: _Lines) -> Iterator[Passed]:
    """The ids that a configuration file sets, by key; the script is "", because any file may read it."""
    for model_id, offset in ids_written(text):
        before = lines.text_at(offset)[: offset - lines.starts[lines.of(offset) - 1]]
        if (key := _KEY.search(before)) is not None:
            name = key.group(1).replace("-", "_")
            yield Passed("", name, model_id, Place(path, lines.of(offset)))


__all__ = ["MAX_BYTES", "SUFFIXES", "facts_of", "may_have_facts"]
