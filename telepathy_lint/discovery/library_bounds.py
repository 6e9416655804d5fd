"""The newest releases of other libraries that a project's requirement files and instructions allow: some leave out transformers 5."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from telepathy_lint.hints import NamedTuple
from telepathy_lint.knowledge.before_5 import LIMITED, NEVER, NEWEST_ON_PYTHON, NEWEST_WITH_TORCH
from telepathy_lint.settings import LAST_OF_4, UNKNOWN_RELEASE
from telepathy_lint.settings.installs import CLAUSE, newest_allowed
from telepathy_lint.source.occurs import lower_case

Version = tuple[int, int]
#: Library -> the newest release that is allowed, as (major, minor); None if newer ones are not left out.
Bounds = Mapping[str, Version | None]

#: What transformers 5 needs of others: library -> (the first release that leaves it out, the first later one that allows it). Transformers 5.0 takes
#: torch 2.2, each later one 2.4 or newer.
_NEEDED: Mapping[str, tuple[Version, Version]] = {
    "huggingface-hub": ((0, 0), (1, 0)),
    "tokenizers": ((0, 0), (0, 22)),
    "torch": ((0, 0), (2, 4)),
}
_LEAVE_OUT_5 = {**_NEEDED, **LIMITED}
#: Those of them that keep transformers at one old release of 4.
_HOLD_BACK = ("adapters", "pyreft", "openrlhf", "optimum", "transformer-lens")
#: Those of the known ones that do not leave out transformers 5.
_OTHERS = ("trl", "peft", "accelerate")
_BEHIND_A_NAME = r"(?![-_.\w])(?:\[[^\]]*\])?"
#: What stands behind the name in a line or a quoted item of a requirement file, with the forms of pip, conda and poetry.
_LISTED = rf"{_BEHIND_A_NAME}[\"']?(?:[ \t]*=[ \t]*(?=[\"']))?[ \t]*[\"']?(?P<clauses>[^;#\n\"']*)"
_LOCKED = r'(?m)^name = "(?P<name>huggingface-hub|tokenizers|torch|trl|peft|accelerate)"\r?\nversion = "(?P<version>\d{1,9}(?:\.\d{1,9})*)'
#: A revision of a library in a git repository, for pip, poetry and uv; only a tag tells the release.
_REVISED = r"(?P<name>transformers|trl|peft|accelerate|tokenizers)"
_REVISION = rf"(?im)^[^#\n]{{0,200}}git\+[^\s#]{{0,300}}/{_REVISED}(?:\.git)?@(?P<revision>[\w./-]+)"
_REVISION_IN_A_TABLE = (
    rf"(?m)^[ \t]*{_REVISED}[ \t]*=[ \t]*\{{[^}}\n]*\brev[ \t]*=[ \t]*[\"'](?P<revision>[\w.-]+)"
)
#: What a document says behind a name: `torch==2.2.0`.
_SAID = rf"{_BEHIND_A_NAME}(?P<clauses>(?:,?[ \t]*(?:===?|~=|[<>]=?)[ \t]*[vV]?\d[\d.*]*)+)"
#: The names in it, and what may stand behind one that has a version.
_NAMES = ("huggingface-hub", "huggingface_hub", "tokenizers", "torch", "pytorch", "trl", "peft", "accelerate")
_BRANCHES = r"main|master|HEAD|dev(?:elop)?"
_BEHIND = "[,=~<>"
_QUOTES = ('"', "'")
_MOST_BETWEEN = 80
#: What the newest trl needs of huggingface-hub.
_HUB_OF_TRL = (0, 34)
#: Since which release trl needs at least which release of others; from the metadata of its distributions.
_OF_TRL: tuple[tuple[Version, str, Version], ...] = (
    ((0, 12), "accelerate", (0, 34)),
    ((0, 13), "transformers", (4, 46)),
    ((0, 18), "transformers", (4, 50)),
    ((0, 19), "transformers", (4, 51)),
    ((0, 19), "accelerate", (1, 4)),
    ((0, 20), "transformers", (4, 53)),
    ((0, 21), "transformers", (4, 55)),
    ((0, 24), "transformers", (4, 56)),
)


def listed(texts: Iterable[str]) -> Bounds:
    """What requirement files say, also in commands (`pip3 install torch==1.9.0`); a library of a commit of its repository may be of any release.

    A library without a version is left out, but for those whose newest release leaves out transformers 5.
    """
    texts = list(texts)
    return {
        **_bounds(
            each for text in texts if " install " in text for each in _stated(re.sub(r"#[^\n]*", "", text))
        ),
        **_bounds(_items(texts)),
        **{name: newest for text in texts for name, newest in _checked_out(text) if name != "transformers"},
    }


class _Named(NamedTuple):
    """A library that a text names."""

    name: str
    clauses: str
    #: Whether the name stands without quotes; a quoted one may be a keyword, a package or an extra of the project's own.
    is_a_line: bool


def _items(texts: list[str]) -> Iterator[_Named]:
    """The lines and quoted items of requirement files that name a library."""
    for text in texts:
        lines = lower_case(text).replace("_", "-")
        for start, end, name in _places((*_OTHERS, *_LEAVE_OUT_5, "pytorch"), lines):
            before = text[text.rfind("\n", 0, start) + 1 : start]
            match = re.compile(_LISTED).match(text, end) if _begins_an_item(before) else None
            if match is not None:
                yield _Named(name, match["clauses"], not before.endswith(_QUOTES))


def _begins_an_item(before: str) -> bool:
    """Whether what stands before a name in its line is nothing, a quote, or the dash of a list, with or without a channel of conda."""
    before = re.sub(r"[\w.-]+::\Z", "", before) if before.endswith("::") else before
    bare = before.strip(" \t")
    return before.endswith(_QUOTES) or not bare or (bare == "-" and not before.endswith("-"))


def _places(names: Iterable[str], lowered: str) -> list[tuple[int, int, str]]:
    """Where a text in lower case has one of the names: from, to, and which."""
    found: list[tuple[int, int, str]] = []
    for name in names:
        at = lowered.find(name)
        while at >= 0:
            found.append((at, at + len(name), name))
            at = lowered.find(name, at + len(name))
    return sorted(found)


def _checked_out(text: str) -> Iterator[tuple[str, Version]]:
    for each in (
        *(re.finditer(_REVISION, text) if "git+" in text else ()),
        *(re.finditer(_REVISION_IN_A_TABLE, text) if "rev" in text else ()),
    ):
        if re.fullmatch(_BRANCHES, each["revision"]) is None:
            tag = re.fullmatch(r"v?(\d{1,9}\.\d{1,9}[\d.]*)", each["revision"])
            yield (
                each["name"].lower(),
                (newest_allowed(f"=={tag[1]}") if tag is not None else None) or UNKNOWN_RELEASE,
            )


def said(texts: Iterable[str]) -> Bounds:
    """What documents and scripts say that explain how to install the project."""
    return _bounds(each for text in texts for each in _stated(text))


def locked(texts: Iterable[str]) -> Bounds:
    """What the lock files of tools pin, which is what they install."""
    return {
        each["name"].replace("_", "-"): newest_allowed(f"=={each['version']}")
        for text in texts
        for each in re.finditer(_LOCKED, text)
    }


def _stated(text: str) -> Iterator[_Named]:
    """The libraries that a document names with a version; `re` alone would take many times as long."""
    lowered = lower_case(text)
    for start, end, name in _places(_NAMES, lowered):
        before = lowered[start - 1 : start]
        if lowered[end : end + _MOST_BETWEEN].lstrip(" \t")[:1] not in _BEHIND:
            continue
        if before.isalnum() or before in ("_", ".", "/", "-"):
            continue
        match = re.compile(_SAID).match(text, end)
        if match is not None:
            yield _Named(name, match["clauses"], True)


def takes_a_commit(text: str) -> bool:
    """Whether a requirement file takes transformers from a commit, which does not tell its release."""
    return any(name == "transformers" and newest == UNKNOWN_RELEASE for name, newest in _checked_out(text))


def leave_out_5(bounds: Bounds) -> bool:
    """Whether transformers 5 cannot be installed, or not be used, with these releases."""
    newest = newest_transformers(bounds)
    return newest is not None and newest <= LAST_OF_4


def newest_transformers(bounds: Bounds) -> Version | None:
    """The newest transformers that can be installed with these releases of Python and others; None if the newest one of all can."""
    ends = [LAST_OF_4] if any(_leaves_it_out(name, newest) for name, newest in bounds.items()) else []
    python = bounds.get("python")
    if python is not None and python <= max(NEWEST_ON_PYTHON):
        ends.append(NEWEST_ON_PYTHON.get(python, min(NEWEST_ON_PYTHON.values())))
    torch = bounds.get("torch")
    if torch is not None:
        ends += [newest for since, newest in NEWEST_WITH_TORCH.items() if torch < since]
    return min(ends, default=None)


def _leaves_it_out(name: str, newest: Version | None) -> bool:
    """Whether a library's newest allowed release (None: the newest one of all) leaves out transformers 5."""
    since, until = _LEAVE_OUT_5.get(name, (NEVER, NEVER))
    if newest is None:
        return since < until == NEVER
    return since <= newest < until


