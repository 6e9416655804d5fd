"""Compares a version with a PEP 440 specifier such as `>=0.4,<0.6`.

The linter depends only on LibCST, so it cannot use `packaging`.
"""

from __future__ import annotations

import re

_VERSION = (
    r"(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<pre>a|b|c|rc|alpha|beta|pre|preview)[-_.]?(?P<pre_number>\d*))?"
    r"(?:-(?P<post_implied>\d+)|[-_.]?(?P<post>post|rev|r)[-_.]?(?P<post_number>\d*))?"
    r"(?:[-_.]?(?P<dev>dev)[-_.]?(?P<dev_number>\d*))?"
)
_LOCAL = r"(?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?"
_CLAUSE = r"(?P<operator>===|~=|==|!=|<=|>=|<|>)?\s*(?P<version>\S+)"
_PRE = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}
_LAST = 10**9
#: Maximum number of digits in a number of a version; longer ones are invalid.
_LONGEST = 9

Key = tuple[int, tuple[int, ...], tuple[str, int], int, int, tuple[tuple[int, str], ...]]


class SpecifierError(ValueError):
    """The text is not a valid version specifier."""


def matches(specifier: str, version: str) -> bool:
    """Whether a specifier allows a version; a bare version allows exactly that one.

    Pre-releases are treated as other versions, because the version is already installed.

    Raises:
        SpecifierError: the specifier or the version does not conform to PEP 440.
    """
    clauses = [clause.strip() for clause in specifier.split(",")]
    # Evaluate all clauses, so that an invalid one is reported for every version.
    answers = [_clause(clause, version.strip().lower()) for clause in clauses if clause or len(clauses) == 1]
    return all(answers)


def _clause(clause: str, version: str) -> bool:
    found = re.fullmatch(_CLAUSE, clause)
    if found is None:
        raise SpecifierError(f"{clause!r} is not a version specifier such as '>=0.4'")
    operator, wanted = found["operator"] or "==", found["version"].lower()
    if operator == "===":
        return wanted == version
    if wanted.endswith(".*"):
        if operator not in ("==", "!="):
            raise SpecifierError(f"{clause!r}: '.*' is only allowed with == and !=")
        return _begins(version, wanted[:-2], clause) == (operator == "==")
    mine, theirs = _key(version), _key(wanted)
    if "+" in wanted and operator not in ("==", "!="):
        raise SpecifierError(f"{clause!r}: a local version is only allowed with == and !=")
    public = mine if "+" in wanted else _key(version.partition("+")[0])
    if operator == "~=":
        release = _release(wanted)
        if len(release) < 2:
            raise SpecifierError(f"{clause!r}: ~= needs at least two numbers, such as '~=0.4'")
        epoch = f"{theirs[0]}!" if theirs[0] else ""
        return public >= theirs and _begins(version, epoch + ".".join(map(str, release[:-1])), clause)
    if operator == "<":
        # `<0.5` does not allow 0.5rc1.
        before = _is_release(theirs) and mine[:2] == theirs[:2]
        return mine < theirs and not before
    if operator == ">":
        # `>0.5` does not allow 0.5.post1.
        after = _is_release(theirs) and mine[:2] == theirs[:2]
        return public > theirs and not after
    return {
        "==": public == theirs,
        "!=": public != theirs,
        "<=": public <= theirs,
        ">=": public >= theirs,
    }[operator]


def _begins(version: str, prefix: str, clause: str) -> bool:
    """Whether a version's release begins with the numbers of a prefix."""
    wanted, given = _match(prefix), _match(version)
    if wanted.group() != (wanted["epoch"] or "") + ("!" if wanted["epoch"] else "") + wanted["release"]:
        raise SpecifierError(f"{clause!r}: '.*' is only allowed after numbers")
    numbers, release = _release(prefix), _release(version)
    padded = (*release, *([0] * len(numbers)))
    return int(wanted["epoch"] or 0) == int(given["epoch"] or 0) and padded[: len(numbers)] == numbers


def _match(version: str) -> re.Match[str]:
    found = re.fullmatch(f"v?{_VERSION}{_LOCAL}", version)
    if found is None or any(len(digits) > _LONGEST for digits in re.findall(r"\d+", version)):
        raise SpecifierError(f"{version!r} is not a version")
    return found


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in _match(version)["release"].split("."))


def _is_release(key: Key) -> bool:
    """Whether a version is a release, not a pre-release, development or post-release version."""
    return key[2:5] == (("z", 0), -1, _LAST)


def _key(version: str) -> Key:
    """The sort key of versions: development versions, pre-releases, the release, post-releases."""
    found = _match(version)
    release = _release(version)
    while len(release) > 1 and release[-1] == 0:
        release = release[:-1]
    pre = ("z", 0)
    if found["pre"]:
        pre = (_PRE.get(found["pre"], found["pre"]), int(found["pre_number"] or 0))
    elif found["dev"] and not (found["post"] or found["post_implied"]):
        pre = ("", 0)
    post = -1
    if found["post"] or found["post_implied"]:
        post = int(found["post_implied"] or found["post_number"] or 0)
    dev = int(found["dev_number"] or 0) if found["dev"] else _LAST
    local = tuple(
        (int(part), "") if part.isdigit() else (-1, part)
        for part in re.split(r"[-_.]", found["local"] or "")
        if part
    )
    return int(found["epoch"] or 0), release, pre, post, dev, local
