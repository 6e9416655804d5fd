"""Usual command lines are read without argparse, with the same result; all others are left to it."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telepathy_lint.commands import options
from telepathy_lint.commands.parser import parser
from telepathy_lint.commands.plain import plainly_given

from ...project.test_architecture import loaded_after

PARSER = parser("check")
USUAL = [
    [],
    ["a.py", "b.py", "c.py"],
    ["--no-cache", "a.py"],
    ["a.py", "-n", "-q"],
    ["--fix", "--no-fix", "--strict"],
    ["--select", "TLP101,TLP102", "--select=TLP103", "--output-format", "json", "a"],
    ["--config", "jobs = 2", "--config", "strict = true", "--isolated"],
    ["--per-file-ignores", "tests/*:TLP101", "-j", "2", "-"],
    ["-j2", "-oreport.json", "-ofolder/a=b", "a.py"],
]
UNCLEAR = [
    ["--help"],
    ["--nonsense"],
    ["--select"],
    ["--select", "--fix"],
    ["--jobs", "many"],
    ["--color", "blue"],
    ["--per-file-ignores", "TLP101"],
    ["--fix=yes"],
    ["-j=2"],
    ["-nq"],
    ["-jmany"],
    ["-o-"],
    ["--no-cach"],
    ["a.py", "--fix", "b.py"],
    ["--", "-a.py"],
]


@pytest.mark.parametrize("arguments", USUAL, ids=" ".join)
def test_usual_options_are_read_as_argparse_reads_them(arguments: list[str]) -> None:
    found = plainly_given(["check", *arguments])
    assert vars(found) == vars(PARSER.parse_args(["check", *arguments]))


@pytest.mark.parametrize("arguments", UNCLEAR, ids=" ".join)
def test_all_others_are_left_to_argparse(arguments: list[str]) -> None:
    assert plainly_given(["check", *arguments]) is None


def test_other_commands_are_left_to_argparse() -> None:
    assert plainly_given([]) is plainly_given(["audit"]) is plainly_given(["--version"]) is None


WORDS = st.sampled_from(
    [
        "a.py", "-", "", "--", "--fix", "--no-fix", "--diff", "-n", "-q", "-qn", "--select", "--select=TLP1", "TLP101", "--jobs", "-j",
        "3", "-3", "-j3", "-j=3", "-oa", "-oa b", "-o-a", "-nj3", "--jobs=2", "--color", "never", "--color=always", "--exclude", "x y", "--baseline", "--no-cache=1", "-h", "--isolated",
    ]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(WORDS, max_size=6))
def test_what_is_read_is_never_read_differently(arguments: list[str]) -> None:
    found = plainly_given(["check", *arguments])
    if found is None:
        return
    with contextlib.redirect_stderr(io.StringIO()):
        assert vars(found) == vars(PARSER.parse_args(["check", *arguments]))


def test_hidden_options_are_hidden_from_argparse() -> None:
    import argparse

    assert options._HIDDEN == argparse.SUPPRESS


def test_a_usual_run_does_not_import_argparse(tmp_path: Path) -> None:
    arguments = ["check", "--no-cache", "-q", str(tmp_path)]
    assert "argparse" not in loaded_after(f"from telepathy_lint.commands.cli import run; run({arguments!r})")
