"""Finds models that a project configures but cannot load, for the audit and for TLP303.

A model is reported only if every place that names it is an entry of a table or a constant without a path to a load. Ids
in scripts, configuration files and commands in the documentation count as used, because running these loads the models.
"""

from __future__ import annotations

import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from telepathy_lint.audit.data import Entry, FileFacts, Mention, Model, Place
from telepathy_lint.hints import NamedTuple
from telepathy_lint.settings import UnusedModel

#: Roles of mentions that never load anything.
_QUIET = frozenset({"compared", "data", "dataset"})
#: A command line in documentation, a Makefile or the like.
_COMMAND = re.compile(
    rb"(?:^|\s)--?\w|\b(?:python|torchrun|accelerate|sbatch|bash|docker|huggingface-cli|hf)\b|="
)
_READ_ALREADY = (
    ".py",
    ".ipynb",
    ".sh",
    ".bash",
    ".slurm",
    ".sbatch",
    ".yaml",
    ".yml",
    ".toml",
    ".json",
    ".jsonl",
)
_MAX_BYTES = 2_000_000
#: Bytes to read of a file that is not text.
_HEAD = 8192
#: Files or folders that mark a repository and a package.
_REPOSITORY, _PACKAGE = (".git",), ("pyproject.toml", "setup.cfg", "setup.py")
#: Folders whose modules frameworks read by path, as configuration files.
_READ_BY_PATH = re.compile("(?:^|/)(?:configs?|conf|cfgs?)/")


class Area(NamedTuple):
    """The extent of a project: the files in `paths`, and all files below the folders. Places are relative to `root`."""

    root: str
    paths: tuple[str, ...]
    #: Whether nothing marks a project, so that it consists only of the given paths.
    is_unmarked: bool = False


def areas(paths: Iterable[str]) -> list[Area]:
    """The projects of the paths in a command: the repository, else the package, else just the given paths."""
    roots: set[str] = set()
    without: list[str] = []
    for path in map(os.path.abspath, paths):
        root = _project_root(path)
        if root is not None:
            roots.add(root)
        else:
            without.append(path)
    found = [Area(root, (root,)) for root in sorted(roots)]
    return [*found, _unmarked(without)] if without else found


def described(area: Area) -> str:
    """A description of the project's extent for users."""
    if not area.is_unmarked:
        return f"the project: {area.root}"
    given = ", ".join(os.path.relpath(path, area.root) for path in area.paths)
    return f"the project: only {given} in {area.root}, because it and its parents contain none of {', '.join((*_REPOSITORY, *_PACKAGE))}"


def _project_root(path: str) -> str | None:
    for marks in (_REPOSITORY, _PACKAGE):
        for folder in _upwards(path):
            if any(os.path.exists(os.path.join(folder, mark)) for mark in marks):
                return folder
    return None


def _unmarked(paths: Sequence[str]) -> Area:
    """Just the given paths, if nothing marks the project's extent: neighbouring files may belong to other projects."""
    here = os.getcwd()
    if all(here in _upwards(path) for path in paths):
        return Area(here, tuple(paths), True)
    folders = [path if os.path.isdir(path) else os.path.dirname(path) for path in paths]
    return Area(os.path.commonpath(folders), tuple(paths), True)


def _upwards(path: str) -> Iterator[str]:
    above = path if os.path.isdir(path) else os.path.dirname(path)
    while True:
        yield above
        below, above = above, os.path.dirname(above)
        if above == below:
            return


