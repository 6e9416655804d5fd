"""The newest Python that a project's files and instructions take: an old one keeps transformers at an old release."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

from telepathy_lint.settings.installs import newest_allowed

Version = tuple[int, int]

#: What the files of packaging tools and of conda say, and what a version file says.
_REQUIRED = r"(?m)^[ \t]*(?:\[+(?P<table>[^\]\n]*)\]|(?P<key>requires-python|python)[ \t]*=[ \t]*[\"'](?P<clauses>[^\"'\n]*))"
_REQUIRED_BY_SETUP = r"(?m)^[^#\n]*\bpython_requires[ \t]*=[ \t]*[\"']?(?P<clauses>[^\"'\n]*)"
_OF_CONDA = (
    r"(?m)^[ \t]*-[ \t]+[\"']?(?:[\w.-]+::)?python[ \t]*(?P<clauses>[=<>~!][^#\n\"']*|[\"']?[ \t]*(?:#.*)?$)"
)
_STATED = r"(?m)^[ \t]*(?:python-)?(3\.\d{1,3})(?!\d)"
_FLOOR = r">=?[ \t]*(3\.\d{1,3})(?!\d)"
#: Commands that make an environment with one Python, in instructions, each with the words of which it has one: few documents have any.
_PYTHON = r"(3\.\d{1,3})(?!\d)"
_COMMANDS = (
    (
        ("conda", "mamba"),
        rf"\b(?:conda|mamba)[ \t]+(?:env[ \t]+)?(?:create|install)\b[^\n]{{0,200}}?\bpython[ \t]*={{1,2}}[ \t]*{_PYTHON}",
    ),
    (
        ("uv venv", "virtualenv"),
        rf"\b(?:uv[ \t]+venv|virtualenv)\b[^\n]{{0,100}}?[ \t](?:-p|--python)[ \t=]+(?:python)?{_PYTHON}",
    ),
    (
        ("pyenv",),
        rf"\bpyenv[ \t]+(?:install|local|global|virtualenv|shell)[ \t]+(?:-\S+[ \t]+)*{_PYTHON}",
    ),
    (("-m venv", "-m virtualenv"), r"\bpython(3\.\d{1,3})[ \t]+-m[ \t]+(?:venv|virtualenv)\b"),
)
#: The image of a stage of a Dockerfile, and one that has a Python.
_STAGE = r"(?m)^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)*(?P<image>\S+)(?:[ \t]+[Aa][Ss][ \t]+(?P<name>\S+))?"
_WITH_PYTHON = r"(?:.*/)?python:(3\.\d{1,3})(?!\d)"
_OF_YAML = (".yml", ".yaml")
_VERSION_FILES = (".python-version", "runtime.txt")
#: The Python of a conda environment for which no release is asked.
_OPEN = (3, 999)


def newest_python(files: Iterable[tuple[str, str]], instructions: Iterable[str]) -> Version | None:
    """The newest of the Python releases that requirement files (each a path and a text) and commands in instructions ask for; None if there is none.

    A clause without an end (`>=3.8`) asks for none, nor does a sentence (`Python 3.8+`). It is also None if a file needs a newer
    Python than that: the environment is then for something else.
    """
    said = [each for path, text in files for each in _said(path, text)]
    found = [newest for _, newest in said if newest is not None]
    found += [
        each for text in instructions if "ython" in text or "pyenv" in text for each in _commanded(text)
    ]
    newest = max(found, default=None)
    floors = [floor for floor, _ in said if floor is not None]
    return None if newest is not None and max(floors, default=newest) > newest else newest


def is_version_file(name: str) -> bool:
    """Whether a file states the Python of its folder."""
    return name in _VERSION_FILES


def _said(path: str, text: str) -> Iterator[tuple[Version | None, Version | None]]:
    """The oldest and the newest Python of each statement of a file."""
    if is_version_file(os.path.basename(path)):
        yield from ((None, _numbers(each[1])) for each in re.finditer(_STATED, text))
        return
    for clauses in _clauses(path, text) if "python" in text else ():
        if not clauses:
            yield _OPEN, None
        if "3." not in clauses or "|" in clauses:
            continue  # any Python 3, or alternatives
        newest = newest_allowed(f"=={clauses}" if clauses[:1].isdigit() else clauses)
        floor = max(map(_numbers, re.findall(_FLOOR, clauses)), default=None)
        open_in_conda = newest is None and path.endswith(_OF_YAML)
        yield _OPEN if open_in_conda else floor, newest


def _clauses(path: str, text: str) -> Iterator[str]:
    """What a file says of the Python that it needs; empty for a line of conda that only names it."""
    if path.endswith("pyproject.toml"):
        table = ""
        for each in re.finditer(_REQUIRED, text):
            table = each["table"] if each["table"] is not None else table
            # Other tables are about the environments of tools.
            if each["clauses"] and (each["key"] != "python" or table.strip().endswith("dependencies")):
                yield each["clauses"].strip()
    elif path.endswith(_OF_YAML):
        yield from (
            each["clauses"].partition("#")[0].strip(" \t\"'") for each in re.finditer(_OF_CONDA, text)
        )
    elif path.endswith(("setup.py", "setup.cfg")):
        yield from (
            clauses for each in re.finditer(_REQUIRED_BY_SETUP, text) if (clauses := each["clauses"].strip())
        )


def _commanded(text: str) -> Iterator[Version]:
    if "ython:3." in text:
        yield from _of_the_image(text)
    for words, command in _COMMANDS:
        if any(word in text for word in words):
            yield from map(_numbers, re.findall(command, text))


def _of_the_image(text: str) -> Iterator[Version]:
    """The Python of the image that a Dockerfile makes, which is that of its last stage."""
    image, stages = "", dict[str, str]()
    for each in re.finditer(_STAGE, text):
        image = stages.get(each["image"].lower(), each["image"])
        if each["name"] is not None:
            stages[each["name"].lower()] = image
    found = re.match(_WITH_PYTHON, image)
    if found is not None:
        yield _numbers(found[1])


def _numbers(version: str) -> Version:
    major, minor = version.split(".")
    return int(major), int(minor)
