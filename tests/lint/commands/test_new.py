"""`telepathy-lint new`: the rules that it writes work, and what it refuses."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

from telepathy_lint import engine
from telepathy_lint.commands.cli import run
from telepathy_lint.commands.new_shapes import CALLS, PLACES
from telepathy_lint.rule import Rule
from telepathy_lint.rules import all_rules
from telepathy_lint.settings import Settings
from telepathy_lint.source.text import Source


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "telepathy_lint" / "rules").mkdir(parents=True)
    (tmp_path / "fixtures" / "rules").mkdir(parents=True)
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "deeper")
    return tmp_path


def written_rule(checkout: Path) -> Rule:
    (path,) = (checkout / "telepathy_lint" / "rules").iterdir()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (rule,) = (
        each for each in vars(module).values() if isinstance(each, type) and each.__module__ == path.stem
    )
    assert issubclass(rule, Rule)
    return rule()


def found(rule: Rule, text: str) -> list[tuple[int, int]]:
    violations = engine.lint(Source("script.py", text.encode()), (rule,), Settings())
    return [(one.line, one.column) for one in violations]


def test_the_rule_runs_and_its_fixtures_are_right(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["new", "TLP1xx", "hardcoded-revision"]) == 0
    rule = written_rule(checkout)
    taken = {each.meta.code for each in all_rules()}
    assert rule.meta.code not in taken
    assert rule.meta.name == "hardcoded-revision"
    folder = checkout / "fixtures" / "rules" / rule.meta.code
    bad = (folder / "bad_written.py").read_text()
    (line,) = (number for number, text in enumerate(bad.split("\n"), 1) if rule.meta.code in text)
    column = re.search(rf"{rule.meta.code}: (\d+)$", bad, re.MULTILINE)
    assert column is not None
    assert found(rule, bad) == [(line, int(column[1]))]
    assert found(rule, (folder / "bad_written.fixed.py").read_text()) == [(line, int(column[1]))], (
        "it fixes nothing"
    )
    assert found(rule, (folder / "good_absent.py").read_text()) == []
    assert found(rule, rule.example("Bad")) and not found(rule, rule.example("Good"))
    told = capsys.readouterr().out
    assert f"rules/{rule.meta.code.lower()}_hardcoded_revision.py" in told
    assert "eight" in told


def test_a_rule_of_the_400s_waits_for_transformers_5(checkout: Path) -> None:
    assert run(["new", "TLP4xx", "loud-noise"]) == 0
    assert written_rule(checkout).meta.five == ("admits", "needs")


@pytest.mark.parametrize("kind", [*CALLS, *PLACES])
def test_every_kind_has_a_beginning(kind: str, checkout: Path) -> None:
    """The rule finds its bad example where the fixture expects it, and reports nothing in the good ones."""
    assert run(["new", "TLP1xx", "loud-noise", "--kind", kind]) == 0
    rule = written_rule(checkout)
    assert rule.meta.kinds == (kind,)
    folder = checkout / "fixtures" / "rules" / rule.meta.code
    bad = (folder / "bad_written.py").read_text()
    (expected,) = re.findall(rf"# {rule.meta.code}: (\d+)$", bad, re.MULTILINE)
    (line,) = (number for number, text in enumerate(bad.split("\n"), 1) if f"# {rule.meta.code}" in text)
    assert found(rule, bad) == [(line, int(expected))]
    assert found(rule, rule.example("Bad")) == [(line, int(expected))]
    for good in (rule.example("Good"), (folder / "good_absent.py").read_text()):
        ast.parse(good)
        assert found(rule, good) == []


def test_the_nine_hundreds_are_off_by_default(checkout: Path) -> None:
    assert run(["new", "TLP999", "loud-thing", "--argument", "subfolder"]) == 0
    rule = written_rule(checkout)
    assert not rule.meta.default
    assert found(rule, rule.example("Bad"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["TLP101", "another-thing"], "TLP101 is taken: hardcoded-device-map"),
        (["TLP177", "no-thing"], "must read well after 'allow'"),
        (["TLP777", "some-thing"], "is not a rule code"),
        (["TLP1xx", "some-1"], "--argument"),
        (["TLP1xx", "some-thing", "--kind", "path", "--argument", "x"], "which is not a call"),
    ],
)
def test_refusals_write_nothing(
    arguments: list[str], said: str, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["new", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not list((checkout / "telepathy_lint" / "rules").iterdir())
    assert not list((checkout / "fixtures" / "rules").iterdir())


def test_what_is_there_is_not_overwritten(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / "fixtures" / "rules" / "TLP177").mkdir()
    assert run(["new", "TLP177", "some-thing"]) == 2
    assert "already exists" in capsys.readouterr().err
    assert not list((checkout / "telepathy_lint" / "rules").iterdir())


def test_outside_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["new", "TLP1xx", "some-thing"]) == 2
    assert "in a checkout" in capsys.readouterr().err
