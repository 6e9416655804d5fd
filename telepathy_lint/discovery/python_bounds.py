"""The newest Python that a project's files and instructions take: an old one keeps transformers at an old release."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from telepathy_lint.settings.installs import newest_allowed

Version = tuple[int, int]

#: What the files of packaging tools and of conda say, and what a version file says.
_REQUIRED = r"(?m)^[ \t]*(?:requires-python|python)[ \t]*=[ \t]*[\"'](?P<clauses>[^\"'\n]*)"
_REQUIRED_BY_SETUP = r"\bpython_requires[ \t]*=[ \t]*[\"']?(?P<clauses>[^\"'\n]*)"
_OF_CONDA = r"(?m)^[ \t]*-[ \t]+[\"']?(?:[\w.-]+::)?python[ \t]*(?P<clauses>[=<>~!][^#\n\"']*)"
_STATED = r"\A\s*(?:python-)?(?P<version>3\.\d+)"
#: Commands that make an environment with one Python, in instructions and build files.
_COMMANDS = (
    r"\b(?:conda|mamba)[ \t]+(?:env[ \t]+)?(?:create|install)\b[^\n]{0,200}?\bpython[ \t]*={1,2}[ \t]*(3\.\d+)"
    r"|^[ \t]*FROM[ \t]+(?:\S*/)?python:(3\.\d+)"
    r"|\b(?:uv[ \t]+venv|virtualenv)\b[^\n]{0,100}?[ \t](?:-p|--python)[ \t=]+(?:python)?(3\.\d+)"
    r"|\bpython(3\.\d+)[ \t]+-m[ \t]+(?:venv|virtualenv)\b"
    r"|\bpyenv[ \t]+(?:install|local|global|virtualenv|shell)[ \t]+(?:-\S+[ \t]+)*(3\.\d+)"
)
#: Words of which such a command has one: few documents have any.
_IN_COMMANDS = ("conda", "mamba", "FROM", "venv", "virtualenv", "pyenv")
_VERSION_FILES = (".python-version", "runtime.txt")


def newest_python(files: Iterable[tuple[str, str]], instructions: Iterable[str]) -> Version | None:
    """The newest of the Python releases that requirement files (each a path and a text) and commands in instructions ask for; None if there is none.

    A clause without an end (`>=3.8`) asks for none, nor does a sentence (`Python 3.8+`).
    """
    found = [each for path, text in files for each in _said(path, text)]
    found += [
        each for text in instructions if "ython" in text or "pyenv" in text for each in _commanded(text)
    ]
    return max(found, default=None)


def is_version_file(name: str) -> bool:
    """Whether a file states the Python of its folder."""
    return name in _VERSION_FILES


def _said(path: str, text: str) -> Iterator[Version]:
    if path.endswith(_VERSION_FILES):
        stated = re.match(_STATED, text)
        if stated is not None:
            yield _numbers(stated["version"])
        return
    if path.endswith((".yml", ".yaml")):
        pattern = _OF_CONDA
    elif path.endswith("pyproject.toml"):
        pattern = _REQUIRED
    elif path.endswith(("setup.py", "setup.cfg")):
        pattern = _REQUIRED_BY_SETUP
    else:
        return
    for each in re.finditer(pattern, text):
        clauses = each["clauses"].strip()
        if "3." not in clauses or "||" in clauses:
            continue  # any Python 3, or alternatives
        newest = newest_allowed(f"=={clauses}" if clauses[:1].isdigit() else clauses)
        if newest is not None:
            yield newest


def _commanded(text: str) -> Iterator[Version]:
    if not any(word in text for word in _IN_COMMANDS):
        return
    for each in re.finditer(_COMMANDS, text, re.MULTILINE):
        yield _numbers(next(filter(None, each.groups())))


def _numbers(version: str) -> Version:
    major, minor = version.split(".")
    return int(major), int(minor)
