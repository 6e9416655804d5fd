"""The requirements of transformers in a project's files, and what a move makes of them."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from telepathy_lint.commands.options import Usage

#: A requirement as pip, conda and setuptools write it. What follows it, a marker or a comment, is kept.
_REQUIREMENT = (
    r"(?P<name>(?:[\w.-]+::)?transformers)(?P<extras>[ \t]*\[[^\]\n]*\])?[ \t]*"
    r"(?P<bounds>\([^()\n]*\)|[<>=!~^][^;#\n\"'\\]*?)?(?=[ \t,]*(?:$|[;#\"'\\\r]|[ \t]--))"
)
_LINE = rf"(?im)^\ufeff?[ \t]*(?:-[ \t]+)?[\"']?{_REQUIREMENT}"
_WHOLE = rf"(?i)[ \t]*{_REQUIREMENT}[ \t,]*(?:$|;)"
#: In files of poetry: `transformers = "^4.40"`, `transformers = {version = "^4.40", extras = ["torch"]}`.
_POETRY = r"(?im)^[ \t]*transformers[ \t]*=[ \t]*(?:\{[^}\n]*?\bversion[ \t]*=[ \t]*)?[\"'](?P<bounds>[^\"'\n]*)[\"']"
#: A source instead of a release.
_SOURCE = r"(?im)^[ \t]*(?:-[ \t]+)?[\"']?(?:-e[ \t]+)?(?P<text>(?:transformers[ \t]*(?:\[[^\]\n]*\])?[ \t]*@[ \t]*|git\+\S*/transformers(?:\.git)?(?=[@#\s]|$))[^\s,\"']*)"
_STRING = r"\"[^\"\n]*\"|'[^'\n]*'"
_SECTION = r"[ \t]*\[+[ \t]*([^\]\n]+?)[ \t]*\]+[ \t]*(?:[#;].*)?"
_KEY = r"[\"']?([\w.-]+)[\"']?[ \t]*=(?!=)"
#: Where TOML and setup.cfg list requirements: `section.key`, or a section whose keys all do.
_LISTS = (
    r"project\.dependencies|project\.optional-dependencies\..+|dependency-groups\..+|build-system\.requires"
    r"|tool\.(?:[\w-]+\.)*(?:[\w-]*-)?dependencies(?:\.[\w-]+)?|tool\.poetry\.extras\..+"
    r"|options\.(?:install_requires|setup_requires|tests_require)|options\.extras_require\..+"
)
_NAMED_AS_LIST = r"(?i)requir|depend|\bdeps?\b|_deps?\b|install|extras"
_CLAUSE = r"(===|[<>=!~]=|[<>=^~])[ \t]*v?(\d+(?:\.\d+)*)"


class Bounds(NamedTuple):
    """A requirement of transformers in a file, and what it becomes."""

    path: str
    line: int
    old: str
    #: "" where a person has to change it: a source, or a release that is pinned by its hash.
    new: str
    #: The characters of the file that change, and what they become.
    start: int = 0
    end: int = 0
    text: str = ""


def bounds_in(path: str, to: str) -> Iterator[Bounds]:
    """The requirements of transformers that are not what the move leads to, in the files of a folder and those they include."""
    from telepathy_lint.discovery.requirements import requirement_files

    folder = path if os.path.isdir(path) else os.path.dirname(path) or "."
    files = [os.path.normpath(file) for file in requirement_files(folder)]
    for file in files:  # it grows
        text = _read(file)[0]
        if file.endswith((".txt", ".in")):
            for found in re.finditer(
                r"(?m)^[ \t]*(?:-r|-c|--requirement|--constraint)[ \t=]*([^\s#]+)", text
            ):
                other = os.path.normpath(os.path.join(os.path.dirname(file), found[1]))
                if other not in files and os.path.isfile(other):
                    files.append(other)
        if "transformers" in text.lower():
            yield from sorted(_bounds_of(file, text, to), key=lambda each: each.start)


def write_bounds(bounds: Iterable[Bounds]) -> None:
    """Change the files; every other character stays."""
    for path in dict.fromkeys(each.path for each in bounds if each.new):
        text, encoding = _read(path)
        for each in sorted(bounds, key=lambda each: -each.start):
            if each.path == path and each.new:
                text = f"{text[: each.start]}{each.text}{text[each.end :]}"
        try:
            with open(path, "w", encoding=encoding, newline="") as file:
                file.write(text)
        except OSError as error:
            raise Usage(f"{path}: cannot be written: {error.strerror}") from error


def _bounds_of(path: str, text: str, to: str) -> Iterator[Bounds]:
    for match, shift, poetry in _requirements(path, text):
        old = (match["bounds"] or "").strip()
        plain = old.strip("() ")
        name = "transformers" if poetry else f"{match['name']}{match['extras'] or ''}"
        line = text.count("\n", 0, match.start() + shift) + 1
        written = f"{name} {old}" if poetry else f"{name}{old}"
        after = text[match.end() + shift :].split("\n\n")[0]
        if re.match(r"[ \t]*(?:\\\r?\n[ \t]*)?--hash", after):
            yield Bounds(path, line, f"{written}, pinned by its hash", "", match.start() + shift)
            continue
        new = moved(plain, to)
        if new == plain:
            continue
        if match["bounds"] is None:
            start = end = (match.end("extras") if match["extras"] else match.end("name")) + shift
        else:
            start = match.start("bounds") + shift
            end = start + len(match["bounds"].rstrip())
        if old.startswith("("):
            text_now = f"({new})"
        else:
            text_now = new
        yield Bounds(path, line, written, f"{name} {new}" if poetry else f"{name}{new}", start, end, text_now)
    if not path.endswith(".py"):
        for found in re.finditer(_SOURCE, text):
            yield Bounds(path, text.count("\n", 0, found.start("text")) + 1, found["text"], "", found.start())


def _requirements(path: str, text: str) -> Iterator[tuple[re.Match[str], int, bool]]:
    """Each requirement as a match, how far it is from where the file begins, and whether poetry wrote it."""
    if path.endswith(".toml"):
        for found in re.finditer(_POETRY, text):
            section, _ = _place(text, found.start())
            if re.fullmatch(r"tool\.poetry\.(?:.+\.)?(?:dev-)?dependencies", section):
                yield found, 0, True
        for string in re.finditer(_STRING, text):
            found_in = re.match(_WHOLE, string[0][1:-1])
            section, key = _place(text, string.start())
            if (
                found_in is not None
                and re.fullmatch(_LISTS, f"{section}.{key}")
                and not _is_key(text, string)
            ):
                yield found_in, string.start() + 1, False
    elif path.endswith(".py"):
        for start, string_text in _strings(text):
            if (found_in := re.match(_WHOLE, string_text)) is not None:
                yield found_in, start, False
    else:
        for found in re.finditer(_LINE, text):
            if not path.endswith(".cfg") or re.fullmatch(_LISTS, ".".join(_place(text, found.start()))):
                yield found, 0, False


def _place(text: str, at: int) -> tuple[str, str]:
    """The section of a TOML or ini file, and the key in it, that a character belongs to."""
    section = key = ""
    for line in text[: text.find("\n", at) if "\n" in text[at:] else len(text)].split("\n"):
        if (found := re.fullmatch(_SECTION, line.rstrip("\r"))) and not line.strip(" \t[]\r").startswith(
            ('"', "'")
        ):
            section, key = re.sub(r"[\"' ]", "", found[1]), ""
        elif found := re.match(_KEY, line):
            key = found[1]
    return section, key


def _is_key(text: str, string: re.Match[str]) -> bool:
    return re.match(r"[ \t]*=", text[string.end() :]) is not None


def _strings(text: str) -> Iterator[tuple[int, str]]:
    """The strings of a setup.py that stand in a list of requirements, with where their text begins."""
    try:
        tree = ast.parse(text.lstrip("\ufeff"))
    except (SyntaxError, ValueError):
        return
    shift = 1 if text.startswith("\ufeff") else 0
    starts = [shift]
    for line in text[shift:].split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    for holder in ast.walk(tree):
        named: list[tuple[str, ast.expr]] = []
        if isinstance(holder, ast.keyword) and holder.arg:
            named = [(holder.arg, holder.value)]
        elif isinstance(holder, ast.Assign):
            named = [(ast.unparse(target), holder.value) for target in holder.targets]
        for name, value in named:
            if not re.search(_NAMED_AS_LIST, name):
                continue
            for group in ast.walk(value):
                if not isinstance(group, (ast.List, ast.Tuple, ast.Set)):
                    continue
                for each in group.elts:
                    if not isinstance(each, ast.Constant) or not isinstance(each.value, str):
                        continue
                    line = text[starts[each.lineno - 1] :].split("\n")[0]
                    start = starts[each.lineno - 1] + len(line.encode()[: each.col_offset].decode()) + 1
                    if text[start : start + len(each.value)] == each.value:
                        yield start, each.value


def moved(old: str, to: str) -> str:
    """What a requirement's bounds become; the same where they allow nothing below what the move leads to."""
    if not re.fullmatch(r"\d+(?:\.\d+)*", to.strip()):
        return re.sub(r"[ \t]", "", to)
    lowest = _numbers(to)
    clauses = [(operator, _numbers(version), whole) for whole, operator, version in _clauses(old)]
    if any(operator not in ("<", "<=", "!=") and version >= lowest for operator, version, _ in clauses):
        return old
    # What holds the project below a later release stays.
    kept = [
        whole
        for operator, version, whole in clauses
        if (operator in ("<", "!=") and version > lowest) or (operator == "<=" and version >= lowest)
    ]
    return ",".join([f">={to.strip()}", *kept])


def _clauses(bounds: str) -> Iterator[tuple[str, str, str]]:
    for part in bounds.split(","):
        if (found := re.match(_CLAUSE, part.strip())) is not None:
            yield part.strip().replace(" ", ""), found[1], found[2]


def _numbers(version: str) -> tuple[int, ...]:
    parts = [int(part) for part in version.strip().split(".")]
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return tuple(parts)


def _read(path: str) -> tuple[str, str]:
    """A file's text and encoding; "" where it cannot be read."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return "", "utf-8"
    try:
        return data.decode(), "utf-8"
    except UnicodeDecodeError:
        return data.decode("latin-1"), "latin-1"
