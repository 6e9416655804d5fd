"""`.gitignore` files, read without git: what a folder walk leaves out in a repository."""

from __future__ import annotations

import os
import re

#: The line up to its last blanks; one behind a backslash stays.
_WITHOUT_LAST_BLANKS = r"(?:[^\\ ]|\\.| +(?=[^ ]))*\\?"
_NEVER = r"(?!)"
#: The named classes, for the inside of a class.
_CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "blank": r" \t", "cntrl": r"\x00-\x1f\x7f", "digit": "0-9", "graph": "!-~",
    "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~", "space": r" \t-\r", "upper": "A-Z", "xdigit": "0-9A-Fa-f",
}  # fmt: skip


class _Block:
    """Successive patterns of one sign; the common shapes as sets, since compiling 100 patterns costs more than the walk."""

    def __init__(self, negated: bool) -> None:
        self.negated = negated
        self.names: set[str] = set()
        self.folder_names: set[str] = set()
        self.suffixes: list[str] = []
        self.patterns: list[tuple[str, bool]] = []
        self.compiled: list[tuple[re.Pattern[str], bool]] | None = None

    def matches(self, relative: str, name: str, is_folder: bool) -> bool:
        if (
            name in self.names
            or (is_folder and name in self.folder_names)
            or name.endswith(tuple(self.suffixes))
        ):
            return True
        if not self.patterns:
            return False
        if self.compiled is None:
            self.compiled = [(re.compile(pattern), only) for pattern, only in self.patterns]
        return any((is_folder or not only) and pattern.match(relative) for pattern, only in self.compiled)


class IgnoreFile:
    """One file of patterns, a character for each byte; they count from the folder it stands in."""

    def __init__(self, text: str) -> None:
        self.blocks: list[_Block] = []
        for line in text.split("\n"):
            self._add(line.removesuffix("\r"))

    def _add(self, line: str) -> None:
        if line.startswith("#"):
            return
        if line.endswith(" ") and (kept := re.match(_WITHOUT_LAST_BLANKS, line)) is not None:
            line = kept.group()
        negated = line.startswith("!")
        pattern = line[1:] if negated else line
        only_folders = pattern.endswith("/")
        pattern = pattern.removesuffix("/")
        if not pattern:
            return
        if not self.blocks or self.blocks[-1].negated != negated:
            self.blocks.append(_Block(negated))
        block = self.blocks[-1]
        plain = pattern[1:] if pattern.startswith("*") else pattern
        if re.search(r"[*?\[\\/]", plain):
            block.patterns.append((to_regex(pattern), only_folders))
        elif plain != pattern and not only_folders:
            block.suffixes.append(plain)
        elif plain != pattern:
            block.patterns.append((to_regex(pattern), only_folders))
        else:
            (block.folder_names if only_folders else block.names).add(pattern)

    def verdict(self, relative: str, name: str, is_folder: bool) -> bool | None:
        """True for ignored, False for taken back by `!`, None where no pattern speaks of it. The last one counts."""
        for block in reversed(self.blocks):
            if block.matches(relative, name, is_folder):
                return not block.negated
        return None


def to_regex(pattern: str) -> str:
    """A gitignore pattern (without a last slash) as a regular expression for a path with slashes, as git's matcher has it."""
    anchored = "/" in pattern
    pattern = pattern.removeprefix("/")
    literal = re.match(r"[^*?\[\\]*", pattern)
    assert literal is not None
    # Runs of folders between `**/`, each of them pieces between `*`.
    runs, at = [[""]] if anchored else [[""], [""]], 0
    while at < len(pattern):
        character, pieces = pattern[at], runs[-1]
        if character == "*":
            before, at = at, at + len(pattern[at:]) - len(pattern[at:].lstrip("*"))
            # Two at a folder's beginning stand for folders; so they do behind what git compares without its matcher.
            several = at - before > 1 and (pattern[before - 1 : before] == "/" or before == literal.end())
            if several and anchored and at == len(pattern):
                pieces[-1] += r"[\s\S]*"
            elif several and anchored and pattern[at] == "/":
                runs.append([""])
                at += 1
            elif (
                several and anchored and pattern.startswith("\\/", at)
            ):  # a folder or more, where `**/` may be none
                pieces.append("/")
                runs.append([""])
                at += 2
            else:
                pieces.append("")
        elif character == "?":
            pieces[-1] += "[^/]"
            at += 1
        elif character == "[":
            found = _one_of(pattern, at + 1)
            if found is None:
                return _NEVER
            pieces[-1] += f"(?!/){found[0]}"
            at = found[1]
        else:
            at += character == "\\"
            if at == len(pattern):
                return _NEVER  # a backslash with nothing behind it
            pieces[-1] += re.escape(pattern[at])
            at += 1
    return _joined(runs) + r"\Z"


