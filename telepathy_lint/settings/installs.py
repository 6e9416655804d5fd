"""The releases of transformers that commands of pip ask for, in instructions, build files, notebooks and scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from telepathy_lint.hints import NamedTuple
from telepathy_lint.settings import LAST_OF_4, Settings

#: What stands before the second word of a command, apart or as a list of its parts: `pip install`, `"pip", "install"`.
_PIP = rb"(?:\b|_)pip[\d.]*(?:[\\\"', \t]+|_)\Z"
_INSTALL = b"install"
#: Code that only tells of a command, where it refuses to run.
_TOLD = rb"\braise\b|Error\(|require_version|warn"
#: Code that runs a command, and a comment.
_RUN = rb"\b(?:system|run|call|check_call|check_output|Popen|pip_main|main|sh)\(|^[ \t]*#|[!%]pip|\.(?:uv_)?pip_\Z|[!%] *\S*python"
#: A line of instructions that lists a release: `- transformers==4.28.0`, `transformers 4.28.0`.
_SAID = r"(?:[ \t>*|-]*|.{0,100}\b(?:tested|developed|run|ran|works?|based|requires?|needs?)\b.{0,60})`?(?<![\w./-])"
_LISTED = (
    rf"(?im)^{_SAID}(?:Hugging ?Face )?(transformers(?:\[[\w, -]*\])?)`?[ \t:(=v|]{{1,4}}(?=\d{{1,9}}\.\d)"
)
_LISTED_CLAUSES = rf"(?im)^{_SAID}(?=transformers(?:\[[\w, -]*\])?[ \t]*[=<>~!])"
#: What follows a release in a document that allows newer ones.
_OR_LATER = r"[ \t]*(?:\+|\(?(?:or|and) (?:later|newer|above|higher|greater|up))"
_REQUIREMENT = (
    r"(?i)(?<![\w./-])transformers(?:\[[\w, -]*\])?[ \t]*(?P<clauses>(?:,?[ \t]*(?:===?|~=|>=?|<=?|!=)[ \t]*v?\d[\d.*]*)+)"
    r"|/transformers(?:(?:\.git)?@|/archive/(?:refs/tags/)?)v?(?P<tag>\d{1,9}(?:\.\d{1,9})+)"
    r"|(?:^|[/ \t])transformers-(?P<wheel>\d{1,9}(?:\.\d{1,9})+)-py\d[\w.-]*\.whl"
)
#: The other libraries of which releases removed something, and a requirement of one with an end or a lowest release.
_OTHERS = (b"trl", b"peft", b"accelerate")
_OTHER_REQUIREMENT = r"(?i)(?<![\w./-])(?P<name>trl|peft|accelerate)(?:\[[\w, -]*\])?[ \t]*(?P<clauses>(?:,?[ \t]*(?:===?|~=|>=?|<=?|!=)[ \t]*v?\d[\d.*]*)+)"
#: A release of transformers that git checks out: in its folder, or when the repository is cloned.
_TAG = r"(?:tags/)?v?(\d{1,9}(?:\.\d{1,9})+)(?![\w.-])"
_CHECKED_OUT = (
    rf"\bcd[ \t]+(?:\S*/)?transformers/?[ \t]*(?:&&|;|\r?\n)(?:(?!\bcd[ \t])[^\0]){{0,200}}?\bgit[ \t]+(?:checkout|switch)[ \t]+(?:-\S+[ \t]+){{0,2}}{_TAG}",
    rf"\bgit[ \t]+clone[^\r\n]{{0,100}}?[ \t](?:-b|--branch)[ \t=]{_TAG}[^\r\n]{{0,100}}/transformers(?:\.git)?(?![\w./-])",
    rf"\bgit[ \t]+clone[^\r\n]{{0,100}}?/transformers(?:\.git)?[ \t][^\r\n&;]{{0,100}}?(?:-b|--branch)[ \t=]{_TAG}",
    rf"\bgit[ \t]+-C[ \t]+(?:\S*/)?transformers/?[ \t]+(?:checkout|switch)[ \t]+(?:-\S+[ \t]+){{0,2}}{_TAG}",
)
#: Characters of a command in which the requirement is looked for.
_MOST_OF_A_COMMAND = 600
_MOST_OF_A_CALL = 3_000
#: The end of a line behind which the arguments of a call go on with another string, and lines of comments between.
_NEXT_ARGUMENT = r"([(\[,])(?:[ \t]*(?:#[^\r\n]*)?\r?\n)+[ \t]*(?=[\"'])"


#: A clause of a requirement, with the operators of pip, conda and poetry. A build of conda is none: `=4.40=py39_0`.
CLAUSE = r"(?P<operator>===?|(?<!\d)=|[<>!~^@]=?)[ \t]*v?(?P<version>\d{1,9}(?:\.\d{1,9})*)(?P<any>\.\*)?"
#: The operators of clauses that leave out newer releases, and of those that set a lowest one.
_UPPER = ("<", "<=", "==", "===", "=", "~=", "~", "^", "@")
LOWER = ("==", "===", "=", "~=", "~", "^", ">", ">=")
#: Stands for the last release of a major version.
_LAST = LAST_OF_4[1]


class Clause(NamedTuple):
    """A clause of a requirement that leaves out newer releases."""

    operator: str
    numbers: tuple[int, ...]
    #: Whether any release with these first numbers will do: `==4.*`.
    any_below: bool

    @property
    def leaves_out_5(self) -> bool:
        first, *others = self.numbers
        return first < 5 or (self.operator == "<" and first == 5 and not any(others))

    @property
    def newest(self) -> tuple[int, int]:
        """The newest release that it allows."""
        major, minor = (*self.numbers, 0)[:2]
        if self.operator == "<":
            if any(self.numbers[2:]):
                return major, minor
            return (major, minor - 1) if minor else (major - 1, _LAST)
        whole = (
            self.operator == "^"
            or (self.operator == "~=" and len(self.numbers) < 3)
            or (self.any_below and len(self.numbers) == 1)
        )
        return (major, _LAST) if whole and major else (major, minor)


def upper_clauses(clauses: str) -> list[Clause]:
    """The clauses that leave out newer releases: most requirements have none, and need no regular expression."""
    others = clauses.replace(">=", "")
    if not any(operator in others for operator in "=<~^@"):
        return []
    return [
        Clause(each["operator"], numbers_of(each["version"]), each["any"] is not None)
        for each in re.finditer(CLAUSE, clauses)
        if each["operator"] in _UPPER
    ]


def newest_allowed(clauses: str) -> tuple[int, int] | None:
    """The newest release, as (major, minor), that the clauses of a requirement allow: (5, 3) for `==5.3.0` and `<5.4`.

    None if there is no end. Without a next major version (`^5.3`, `<6`), the minor one is 999.
    """
    return min((each.newest for each in upper_clauses(clauses)), default=None)


class Asked(NamedTuple):
    """What one command asks for."""

    #: The lowest release.
    version: str
    admits_5: bool
    #: Whether newer releases are left out.
    pinned: bool
    #: The newest release, as (major, minor); None if newer ones are not left out.
    newest: tuple[int, int] | None = None

    @property
    def numbers(self) -> tuple[int, ...]:
        return numbers_of(self.version)


def asked_in(data: bytes, run: bool = False) -> list[Asked]:
    """The releases that the commands of a text ask for; a command without a lowest release says nothing.

    With `run`, only commands that Python code runs, and those in comments of their own, count.
    """
    if b"transformers" not in data:
        return []
    return [
        asked
        for rest in _commands(data, run)
        for each in re.finditer(_REQUIREMENT, rest)
        if (asked := _asked(each)) is not None
    ]


def _commands(data: bytes, run: bool) -> Iterator[str]:
    """What follows `pip install` in the commands of a text, each on one line."""
    at = data.find(_INSTALL)
    while at >= 0:
        end = at + len(_INSTALL)
        if re.search(_PIP, data[max(at - 20, 0) : at]) is not None and _counts(data, at, run):
            rest = data[end : end + (_MOST_OF_A_CALL if run else _MOST_OF_A_COMMAND)].decode(
                "utf-8", "replace"
            )
            yield _one_line(re.sub(_NEXT_ARGUMENT, r"\1 ", rest) if run else rest)
        at = data.find(_INSTALL, end)


def _others_asked_in(data: bytes, run: bool) -> dict[str, tuple[int, int]]:
    """The newest releases of other libraries that the commands of a text allow, for those with an end."""
    if not any(name in data for name in _OTHERS) or _INSTALL not in data:
        return {}
    found: dict[str, tuple[int, int]] = {}
    for rest in _commands(data, run):
        for each in re.finditer(_OTHER_REQUIREMENT, rest):
            newest = newest_allowed(each["clauses"])
            if newest is not None:
                found[each["name"].lower()] = max(newest, found.get(each["name"].lower(), newest))
    return found


def checked_out_in(text: str) -> list[Asked]:
    """The releases of transformers that the commands of a text check out from its repository."""
    if "transformers" not in text or "git" not in text:
        return []
    found = [each[1] for pattern in _CHECKED_OUT for each in re.finditer(pattern, text)]
    return [Asked(each, each.startswith("5."), True, newest_allowed(f"=={each}")) for each in found]


def listed_in(text: str) -> list[Asked]:
    """The releases that lines of a document list as what the project needs, or was run with."""
    clauses = (
        re.compile(_REQUIREMENT).match(text, each.end()) for each in re.finditer(_LISTED_CLAUSES, text)
    )
    asked = [one for found in clauses if found is not None and (one := _asked(found)) is not None]
    for each in re.finditer(_LISTED, text):
        version = re.match(r"\d{1,9}(?:\.\d{1,9})+", text[each.end() : each.end() + 40])
        if version is not None:
            later = re.compile(_OR_LATER, re.IGNORECASE).match(text, each.end() + version.end()) is not None
            newest = None if later else newest_allowed(f"=={version[0]}")
            asked.append(Asked(version[0], later or version[0].startswith("5."), not later, newest))
    return asked


def _counts(data: bytes, at: int, run: bool) -> bool:
    start = max(data.rfind(b"\n", 0, at), data.rfind(b"\r", 0, at)) + 1
    before = data[max(start, at - 400) : at]
    if run and re.search(_RUN, before) is None:
        return False
    return re.search(_TOLD, before) is None


def _one_line(rest: str) -> str:
    """A command up to its end, with the lines that a backslash joins to it."""
    joined = re.sub(r"\\\r?\n", " ", rest)
    return re.split(r"[\r\n]|\\n|&&|;", joined, maxsplit=1)[0].replace("\\", "")


def _asked(requirement: re.Match[str]) -> Asked | None:
    tag = requirement["tag"] or requirement["wheel"]
    if tag is not None:
        return Asked(tag, tag.startswith("5."), True, newest_allowed(f"=={tag}"))
    clauses = requirement["clauses"]
    lower = [each["version"] for each in re.finditer(CLAUSE, clauses) if each["operator"] in LOWER]
    if not lower:
        return None
    upper = upper_clauses(clauses)
    newest = min((each.newest for each in upper), default=None)
    return Asked(
        max(lower, key=numbers_of), not any(each.leaves_out_5 for each in upper), bool(upper), newest
    )


def numbers_of(version: str) -> tuple[int, ...]:
    """The numbers of a release: 4, 40 and 1 for "4.40.1"."""
    return tuple(map(int, version.split(".")))


def at_its_release(settings: Settings, data: bytes, notebook: bool) -> Settings:
    """The settings for a file whose own commands install one release: that one is what the file runs on.

    The configuration's own `target-transformers` comes first. Commands that only ask for a lowest release do not count,
    nor do those that a script only writes down in a message.
    """
    if settings.target_is_stated:
        return settings
    others = _others_asked_in(data, run=not notebook)
    if others:
        settings = settings._replace(newest_others=tuple({**dict(settings.newest_others), **others}.items()))
    pins = [each for each in asked_in(data, run=not notebook) if each.pinned and each.numbers >= (2,)]
    if not pins:
        return settings
    lowest = min(pins, key=lambda each: each.numbers)
    below = not any(each.admits_5 for each in pins) and lowest.numbers < (5,)
    target = f">={lowest.version},<5" if below else lowest.version
    ends = [each.newest for each in pins]
    newest = None if None in ends else max(filter(None, ends))
    return settings._replace(target_transformers=target, newest=newest, others_move=False)
