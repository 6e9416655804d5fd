"""Reads a project's requirement files and installation instructions: the lowest transformers version, and FlashAttention."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

from telepathy_lint.discovery import library_bounds
from telepathy_lint.discovery.config import Config
from telepathy_lint.discovery.python_bounds import is_version_file, newest_python
from telepathy_lint.discovery.requirement_paths import (
    gives_instructions,
    names_in,
    part_named,
    requirement_paths,
    text_of,
    words_of,
)
from telepathy_lint.hints import NamedTuple
from telepathy_lint.settings import UNKNOWN_RELEASE, Settings
from telepathy_lint.settings.installs import (
    CLAUSE,
    LOWER,
    Clause,
    asked_in,
    checked_out_in,
    listed_in,
    newest_allowed,
    numbers_of,
    upper_clauses,
)
from telepathy_lint.source.occurs import lower_case

_REQUIREMENT = r"(?i)transformers[ \t]*(?:\[[^\]]*\])?(?P<rest>[^;#\n\"']*)"
_TAG = r"transformers(?:\.git)?@v?(?P<version>\d{1,9}(?:\.\d{1,9})+)"
#: A tag of a repository of transformers, or of a fork, without the name before it.
_FORK = r"(?im)^[ \t]*(?:-e[ \t]+|--editable[= \t])?git\+[^\s#]*/transformers(?:\.git)?@v?(?P<version>\d{1,9}(?:\.\d{1,9})+)"
_LOCKED = r'name = "transformers"\r?\nversion = "(?P<version>\d{1,9}(?:\.\d{1,9})*)'
_LOCKED_BY_PIPENV = r'"transformers": \{[^{}]*"version": "==(?P<version>\d{1,9}(?:\.\d{1,9})*)'
#: FlashAttention, or the package that provides its kernels; and a command that installs it, in lower case.
_FLASH_ATTENTION = r"(?im)^[^#\n]*flash[-_ ]?att|^[ \t]*(?:-[ \t]+)?[\"']?kernels\b"
_INSTALLED = r"install[^\r\n]{0,300}flash[-_ ]?att"
_LINE = r"(?im)^[ \t]*(?:-[ \t]+)?[\"']?(?:[\w.-]+::)?(?=transformers\b(?![-_.\w]))"
_QUOTED = r"(?i)[\"'](?=transformers\b(?![-_.\w]))"


class Target(NamedTuple):
    """A version and the file that it comes from."""

    version: str
    path: str
    #: Whether the project may run on transformers 5 as well.
    admits_5: bool = True
    #: The first release that the project leaves out, where it is one of transformers 5.
    end: str | None = None
    #: The newest release that the project allows, as (major, minor); None if there is no end.
    newest: tuple[int, int] | None = None
    #: Whether a lock file beside the requirements says so.
    locked: bool = False

    @property
    def specifier(self) -> str:
        """The versions, as `target-transformers` gives them."""
        if self.end is not None:
            return f">={self.version},<{self.end}"
        return self.version if self.admits_5 or self.numbers >= (5,) else f">={self.version},<5"

    @property
    def numbers(self) -> tuple[int, ...]:
        return numbers_of(self.version)


#: The first release with this name. A lower bound below it (`transformers>=0.48`) is a mistake and is ignored.
_FIRST = (2,)


class Declared(NamedTuple):
    """The contents of a folder's requirement files."""

    target: Target | None
    #: Whether FlashAttention is mentioned, in files that list transformers or in installation instructions;
    #: None if no file lists transformers.
    flash_attention: bool | None
    #: What the installation instructions ask for, where the files list no release.
    told: Target | None = None
    #: The newest releases of other libraries, of the files and, where they state none, the instructions.
    bounds: library_bounds.Bounds = {}
    #: Whether the files take transformers from a commit, and none of them from the index. What they say of its releases is then no target.
    commit: bool = False
    #: The requirement files for some scripts, by the word in their names (`ppo_requirements.txt`).
    parts: Mapping[str, str] = {}

    @property
    def settled(self) -> Target | None:
        """The target, without transformers 5 where other libraries leave it out."""
        target = self.target or (None if self.commit else self.told)
        last = library_bounds.newest_transformers(self.bounds)
        if target is None or last is None or target.numbers[:2] > last:
            return target
        newest = min(target.newest or last, last)
        if last >= (5,) or not target.admits_5:
            return target._replace(newest=newest)
        return target._replace(admits_5=False, end=None, newest=newest)

    def within(self, settings: Settings) -> Settings:
        """Settings for the project's own releases."""
        target = self.settled
        before_5 = library_bounds.leave_out_5(self.bounds)
        last = library_bounds.newest_transformers(self.bounds)
        unstated = UNKNOWN_RELEASE if self.commit and not before_5 else last
        newest = target.newest if target is not None else unstated
        own = self.target or self.told
        others = before_5 and own is not None and own.admits_5 and library_bounds.allow_new(self.bounds)
        bounds = library_bounds.with_trl(self.bounds, newest).items()
        ends = tuple((name, end) for name, end in bounds if end is not None)
        locked = target is not None and target.locked
        return settings._replace(newest=newest, locked=locked, newest_others=ends, others_move=others)


