"""Whether code of the project writes or replaces a method by a name, also in a test: then a call of it may be of that one."""

from __future__ import annotations

import re

from telepathy_lint.facts.config_reads import is_in_project
from telepathy_lint.flow.whole_project import Project
from telepathy_lint.sites import Site

#: `def encode_plus`, `tokenizer.encode_plus.return_value = ...`, `patch.object(tokenizer, "encode_plus")`.
_MADE = r"\bdef {0}\b|\.{0}(?:\.return_value|\.side_effect)?\s*=(?!=)|[\"']{0}[\"']"


def is_made(site: Site, name: str) -> bool:
    """Whether the file or another one of the project makes a method of that name; also if the project is too large to tell."""
    return _makes(site.source.text, name) or is_in_project(site, name, _is_made_in)


def _is_made_in(project: Project, name: str) -> bool:
    word = name.encode()
    return any(word in data and _makes(data.decode("utf-8", "replace"), name) for _, data in project.python())


def _makes(text: str, name: str) -> bool:
    return name in text and re.search(_MADE.format(name), text) is not None
