"""Decides whether a README says that a script is an old version, or not in use."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from telepathy_lint.flow.whole_project import Project
from telepathy_lint.knowledge.other_projects import READMES

_OLD = rb"legacy|deprecated|superseded|obsolete|outdated"
#: Words that may also say what data a script reads, if another word follows.
_PAST = rb"archived|historical|unused|abandoned"
#: What stands between a name and its description, in a list, a table or a drawing of folders.
_MARKS = rb"(?:[\s`\"')\]|*_:>.,;#+-]|\xe2\x80[\x93\x94\xa2]|\xe2\x86[\x90\x92]|\xc2\xb7)"
#: A description that begins with such a word, or is closed by it.
_BEGINS = rb"(?i)%b{0,80}\(?(?:(?:%b)\b(?![-_/.]\w)|(?:%b)%b{0,8}(?:\Z|[(]))" % (_MARKS, _OLD, _PAST, _MARKS)
_CLOSES = rb"(?i)(?:[(,;]|\xe2\x80[\x93\x94]|\s-)\s*(?:%b|%b)\s*\)?[\s*`|.]*\Z" % (_OLD, _PAST)
_BEFORE = rb"(?i)(?<![\w-])(?:%b)\s+(?:\w+\s+)?[\[`\"*(]*\Z" % _OLD
#: What is said of the only file that a line names.
_SAID = (
    rb"(?i)\b(?:kept|preserved|retained)\b[^.]{0,40}\b(?:for|as)\b[^.]{0,30}\b(?:reference|record|provenance|histor\w+|archiv\w+)\b"
    rb"|\bnot (?:currently )?(?:usable|used any ?more|in use|maintained)\b|\bno longer (?:used|needed|maintained|supported|in use|works?)\b"
    rb"|\bnot (?:used|invoked|called) (?:by|in) (?:any|the (?:final|current|modern|active))\b"
)
#: A part of each of them: most lines have none, and need no pattern.
_WORDS = (
    b"legacy", b"deprecated", b"superseded", b"obsolete", b"outdated", b"archived", b"histor", b"unused", b"abandoned", b"kept", b"preserved",
    b"retained", b"not ", b"no longer",
)  # fmt: skip
_FILE = rb"[\w-]\.(?:py|ipynb)\b"
_WRITTEN = rb"[\w./\\-]*\Z"
_MOST_OF_A_LINE = 400


def is_said_to_be_old(path: str, project: Project) -> bool:
    """Whether a README of a file's folder, or of one around it, says that the file is kept, but not in use."""
    folder, name = os.path.split(path)
    word = name.encode()
    for readme in _readmes(folder, project):
        data = project.content(readme)
        at = data.find(word)
        while at >= 0:
            if _says(data, at, word, path, project) and not data[at - 1 : at].isalnum():
                return True
            at = data.find(word, at + 1)
    return False


def _readmes(folder: str, project: Project) -> Iterator[str]:
    while len(folder) >= len(project.root):
        yield from (each for name in READMES if project.holds(each := os.path.join(folder, name)))
        folder = os.path.dirname(folder)


def _says(data: bytes, at: int, word: bytes, path: str, project: Project) -> bool:
    """Whether the line around a name tells that the file of this path is old."""
    start = max(data.rfind(b"\n", 0, at) + 1, at - _MOST_OF_A_LINE)
    end = data.find(b"\n", at)
    before = data[start:at]
    after = data[at + len(word) : end if end >= 0 else len(data)][:_MOST_OF_A_LINE].rstrip()
    said = (before + after).lower()
    if not any(each in said for each in _WORDS):
        return False
    written = re.search(_WRITTEN, before)
    assert written is not None
    if not _means(written.group().decode("latin-1"), path, project):
        return False
    before = before[: written.start()]
    if re.match(_BEGINS, after) or re.search(_BEFORE, before):
        return True
    if re.search(_FILE, after.replace(word, b"")) or re.search(_FILE, before):
        return False  # it may speak of the other file
    return re.search(_CLOSES, after) is not None or re.search(_SAID, before + b" " + after) is not None


def _means(written: str, path: str, project: Project) -> bool:
    """Whether the folders that are written before a name are those of a path; without one, only one file has the name."""
    folders = [each for each in re.split(r"[/\\]", written) if each not in ("", ".", "..")]
    if folders and not written.endswith(("/", "\\")):
        return False  # the end of a longer name
    own = path.split(os.sep)
    if folders:
        return own[-1 - len(folders) : -1] == folders
    return sum(os.path.basename(each) == own[-1] for each in project.python_paths or ()) == 1