def unused_models(
    files: Sequence[FileFacts], models: Iterable[Model], area: Area, python: Iterable[str]
) -> dict[str, tuple[UnusedModel, ...]]:
    """The unused models by the file of their first entry; `python` are the paths of all the project's Python files."""
    if not any(load.kind != "tokenizer" for facts in files for load in facts.loads):
        return {}  # without transformers, the ids have another purpose
    entries = {entry.mention: entry for facts in files for entry in facts.entries}
    groups: dict[str, list[Model]] = defaultdict(list)
    for model in models:
        groups[model.canonical or model.model_id].append(model)
    candidates = [
        (group, found) for group in groups.values() if (found := _entries_only(group, entries)) is not None
    ]
    if not candidates:
        return {}
    used = _Elsewhere(area, python, {model.model_id for group, _ in candidates for model in group})
    unused: dict[str, list[UnusedModel]] = defaultdict(list)
    for group, found in candidates:
        if any(used.named(name, entry.mention.place.path) for entry in found for name in entry.names):
            continue
        told = [place for model in group for place in used.told(model.model_id)]
        if any(is_command for _, is_command in told):
            continue
        first = found[0].mention
        places = {mention.place for model in group for mention in model.mentions} | {
            place for place, _ in told
        }
        unused[first.place.path].append(
            UnusedModel(
                first.model_id,
                tuple((each.path, each.line, each.cell) for each in sorted(places - {first.place})),
            )
        )
    return {path: tuple(each) for path, each in unused.items()}


def _entries_only(group: Sequence[Model], entries: dict[Mention, Entry]) -> list[Entry] | None:
    """The entries of a model under all its names; None if something loads it, or might load it."""
    found: list[Entry] = []
    for model in group:
        if model.loads or model.tokenizer_loads or model.model_id.startswith("openai/gpt-"):
            return None
        for mention in model.mentions:
            if mention.role in _QUIET:
                continue
            if mention not in entries or _READ_BY_PATH.search(mention.place.path):
                return None
            found.append(entries[mention])
    return sorted(found, key=lambda entry: entry.mention.place) or None


class _Elsewhere:
    """The contents of the project's other files, read on first use, which is rare."""

    def __init__(self, area: Area, python: Iterable[str], ids: Iterable[str]) -> None:
        self.root = area.root
        self.paths = area.paths
        self.python = [os.path.abspath(path) for path in python]
        self.ids = frozenset(ids)
        self._texts: dict[str, bytes] | None = None
        self._named: dict[tuple[str, str], bool] = {}
        self._told: dict[str, list[tuple[Place, bool]]] | None = None

    def named(self, name: str, path: str) -> bool:
        """Whether a Python file other than `path` contains the name and the name of its module."""
        if (name, path) not in self._named:
            stem = os.path.basename(path).removesuffix(".py")
            words = [name.encode()] if stem == "__init__" else [name.encode(), stem.encode()]
            patterns = [(word, rb"\b%s\b" % re.escape(word)) for word in words]
            self._named[name, path] = any(
                all(word in text and re.search(pattern, text) for word, pattern in patterns)
                for other, text in self._python_texts().items()
                if other != os.path.join(self.root, path)
            )
        return self._named[name, path]

    def _python_texts(self) -> dict[str, bytes]:
        if self._texts is None:
            self._texts = {path: text for path in self.python if (text := _text(path)) is not None}
        return self._texts

    def told(self, model_id: str) -> list[tuple[Place, bool]]:
        """The lines of documentation, Makefiles and the like that name the model, and whether they are commands."""
        if self._told is None:
            self._told = defaultdict(list)
            pattern = re.compile(b"|".join(re.escape(each.encode()) + rb"(?![\w.-]*\w)" for each in self.ids))
            for path in _other_texts(self.paths):
                for number, line in enumerate((_text(path) or b"").splitlines(), 1):
                    for match in pattern.finditer(line) if b"/" in line else ():
                        place = Place(os.path.relpath(path, self.root).replace(os.sep, "/"), number)
                        self._told[match.group().decode()].append((place, _COMMAND.search(line) is not None))
        return self._told.get(model_id, [])


def _other_texts(paths: Iterable[str]) -> Iterator[str]:
    """The files below folders that the audit does not read otherwise; none for paths that are files."""
    for path in paths:
        for folder, folders, names in os.walk(path):
            folders[:] = [each for each in folders if not each.startswith(".")]
            yield from (os.path.join(folder, name) for name in names if not name.endswith(_READ_ALREADY))


def _text(path: str) -> bytes | None:
    """A file's bytes; None if it cannot be read, is not text, or is too long to be hand-written."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_BYTES:
            return None
        with open(path, "rb", buffering=0) as file:
            head = file.read(_HEAD)
            return None if b"\0" in head else head + file.read()
    except OSError:
        return None