def allow_new(bounds: Bounds) -> bool:
    """Whether trl, peft and transformers 4 may be new."""
    if any(name in bounds and _leaves_it_out(name, bounds[name]) for name in _HOLD_BACK):
        return False
    python = bounds.get("python")
    if python is not None and python < (3, 9):
        return False
    tokenizers, hub = bounds.get("tokenizers"), bounds.get("huggingface-hub")
    return (tokenizers is None or tokenizers >= _LEAVE_OUT_5["tokenizers"][1]) and (
        hub is None or hub >= _HUB_OF_TRL
    )


def with_trl(bounds: Bounds, transformers: Version | None) -> Bounds:
    """The bounds with the newest trl that can be installed beside them and beside a newest transformers."""
    given = {**bounds, "transformers": transformers}
    late = [
        since for since, name, least in _OF_TRL if (newest := given.get(name)) is not None and newest < least
    ]
    if not late:
        return bounds
    major, minor = min(late)
    before = (major, minor - 1)
    return {**bounds, "trl": min(before, bounds.get("trl") or before)}


def _bounds(named: Iterable[_Named]) -> Bounds:
    found: dict[str, Version | None] = {}
    for each in named:
        clauses = each.clauses.strip()
        name = each.name.lower().replace("_", "-")
        name = "torch" if name == "pytorch" else name
        is_exact = clauses.removeprefix("v")[:1].isdigit()
        if not is_exact and re.search(CLAUSE, clauses) is None:
            if not clauses and _leaves_it_out(name, None) and each.is_a_line:
                found.setdefault(name, None)
            continue
        newest = newest_allowed(f"=={clauses}" if clauses[:1].isdigit() else clauses)
        known = found.get(name, newest)
        found[name] = None if known is None or newest is None else max(known, newest)
    return found
