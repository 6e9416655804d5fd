"""Finds a repository's web page: reads its remote and commit from `.git`, without running git."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import quote

from telepathy_lint.audit.data import Place

_SECTION = re.compile(r'\s*\[\s*remote\s+"origin"\s*\]')
_URL = re.compile(r"\s*url\s*=\s*(\S+)\s*$")
#: `git@host:owner/name.git`, `ssh://git@host:22/owner/name`, `https://user:token@host/owner/name.git`. The
#: part before `@` may be secret and is never shown.
_REMOTE = re.compile(
    r"(?:(?:https?|ssh|git)://)?(?:[^@/\s]*@)?([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::\d+/|[:/])/?"
    r"((?:[\w.~-]+/)+[\w.~-]+?)(?:\.git)?/?"
)
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
#: By a word in the host's name: the URL of a file at a commit, and of a line in it.
_FORMS = (
    ("github", "blob/{commit}/{path}", "#L{line}"),
    ("gitlab", "-/blob/{commit}/{path}", "#L{line}"),
    ("bitbucket.org", "src/{commit}/{path}", "#lines-{line}"),
    ("codeberg.org", "src/commit/{commit}/{path}", "#L{line}"),
    ("gitea", "src/commit/{commit}/{path}", "#L{line}"),
    ("forgejo", "src/commit/{commit}/{path}", "#L{line}"),
)
_MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Host:
    """A repository on a known host; `prefix` is the path from the repository's root to the audited folder."""

    url: str
    commit: str
    prefix: str = ""

    def address(self, place: Place) -> str:
        """The URL of a line, or of a notebook."""
        file, line = next(
            (file, line)
            for word, file, line in _FORMS
            if word in self.url.partition("://")[2].partition("/")[0]
        )
        path = quote(f"{self.prefix}/{place.path}" if self.prefix else place.path, safe="/")
        anchor = line.format(line=place.line) if place.cell < 0 else ""
        return f"{self.url}/{file.format(commit=self.commit, path=path)}{anchor}"


def host_of(root: str) -> Host | None:
    """The host of the repository that contains a folder; None if there is none or it is unknown."""
    top = os.path.abspath(root)
    while not os.path.exists(os.path.join(top, ".git")):
        above = os.path.dirname(top)
        if above == top:
            return None
        top = above
    folder = _git_folder(os.path.join(top, ".git"))
    common = _lines(os.path.join(folder, "commondir"))
    shared = os.path.normpath(os.path.join(folder, common[0].strip())) if common else folder
    url = _url(_lines(os.path.join(shared, "config")))
    commit = _commit(folder, shared)
    if url is None or commit is None:
        return None
    prefix = os.path.relpath(os.path.abspath(root), top).replace(os.sep, "/")
    return Host(url, commit, "" if prefix == "." else prefix)


def _git_folder(path: str) -> str:
    """The `.git` folder; in a worktree or submodule, `.git` is a file with its path."""
    lines = _lines(path) if os.path.isfile(path) else []
    if lines and lines[0].startswith("gitdir:"):
        return os.path.normpath(os.path.join(os.path.dirname(path), lines[0].partition(":")[2].strip()))
    return path


def _url(config: list[str]) -> str | None:
    inside = False
    for line in config:
        if line.lstrip().startswith("["):
            inside = _SECTION.match(line) is not None
        elif inside and (match := _URL.match(line)) is not None:
            return web_address(match.group(1))
    return None


def web_address(remote: str) -> str | None:
    """The web page of a remote, without user names and tokens; None if the host is unknown."""
    match = _REMOTE.fullmatch(remote)
    if match is None:
        return None
    name, path = match.group(1).lower(), match.group(2)
    if not any(word in name for word, _, _ in _FORMS) or ".." in path.split("/"):
        return None
    return f"https://{name}/{path}"


def _commit(folder: str, shared: str) -> str | None:
    """The commit of HEAD."""
    head = (_lines(os.path.join(folder, "HEAD")) or [""])[0].strip()
    if not head.startswith("ref:"):
        return head if _COMMIT.fullmatch(head) else None
    name = head.partition(":")[2].strip()
    if not name.startswith("refs/") or ".." in name.split("/"):
        return None
    for place in dict.fromkeys((folder, shared)):
        found = (_lines(os.path.join(place, *name.split("/"))) or [""])[0].strip()
        if _COMMIT.fullmatch(found):
            return found
    packed = (line.split() for line in _lines(os.path.join(shared, "packed-refs")))
    return next(
        (
            parts[0]
            for parts in packed
            if len(parts) == 2 and parts[1] == name and _COMMIT.fullmatch(parts[0])
        ),
        None,
    )


def _lines(path: str) -> list[str]:
    try:
        if not os.path.isfile(path) or os.path.getsize(path) > _MAX_BYTES:
            return []
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []
