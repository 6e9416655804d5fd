"""The tested set and the lower bounds are those of pyproject.toml; run `constraints/update` after changing a requirement."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: The extras that are about neither the product's tests nor its use: nothing of them is pinned.
OTHER = {"docs", "flash", "ray", "release"}


def requirements() -> Iterator[tuple[str, str]]:
    """Name and lower bound of each requirement of the product and its tests."""
    extras = PROJECT["optional-dependencies"]
    for text in sum((extras[name] for name in extras if name not in OTHER), PROJECT["dependencies"]):
        if not text.startswith("telepathy-lint["):
            found = re.fullmatch(r"([\w.-]+)>=([\d.]+)(,<[\d.]+)?( *;.*)?", text)
            assert found, f"{text}: a requirement without a floor"
            yield found[1], found[2]


def pins(name: str) -> dict[str, list[tuple[int, ...]]]:
    found: dict[str, list[tuple[int, ...]]] = {}
    for line in (ROOT / "constraints" / name).read_text(encoding="utf-8").splitlines():
        if pinned := re.match(r"([\w.-]+)==(\d+(?:\.\d+)*)", line):
            found.setdefault(pinned[1], []).append(numbers(pinned[2]))
    return found


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


@pytest.mark.parametrize(("name", "floor"), sorted(set(requirements())))
def test_what_is_tested_is_what_is_required(name: str, floor: str) -> None:
    tested, (oldest,) = pins("tests.txt")[name], pins("oldest.txt")[name]
    assert min(tested) >= numbers(floor)
    # The floor itself, or its first release that was not withdrawn: 4.46.1 for 4.46.
    assert oldest >= numbers(floor)
    assert oldest[: min(2, len(numbers(floor)))] == numbers(floor)[:2]


def test_each_python_has_one_version_of_each_package() -> None:
    """pip refuses two lines for one package without markers."""
    lines = (ROOT / "constraints" / "tests.txt").read_text(encoding="utf-8").splitlines()
    for name, versions in pins("tests.txt").items():
        if len(versions) > 1:
            assert all(";" in line for line in lines if line.startswith(f"{name}=="))
