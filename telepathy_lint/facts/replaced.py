"""Finds where a project's tests put a stand-in for a class, and which other modules get a name from a module.

Only asked if a load can be fixed. Nothing is parsed: calls such as `patch("module.AutoModel")` are searched for in
the text, and read as a set of words. Notebooks are left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import partial

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.file import File
from telepathy_lint.flow.importers import imported_by
from telepathy_lint.flow.whole_project import Project
from telepathy_lint.hints import NamedTuple
from telepathy_lint.sites import Site

#: The word with which each of them is found -> a call that replaces an attribute or an item, as of unittest.mock, pytest
#: and pytest-mock, or an assignment.
_CALL, _ASSIGNED = rb"(?<!\w)%s[ \t]*\(", rb"[ \t]*=(?!=)"
_PLACES = {
    b"patch": _CALL % rb"patch(?:\.object|\.multiple|\.dict)?",
    b"setattr": _CALL % rb"setattr",
    b"delattr": _CALL % rb"delattr",
    b"setitem": _CALL % rb"setitem",
    b"sys.modules.": _CALL % rb"sys\.modules\.(?:update|setdefault)",
    b"sys.modules[": rb"sys\.modules\[([^\]\r\n]{1,80})\]" + _ASSIGNED,
    b".from_pretrained": rb"\.from_pretrained" + _ASSIGNED,
}
#: `module.Class = ...`, which is only looked for in tests.
_CLASS_SET = rb"\.[A-Z]\w*" + _ASSIGNED
#: What stands before the last name of an assignment.
_OWNER = rb"[ \t]*([A-Za-z_][\w.]*)"
#: transformers, among the modules that get another one in their place.
_TRANSFORMERS = rb"[\"']transformers[\"']|\btransformers[ \t]*="
#: How much of a call is read, and how far before `sys.modules[name] =` its names are looked for.
_LONGEST_CALL, _BEFORE = 400, 600
_IN_FULL = rb"\s*[\"'][A-Za-z_]\w*\.[\w.]*[\"']"
_NAME = rb"[A-Za-z_]\w*"
#: Names that are kept beside those of classes.
_MODULES = frozenset({"transformers", "torch", "accelerate", "os", "pipeline"})
_STAND_INS = r"(?:\w*Mock|None|True|False|DEFAULT|SimpleNamespace|\w*Error)"
#: The words of a place that puts another module in the place of transformers.
_A_MODULE = frozenset({"sys.modules"})
#: The classes that have the methods of all models, and of all tokenizers.
_BASES = frozenset(
    {"PreTrainedModel", "PreTrainedTokenizerBase", "PreTrainedTokenizer", "PreTrainedTokenizerFast"}
)


class Replacement(NamedTuple):
    """A place that puts something else under a name."""

    path: str
    line: int
    #: The words of the call: the name, its module, and anything else.
    words: frozenset[str]
    #: Whether the call names the module in a string: `patch("package.module.AutoModel")`.
    in_full: bool = False

    @property
    def classes(self) -> frozenset[str]:
        return frozenset(each for each in self.words if each[:1].isupper())


def replacement_of(site: Site) -> Replacement | None:
    """The place in the project that replaces the class of a load, or transformers, for a test; None if there is none.

    The call of the companion loader is not concerned: fixes keep its name.
    """
    if site.loader:
        return None
    return site.file.remember(("replaced", *sorted(_names_of(site))), partial(_first_for, site))


def is_replaced(file: File, path: str, name: str) -> bool:
    """Whether something in the project replaces a name of a file's module."""
    return any(_concerns(each, file, path, frozenset({name})) for each in _replacements_around(file, path))


def is_taken(file: File, path: str, name: str) -> bool:
    """Whether another module of the project gets a name from a file's module: by an import, `*`, or as an attribute."""
    modules = file.modules
    if modules is None or path.endswith(".ipynb") or modules.project(path) is None:
        return False
    importers = modules.importers(path)
    if importers is None:
        return True  # too many to tell
    stem = stem_of(path)
    return any(_takes(modules.text(each), stem, name) for each in importers[0])


def _takes(text: str, stem: str, name: str) -> bool:
    if not re.search(rf"\b{re.escape(name)}\b", text):
        return False
    data = text.encode("utf-8", "replace")
    got = {each for each in imported_by(data) if each.rpartition(".")[2] == name}
    if any(each.rpartition(".")[0].rpartition(".")[2] == stem for each in got):
        return True
    # `import module as m; m.AutoModel`, and a name that no other import of the file gives
    attribute = re.search(rf"\b(?!transformers\b)\w+\.{re.escape(name)}\b", text) is not None
    star = re.search(rf"\bfrom[ \t]+[\w.]*\b{re.escape(stem)}[ \t]+import[ \t]*\*", text) is not None
    return attribute or (star and not got)


def _names_of(site: Site) -> frozenset[str]:
    """The names under which the file may use the class: as it is spelled, and as transformers calls it."""
    spelled = (dotted(site.call.func) or "").removesuffix(".from_pretrained")
    return frozenset(filter(None, (*spelled.split("."), *(each.rpartition(".")[2] for each in site.loaded)))) - {
        "self", "cls",
    }  # fmt: skip