def _joined(runs: list[list[str]]) -> str:
    """One expression that takes the first place for each wildcard and never comes back to it, as none later is better.

    Only the last run and its last piece must end where the path does. Without this, `*a*a*a*a*b` takes forever.
    """
    groups = 0

    def first_place(expression: str) -> str:
        nonlocal groups
        groups += 1
        return f"(?=(?P<w{groups}>{expression}))(?P=w{groups})"

    result = ""
    for index, (start, *others) in enumerate(runs):
        pieces = [*(piece for piece in others[:-1] if piece), *others[-1:]]
        last_run = index == len(runs) - 1
        run = start
        for number, piece in enumerate(pieces):
            last = last_run and number == len(pieces) - 1
            run += f"[^/]*{piece}" if last else first_place(f"[^/]*?{piece}")
        if index:
            run = f"(?:[^/]*/)*?{run}"
        result += run if last_run or not index else first_place(run)
    return result


class Ignores:
    """The ignore files that hold for a walk: those of the repository's folders down to the one walked."""

    def __init__(self) -> None:
        self._roots: dict[str, str | None] = {}
        self._files: dict[str, IgnoreFile | None] = {}
        self._chains: dict[str, list[tuple[str, IgnoreFile]]] = {}

    def ignored(self, folder: str, name: str, is_folder: bool) -> bool:
        """Whether `name` in `folder` (an absolute path) is ignored; the folders above are taken to be not."""
        for above, file in self._chain(folder):
            path = f"{folder[len(above) + 1 :]}/{name}" if folder != above else name
            if path.isascii():
                verdict = file.verdict(path, name, is_folder)
            else:
                verdict = file.verdict(_bytewise(path), _bytewise(name), is_folder)
            if verdict is not None:
                return verdict
        return False

    def ignored_above(self, folder: str) -> bool:
        """Whether a folder or one above it is ignored."""
        root = self._root(folder)
        while root is not None and folder != root:
            parent = os.path.dirname(folder)
            if self.ignored(parent, os.path.basename(folder), True):
                return True
            folder = parent
        return False

    def _root(self, folder: str) -> str | None:
        """The repository's top folder; outside a repository nothing is ignored, as git has it."""
        if folder not in self._roots:
            parent = os.path.dirname(folder)
            if os.path.lexists(os.path.join(folder, ".git")):
                self._roots[folder] = folder
            else:
                self._roots[folder] = self._root(parent) if parent != folder else None
        return self._roots[folder]

    def _chain(self, folder: str) -> list[tuple[str, IgnoreFile]]:
        """Ignore files from the nearest outwards, each with its folder."""
        if folder not in self._chains:
            root = self._root(folder)
            own = self._read(os.path.join(folder, ".gitignore")) if root is not None else None
            chain = [(folder, own)] if own is not None else []
            if root is not None and folder != root:
                chain += self._chain(os.path.dirname(folder))
            elif root is not None:
                exclude = self._read(os.path.join(root, ".git", "info", "exclude"))
                chain += [(root, exclude)] if exclude is not None else []
            self._chains[folder] = chain
        return self._chains[folder]

    def _read(self, path: str) -> IgnoreFile | None:
        if path not in self._files:
            try:
                with open(path, "rb") as file:
                    read = IgnoreFile(file.read().removeprefix(b"\xef\xbb\xbf").decode("latin-1"))
            except OSError:
                read = None
            self._files[path] = read if read is not None and read.blocks else None
        return self._files[path]


def _bytewise(path: str) -> str:
    """A path with a character for each of its bytes, which is what git compares: `?` stands for one of them."""
    return os.fsencode(path).decode("latin-1")


def _one_of(pattern: str, at: int) -> tuple[str, int] | None:
    """The class behind the `[` before `at`, and where it ends; None for one that has no end or knows no such `[:name:]`."""
    negated = pattern[at : at + 1] in ("!", "^")
    at += negated
    parts: list[str] = []
    previous = ""  # what a range may begin with
    first = at
    while at == first or pattern[at : at + 1] != "]":
        character = pattern[at : at + 1]
        is_range = character == "-" and previous != "" and pattern[at + 1 : at + 2] not in ("", "]")
        end = pattern.find("]", at + 2) if pattern.startswith("[:", at) else 0
        if end > at + 2 and pattern[end - 1] == ":":
            known = _CLASSES.get(pattern[at + 2 : end - 1])
            if known is None:
                return None
            parts.append(known)
            at, previous = end + 1, ""
            continue
        at += is_range
        at += pattern[at : at + 1] == "\\"
        character = pattern[at : at + 1]
        if not character or end < 0:
            return None
        if not is_range:
            parts.append(re.escape(character))
        elif previous <= character:
            parts.append(f"{re.escape(previous)}-{re.escape(character)}")
        at, previous = at + 1, "" if is_range else character
    return f"[{'^' * negated}{''.join(parts)}]", at + 1
