"""The newest releases of other libraries that a project's requirement files and instructions allow: some leave out transformers 5."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from telepathy_lint.settings.installs import newest_allowed

Version = tuple[int, int]
#: Library -> the newest release that is allowed, as (major, minor); None if newer ones are not left out.
Bounds = Mapping[str, Version | None]

_NAME = r"(?P<name>huggingface[-_]hub|tokenizers|(?:py)?torch|trl|peft|accelerate)(?![-_.\w])(?:\[[^\]]*\])?"
#: A line or a quoted item of a requirement file, with the forms of pip, conda and poetry.
_LISTED = (
    rf"(?im)(?:^[ \t]*(?:-[ \t]+)?|(?<=[\"']))[\"']?(?:[\w.-]+::)?{_NAME}[\"']?(?:[ \t]*=[ \t]*(?=[\"']))?[ \t]*[\"']?"
    r"(?P<clauses>[^;#\n\"']*)"
)
_LOCKED = r'(?m)^name = "(?P<name>huggingface-hub|tokenizers|torch|trl|peft|accelerate)"\r?\nversion = "(?P<version>\d{1,9}(?:\.\d{1,9})*)'
#: A revision of a library in a git repository; only a tag tells the release.
_REVISION = (
    r"(?im)^[^#\n]*git\+[^\s#]*/(?P<name>trl|peft|accelerate|tokenizers)(?:\.git)?@(?P<revision>[\w.-]+)"
)
#: What a document says: `torch==2.2.0`.
_SAID = rf"(?i)(?<![\w./-]){_NAME}(?P<clauses>(?:,?[ \t]*(?:===?|~=|>=?|<=?)[ \t]*v?\d[\d.*]*)+)"
#: The names in it, and what may stand behind one that has a version.
_NAMES = ("huggingface-hub", "huggingface_hub", "tokenizers", "torch", "pytorch", "trl", "peft", "accelerate")
_BRANCHES = r"main|master|HEAD|dev(?:elop)?"
_BEHIND = "[,=~<>"
_MOST_BETWEEN = 80
_STATES = r"(?:[<>=~^]|\A)[ \t]*v?\d"
#: Libraries whose older releases leave out transformers 5: it needs these. Transformers 5.0 takes torch 2.2, each later one 2.4 or newer.
_NEEDED = {"huggingface-hub": (1, 0), "tokenizers": (0, 22), "torch": (2, 4)}
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
    """What requirement files say; a library without a version is left out, and one of a commit of its repository may be of any."""
    texts = list(texts)
    return {
        **_bounds(each for text in texts for each in re.finditer(_LISTED, text)),
        **{name: newest for text in texts for name, newest in _checked_out(text)},
    }


def _checked_out(text: str) -> Iterator[tuple[str, Version]]:
    for each in re.finditer(_REVISION, text) if "git+" in text else ():
        if re.fullmatch(_BRANCHES, each["revision"]) is None:
            tag = re.fullmatch(r"v?(\d{1,9}\.\d{1,9}[\d.]*)", each["revision"])
            yield each["name"].lower(), (newest_allowed(f"=={tag[1]}") if tag is not None else None) or (0, 0)


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


def _stated(text: str) -> list[re.Match[str]]:
    """The libraries that a document names with a version; `re` alone would take many times as long."""
    lowered = text.lower()
    if len(lowered) != len(text):
        return list(re.finditer(_SAID, text))  # with a letter whose lower case is longer, offsets differ
    found: list[re.Match[str]] = []
    for name in _NAMES:
        at = lowered.find(name)
        while at >= 0:
            end = at + len(name)
            if lowered[end : end + _MOST_BETWEEN].lstrip(" \t")[:1] in _BEHIND:
                match = re.compile(_SAID).match(text, at)
                found += [match] if match is not None else []
            at = lowered.find(name, end)
    return sorted(found, key=lambda each: each.start())


def leave_out_5(bounds: Bounds) -> bool:
    """Whether transformers 5 cannot be installed, or not be used, with these releases."""
    return any((newest := bounds.get(name)) is not None and newest < least for name, least in _NEEDED.items())


def allow_new_trl(bounds: Bounds) -> bool:
    """Whether trl and peft may be new beside a transformers 4."""
    tokenizers, hub = bounds.get("tokenizers"), bounds.get("huggingface-hub")
    return (tokenizers is None or tokenizers >= _NEEDED["tokenizers"]) and (hub is None or hub >= _HUB_OF_TRL)


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


def _bounds(named: Iterable[re.Match[str]]) -> Bounds:
    found: dict[str, Version | None] = {}
    for each in named:
        clauses = each["clauses"].strip()
        if re.search(_STATES, clauses) is None:
            continue
        name = each["name"].lower().replace("_", "-").replace("pytorch", "torch")
        newest = newest_allowed(f"=={clauses}" if clauses[:1].isdigit() else clauses)
        known = found.get(name, newest)
        found[name] = None if known is None or newest is None else max(known, newest)
    return found