class Targets:
    """The requirements for each folder, from its nearest parent in the repository whose files list transformers."""

    def __init__(self) -> None:
        self._found: dict[str, Declared] = {}
        self._inside: dict[str, bool] = {}

    def settings(self, config: Config, folder: str, part: str = "") -> Settings:
        """A configuration's settings, combined with the project's requirements for the folder, or for a part (see `part`)."""
        found = self._declared(folder, part)
        target = found.settled
        settings = config.settings(target.specifier if target is not None else None)
        settings = settings if settings.target_is_stated else found.within(settings)
        return settings._replace(flash_attention=found.flash_attention)

    def part(self, folder: str, script: str) -> str:
        """The word in the name of the only requirement file that is for a script of the folder by its name; empty if none is."""
        parts = self._of(folder).parts
        if not parts:
            return ""
        named = words_of(os.path.splitext(os.path.basename(script))[0])
        return found.pop() if len(found := named & parts.keys()) == 1 else ""

    def of(self, folder: str, script: str = "") -> Target | None:
        """The target version of a folder, or of a script in it."""
        return self._declared(folder, self.part(folder, script)).settled

    def _declared(self, folder: str, part: str) -> Declared:
        found = self._of(folder)
        return _over(found, _declared(folder, [found.parts[part]], [])) if part else found

    def _of(self, folder: str) -> Declared:
        if folder not in self._found:
            self._found[folder] = self._look(folder)
        return self._found[folder]

    def _look(self, folder: str) -> Declared:
        found = declared_in(folder)
        parent = os.path.dirname(folder)
        if (
            (found.target is not None and found.flash_attention is not None)
            or parent == folder
            or os.path.lexists(os.path.join(folder, ".git"))
        ):
            return found
        above = self._of(parent)
        flash = found.flash_attention if found.flash_attention is not None else above.flash_attention
        inside = self._is_in_a_repository(parent)
        told = found.told or (above.told if inside else None)
        bounds = {**above.bounds, **found.bounds} if inside else found.bounds
        parts = {**above.parts, **found.parts} if inside else found.parts
        if found.commit or (above.commit and found.target is None and found.told is None):
            return Declared(None, flash, None, bounds, commit=True, parts=parts)
        target = found.target
        if target is None:
            target = found.told if _is_frozen(found.told, above.target) else above.target
        return Declared(target, flash, told, bounds, parts=parts)

    def _is_in_a_repository(self, folder: str) -> bool:
        """Whether a folder belongs to a repository; instructions above a folder outside of one are about other things."""
        if folder not in self._inside:
            parent = os.path.dirname(folder)
            self._inside[folder] = os.path.lexists(os.path.join(folder, ".git")) or (
                parent != folder and self._is_in_a_repository(parent)
            )
        return self._inside[folder]