def _first_for(site: Site) -> Replacement | None:
    names, path = _names_of(site), os.path.abspath(site.source.path)
    for each in _replacements_around(site.file, path):
        if _concerns(each, site.file, path, names | _BASES if "transformers" in each.words else names):
            return each
    return None


def _replacements_around(file: File, path: str) -> tuple[Replacement, ...]:
    modules = file.modules
    project = modules.project(path) if modules is not None else None
    if project is not None:
        return project.once(_replacements) or ()
    source = file.tree.source  # a script may have its tests in itself
    if source.path.endswith(".ipynb"):
        return ()
    return file.remember("replacements", lambda: tuple(_found_in(path, source.data)))


def _concerns(replacement: Replacement, file: File, path: str, names: frozenset[str]) -> bool:
    """Whether a replacement may be of one of the names in the module of a file."""
    if replacement.words == _A_MODULE:
        return True
    hits = replacement.words & names
    if hits <= {"transformers"}:
        # `patch("module.transformers")`, but not `patch("transformers.AutoConfig")`
        of_a_class = any(not re.fullmatch(_STAND_INS, each) for each in replacement.classes)
        if not hits or of_a_class:
            return False
    elif "transformers" in replacement.words:
        return True
    if replacement.path == os.path.abspath(path):
        return True
    stem = stem_of(path)
    of_the_class = "from_pretrained" in replacement.words
    if replacement.in_full and not of_the_class:
        return stem in replacement.words
    words = [stem]
    if of_the_class:  # whichever module names it
        words = [each for each in os.path.splitext(os.path.abspath(path))[0].split(os.sep)[-4:] if each]
    modules = file.modules
    text = modules.text(replacement.path) if modules is not None else ""
    return any(re.search(rf"\b{re.escape(word)}\b", text) for word in words)


def stem_of(path: str) -> str:
    """The name of the module of a file."""
    stem = os.path.splitext(os.path.basename(path))[0]
    return os.path.basename(os.path.dirname(os.path.abspath(path))) if stem == "__init__" else stem


def _replacements(project: Project) -> tuple[Replacement, ...]:
    """The places in a project that replace classes, or modules that loads use.

    Raises:
        TooLargeError: the project is too large to be searched.
    """
    python = (each for each in project.python() if each[0].endswith(".py"))
    return tuple(each for path, data in python for each in _found_in(path, data))


def _found_in(path: str, data: bytes) -> Iterator[Replacement]:
    for word, pattern in _PLACES.items():
        at = data.find(word)
        while at >= 0:
            if (match := re.compile(pattern).match(data, at)) is not None and (
                words := _words_of(data, match)
            ):
                in_full = re.compile(_IN_FULL).match(data, match.end()) is not None
                yield Replacement(path, _line(data, at), words, in_full)
            at = data.find(word, at + len(word))
    if "test" in os.path.basename(path):
        for match in re.finditer(_CLASS_SET, data):
            if words := _words_of(data, match):
                yield Replacement(path, _line(data, match.start()), words)


def _words_of(data: bytes, match: re.Match[bytes]) -> frozenset[str]:
    """The words that say what is replaced; none if it is nothing of interest."""
    if match[0].startswith(b"."):
        begins = max(data.rfind(b"\n", 0, match.start()), data.rfind(b"\r", 0, match.start())) + 1
        owner = re.compile(_OWNER).fullmatch(data, begins, match.start())
        return _names(match[0] + b" " + owner[1]) if owner is not None else frozenset()
    if match[0].startswith(b"sys.modules["):
        quoted = match[1].strip()[:1] in (b"'", b'"')
        given = (
            match[1] if quoted else data[max(match.start() - _BEFORE, 0) : match.start()]
        )  # a loop over names
        return _A_MODULE if re.search(_TRANSFORMERS, given) is not None else frozenset()
    given = _call_at(data, match.end())
    if b"sys.modules" in match[0] + given:
        return _A_MODULE if re.search(_TRANSFORMERS, given) is not None else frozenset()
    words = _names(given)
    of_interest = not _MODULES.isdisjoint(words) or any(
        each[0].isupper() and not re.fullmatch(_STAND_INS, each) for each in words
    )
    return words if of_interest else frozenset()


def _names(given: bytes) -> frozenset[str]:
    return frozenset(each.decode("ascii") for each in re.findall(_NAME, given))


def _call_at(data: bytes, start: int) -> bytes:
    """The arguments of a call, up to the bracket that closes it."""
    depth = 1
    for at in range(start, min(start + _LONGEST_CALL, len(data))):
        character = data[at]
        depth += (character in b"([{") - (character in b")]}")
        if depth == 0:
            return data[start:at]
    return data[start : start + _LONGEST_CALL]


def _line(data: bytes, offset: int) -> int:
    return data.count(b"\n", 0, offset) + 1
