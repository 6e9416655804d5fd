"""Which files of a folder say what a project needs, and which tell how to install it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

#: Requirement files of conda, and those of pip beside the ones with "requirements" in their names.
_CONDA = r"(?i)(?:environment.*|.*[_.-]environment|(?:.*[_.-])?env|conda.*|.*[_.-]conda)\.ya?ml"
_PIP = ("req", "reqs", "requirement", "env", "environment", "dependencies", "deps")
#: Words of the name of any requirement file, and those that say for which machine or purpose it is, but not for which script.
_REQUIREMENTS = frozenset({"requirements", "requirement", "reqs", "req"})
_OF_ALL = frozenset({
    "all", "base", "build", "checkpoint", "ci", "colab", "common", "conda", "core", "cpu", "cuda", "dev", "develop", "doc", "docker",
    "docs", "env", "environment", "extra", "extras", "freeze", "frozen", "full", "gpu", "install", "kaggle", "lint", "linux", "local",
    "lock", "mac", "macos", "main", "min", "minimal", "new", "npu", "old", "optional", "pip", "prod", "production", "rocm", "runtime",
    "server", "test", "tests", "tpu", "win", "windows",
})  # fmt: skip
#: How the names of files begin that say how to install the project, and what is in those of scripts that install it.
_INSTRUCTIONS = ("readme", "install", "dockerfile", "containerfile", "setup")
_INSTALLING = ("install", "setup", "env")
#: How the names of all these files end or begin, and folders that hold some. A folder of results may have many thousands of other files.
_ENDINGS = (".toml", ".cfg", ".py", ".lock", ".yml", ".yaml", ".txt", ".in", ".sh")
_BEGINNINGS = (
    ".python-version",
    "readme",
    "install",
    "dockerfile",
    "containerfile",
    "setup",
    "getting",
    "requirements",
)
_FOLDERS = ("requirements", "setup", "docker")


def names_in(folder: str) -> list[str]:
    """The names of the files of a folder that may be requirement files or instructions."""
    return sorted(
        name
        for name in _listed(folder)
        if (lowered := name.lower()).endswith(_ENDINGS) or lowered.startswith(_BEGINNINGS) or name in _FOLDERS
    )


def _listed(folder: str) -> list[str]:
    """The names in a folder; none if it cannot be read."""
    try:
        return os.listdir(folder)
    except OSError:
        return []


def requirement_paths(folder: str, names: list[str]) -> Iterator[str]:
    """The files of packaging tools, conda and pip among the names of a folder, and those in its folders for them."""
    fixed = ("pyproject.toml", "setup.cfg", "setup.py", "uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock")
    for name in names:
        path = os.path.join(folder, name)
        lowered = name.lower()
        conda = lowered.endswith((".yml", ".yaml")) and re.fullmatch(_CONDA, name) is not None
        if name in fixed or conda or _is_of_pip(lowered):
            yield path
        elif name in _FOLDERS and os.path.isdir(path):
            for one in sorted(_listed(path)):
                if _is_of_pip(one.lower()) or (name == "requirements" and one.endswith((".txt", ".in"))):
                    yield os.path.join(path, one)


def _is_of_pip(lowered: str) -> bool:
    """Whether a file lists requirements for pip, by its name in lower case."""
    stem, _, ending = lowered.rpartition(".")
    if ending not in ("txt", "in"):
        return False
    bare = stem[4:] if stem.startswith(("pip_", "pip-")) else stem
    return "requirements" in stem or (ending == "txt" and bare in _PIP)


def part_named(path: str) -> str:
    """The word that the name of a requirement file adds, where it is for a part of the project: `ppo` of `ppo_requirements.txt`."""
    folder, name = os.path.split(path)
    stem, ending = os.path.splitext(name.lower())
    if ending not in (".txt", ".in"):
        return ""
    rest = words_of(stem) - _REQUIREMENTS
    if len(rest) != 1 or (len(words_of(stem)) == 1 and os.path.basename(folder) not in _FOLDERS):
        return ""
    word = rest.pop()
    return "" if word in _OF_ALL else word


def words_of(name: str) -> set[str]:
    """The words of the name of a file, in lower case."""
    return {each for each in re.split(r"[\W_]+", name.lower()) if each}


def gives_instructions(name: str) -> bool:
    """Whether a file says how to install the project, or does so, by its name."""
    lowered = name.lower()
    started = lowered.startswith("getting") and "started" in (lowered[7:14], lowered[8:15])
    if started or lowered.startswith(_INSTRUCTIONS):
        return not lowered.endswith(".py")
    last = re.split(r"\W", lowered[:-3])[-1] if lowered.endswith(".sh") else ""
    return any(word in last for word in _INSTALLING)


def text_of(path: str, word: bytes = b"") -> str:
    """The text of a file; empty if it cannot be read, or does not have the word in any case."""
    try:
        with open(path, "rb", buffering=0) as file:
            data = file.read()
    except OSError:
        return ""
    # PowerShell writes `pip freeze > requirements.txt` in UTF-16.
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    if word and not wide and word not in data.lower():
        return ""
    text = data.decode("utf-16" if wide else "utf-8-sig", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