def _is_frozen(told: Target | None, above: Target | None) -> bool:
    """Whether the instructions of a folder ask for an older release than transformers 5, which the files above it allow."""
    if told is None or above is None:
        return False
    return above.admits_5 and not told.admits_5 and told.numbers < (5,)


def requirement_files(folder: str) -> list[str]:
    """The files of a folder in which somebody writes down what the project needs; lock files are written by tools."""
    return [path for path in requirement_paths(folder, names_in(folder)) if not path.endswith(".lock")]


def target_of(folder: str) -> Target | None:
    """The lowest bound in the folder's requirement files, else the version in its lock file."""
    return declared_in(folder).target


def _over(general: Declared, part: Declared) -> Declared:
    """What the requirement file of a part says, and what those of the project say of other libraries."""
    if not (part.target or part.commit):
        part = part._replace(target=general.target, told=general.told, commit=general.commit)
    flash = general.flash_attention if part.flash_attention is None else part.flash_attention
    return part._replace(flash_attention=flash, bounds={**general.bounds, **part.bounds})


def declared_in(folder: str) -> Declared:
    """Read the requirement files of one folder."""
    names = names_in(folder)
    paths = list(requirement_paths(folder, names))
    parts = {word: each for each in paths if (word := part_named(each))}
    return _declared(folder, paths, names)._replace(parts=parts)


def _declared(folder: str, paths: list[str], names: list[str]) -> Declared:
    """Read requirement files, and the instructions among the names of their folder."""
    declared: list[Target] = []
    locked: list[Target] = []
    files: list[tuple[str, str]] = []
    locks: list[str] = []
    lists, flash, commit, index = False, False, False, False
    for path in paths:
        text = text_of(path)
        lowered = lower_case(text)
        if path.endswith(".lock"):
            locks.append(text)
        else:
            files.append((path, text))
        flash = flash or _names_flash_attention(text, lowered)
        if "transformers" not in lowered:
            continue
        if path.endswith(".lock"):
            pattern = _LOCKED_BY_PIPENV if path.endswith("Pipfile.lock") else _LOCKED
            versions = [found["version"] for found in re.finditer(pattern, text)]
            locked += [Target(each, path, False, newest=newest_allowed(f"=={each}")) for each in versions]
        else:
            named = re.search(_LINE, text) is not None or re.search(_QUOTED, text) is not None
            lists = lists or named
            if library_bounds.takes_a_commit(text):
                commit = True
                continue
            index = index or named
            declared += [Target(each[0], path, *each[1:]) for each in _versions(path, text)]
    chosen = [each for each in declared or locked if each.numbers >= _FIRST]
    target = _lowest(chosen)
    if target is not None and declared and locked:
        target = _within(target, locked)
    told = _told(folder, names) if target is None else None
    told_of = [text_of(os.path.join(folder, each)) for each in names if gives_instructions(each)]
    bounds = {
        **library_bounds.said(told_of),
        **library_bounds.listed(text for _, text in files),
        **library_bounds.locked(locks),
    }
    files += [(each, text_of(os.path.join(folder, each))) for each in names if is_version_file(each)]
    python = newest_python(files, told_of)
    if python is not None:
        bounds["python"] = python
    commit = commit and target is None and not index
    if not lists:
        return Declared(target, None, told, bounds, commit)
    flash = flash or any(re.search(_INSTALLED, lower_case(each)) for each in _explained(folder, names))
    return Declared(target, flash, told, bounds, commit)


def _within(target: Target, locked: list[Target]) -> Target:
    """A target of requirement files whose tool installs the locked release, be it older than the newest that they allow."""
    newest = max(each.newest for each in locked if each.newest is not None)
    if target.newest is not None and target.newest < newest:
        return target
    return target._replace(admits_5=target.admits_5 and newest >= (5,), newest=newest, locked=True)


