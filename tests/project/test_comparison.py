"""docs/compared-with-ruff.md: its statements about our options are true, and no option of Ruff or accelerate is missing."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

from telepathy_lint.commands.parser import SUBCOMMANDS, parser
from telepathy_lint.discovery.config import keys

PAGE = (Path(__file__).parents[2] / "docs" / "compared-with-ruff.md").read_text(encoding="utf-8")
OPTION = r"`(--?[a-zA-Z][\w-]*)`"


def rows(section: str) -> list[list[str]]:
    """The cells of a section's tables."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    assert text, section
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings}


def subparser(command: str) -> argparse.ArgumentParser:
    (found,) = (each for each in parser(command)._actions if isinstance(each, argparse._SubParsersAction))
    sub: argparse.ArgumentParser = found.choices[command]
    return sub


def estimate() -> argparse.ArgumentParser:
    subparsers = argparse.ArgumentParser().add_subparsers()
    importlib.import_module("telepathy_runtime.commands.memory").add_parsers(subparsers)
    parser: argparse.ArgumentParser = subparsers.choices["estimate"]
    return parser


def installed(package: str) -> None:
    """Skip if the version that was compared is not installed."""
    (compared,) = re.findall(rf"(?i)\b{package}\s(\d+(?:\.\d+)+)", PAGE.partition("\n## ")[0])
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        version = "none"
    if version != compared:
        pytest.skip(f"the page compares with {package} {compared}; {version} is installed")


@pytest.mark.parametrize(
    ("section", "parser"),
    [("ruff check", lambda: subparser("check")), ("accelerate estimate-memory", estimate)],
)
def test_every_option_that_is_named_as_ours_is_one(section: str, parser: object) -> None:
    assert callable(parser)
    known = options_of(parser())
    named = [option for row in rows(section) for option in re.findall(OPTION, row[1])]
    assert len(named) > 5
    assert set(named) <= known, set(named) - known


def test_every_option_of_ours_is_in_the_comparison() -> None:
    text = PAGE.partition("\n## ruff check\n")[2].partition("\n## ")[0]
    missing = options_of(subparser("check")) - set(re.findall(OPTION, text))
    assert not {option for option in missing if not option.startswith("--no-") and len(option) > 2}


def test_every_option_has_a_counterpart_or_a_reason() -> None:
    for section in ("ruff check", "ruff server", "pre-commit", "accelerate estimate-memory"):
        for row in rows(section):
            assert len(row) == 3 and row[0] and row[1], row
            assert row[1] != "not supported" or row[2], row


def test_the_commands_and_keys_that_are_named_are_there() -> None:
    commands = re.findall(r"`telepathy-lint ([a-z]\w*)", PAGE)
    assert len(set(commands)) > 4 and set(commands) <= SUBCOMMANDS.keys()
    text = " ".join(PAGE.split()).partition("These configuration keys work as in Ruff: ")[2]
    ours, _, others = text.partition(" and the options above")
    assert set(re.findall(r"`([\w-]+)`", ours)) <= set(keys())
    left_out = others.partition("Not supported: ")[2].partition("##")[0]
    assert not set(re.findall(r"`([\w-]+)`", left_out)) & set(keys())


def test_no_option_of_ruff_is_passed_over() -> None:
    installed("ruff")
    ruff = [sys.executable, "-m", "ruff"]
    for command in ("check", "server"):
        ran = subprocess.run([*ruff, command, "--help"], capture_output=True, text=True, check=True)
        theirs = set(re.findall(r"^ +(?:-\w, )?(--[\w-]+)", ran.stdout, re.MULTILINE))
        assert len(theirs) > 8
        named = {option for row in rows(f"ruff {command}") for option in re.findall(OPTION, row[0])}
        if command == "server":  # its global options are told under check
            theirs -= {"--help", "--verbose", "--quiet", "--silent", "--color"}
        assert theirs <= named, theirs - named
    ran = subprocess.run([*ruff, "--help"], capture_output=True, text=True, check=True)
    commands = set(re.findall(r"^  ([a-z]+)  ", ran.stdout, re.MULTILINE)) - {"help"}
    assert len(commands) > 5
    assert commands <= set(re.findall(r"`ruff ([a-z]+)", PAGE))


def test_no_option_of_accelerate_is_passed_over() -> None:
    installed("accelerate")
    module = importlib.import_module("accelerate.commands.estimate")
    named = {option for row in rows("accelerate estimate-memory") for option in re.findall(OPTION, row[0])}
    for action in module.estimate_command_parser()._actions:
        if action.option_strings and "--help" not in action.option_strings:
            assert named & set(action.option_strings), action.option_strings