def _lowest(chosen: list[Target]) -> Target | None:
    if not chosen:
        return None
    target = min(chosen, key=lambda target: (target.numbers, target.path))
    # Of files that contradict each other, each is for a part of the project.
    admits = all(each.admits_5 for each in chosen) or any(each.numbers >= (5,) for each in chosen)
    ends = [each.end for each in chosen if each.admits_5]
    end = max((each for each in ends if each is not None), key=numbers_of, default=None)
    newest = [each.newest for each in chosen]
    return target._replace(
        admits_5=admits,
        end=end if None not in ends else None,
        newest=None if None in newest else max(filter(None, newest)),
    )


def _told(folder: str, names: list[str]) -> Target | None:
    """The lowest release that commands of the installation instructions ask for."""
    found = []
    for name in names:
        if not gives_instructions(name):
            continue
        path = os.path.join(folder, name)
        text = text_of(path)
        if "ransformers" not in text:
            continue
        asked = asked_in(text.encode()) + checked_out_in(text)
        asked = asked or (listed_in(text) if name.lower().startswith("readme") else [])
        found += [Target(each.version, path, each.admits_5, newest=each.newest) for each in asked]
    return _lowest([each for each in found if each.numbers >= _FIRST])


def _names_flash_attention(text: str, lowered: str) -> bool:
    return ("flash" in lowered or "kernels" in lowered) and re.search(_FLASH_ATTENTION, text) is not None


def _explained(folder: str, names: list[str]) -> Iterator[str]:
    """The installation instructions that say "flash": FlashAttention is often installed separately, after torch."""
    for name in names:
        if name.lower().startswith(("readme", "install", "dockerfile")) or name.endswith(".sh"):
            yield text_of(os.path.join(folder, name), b"flash")


def _versions(path: str, text: str) -> Iterator[tuple[str, bool, str | None, tuple[int, int] | None]]:
    """The lowest versions that a file names, each with whether it allows transformers 5, where that ends, and the newest release."""
    if path.endswith("pyproject.toml"):
        from telepathy_lint.discovery.pyproject_requirements import listed_in_pyproject

        specifications = listed_in_pyproject(path, text)
    else:
        start = _QUOTED if path.endswith("setup.py") else _LINE
        specifications = (
            found.group()
            for begin in re.finditer(start, text)
            if (found := re.compile(_REQUIREMENT).match(text, begin.end()))
        )
    for specification in specifications:
        version = lower_bound(specification)
        if version is not None:
            upper = upper_clauses(specification)
            below_5 = any(each.leaves_out_5 for each in upper)
            yield version, not below_5, _end(upper), min((each.newest for each in upper), default=None)
    for fork in re.finditer(_FORK, text) if "git+" in lower_case(text) else ():
        yield fork["version"], fork["version"][:2] == "5.", None, newest_allowed(f"=={fork['version']}")


def _end(upper: list[Clause]) -> str | None:
    """The first release of transformers 5 that a requirement leaves out: 5.3 for `<5.3` and `<=5.2`.

    An exact version is where the project is today, and not a decision against the next release.
    """
    found = next((each for each in upper if each.operator in ("<", "<=") and each.numbers[0] == 5), None)
    if found is None:
        return None
    major, minor = (*found.numbers, 0)[:2]
    end = (major, minor + (found.operator != "<"))
    return f"{end[0]}.{end[1]}" if (5, 0) < end < (6, 0) else None


def lower_bound(requirement: str) -> str | None:
    """The lowest version that a requirement such as `transformers[torch]>=4.40,<5` allows; None if it sets no lower bound."""
    tagged = re.search(_TAG, requirement) if "@" in requirement else None
    if tagged:
        return tagged["version"]
    found = re.match(_REQUIREMENT, requirement.strip())
    if found is None:
        return None
    bounds = [
        match["version"]
        for part in found["rest"].split(",")
        if (match := re.match(CLAUSE, part.strip().lstrip("(").strip())) and match["operator"] in LOWER
    ]
    return max(bounds, key=numbers_of, default=None)
