"""Every rule's documented examples and its fixtures.

`fixtures/rules/<code>/bad_*.py` holds code that the rule reports, `good_*.py` code on which it is silent. In a bad file the
expectation stands beside the line, `# TLP101: 8`, with the 1-based column at which the finding points, once for each
finding; such comments are taken out before anything looks at the file. `bad_x.fixed.py` is the text after fixing only this
rule, unsafe fixes included. `pytest --bless` writes both. A first line `# target-transformers: 5.0` says what the project allows, and `# target-trl: 1.16` its lowest trl. Files are read strictly, by the letter of the rule;
a line `# not strict` asks for the default, which leaves out what the file shows not to matter.
"""

from __future__ import annotations

import ast
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from telepathy_lint import engine
from telepathy_lint.audit.facts import unused
from telepathy_lint.discovery.config import Configs
from telepathy_lint.rule import Rule
from telepathy_lint.rules import all_rules, select
from telepathy_lint.settings import FixStyle, Settings, UnusedModel
from telepathy_lint.source.text import Source

_TARGET = re.compile(r"\A# target-transformers: (\S+)")
_TRL = re.compile(r"^# target-trl: (\S+)", re.MULTILINE)
FIXTURES = Path(__file__).resolve().parents[3] / "fixtures" / "rules"
_EXPECTED = re.compile(r"[ \t]+#[ ]((?:TLP\d{3}: \d+)(?:, TLP\d{3}: \d+)*)(?=\r?$)", re.MULTILINE)

#: Line, column and code of a finding.
Place = tuple[int, int, str]

RULES = {rule.meta.code: rule for rule in all_rules()}
BAD = sorted(path for path in FIXTURES.glob("*/bad_*.py") if not path.name.endswith(".fixed.py"))
GOOD = sorted(FIXTURES.glob("*/good_*.py"))


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def only(code: str) -> tuple[Rule, ...]:
    return select([code])


def source(text: str, path: str = "script.py") -> Source:
    return Source(path, text.encode())


def read(path: Path) -> tuple[Source, list[Place]]:
    """The file without its expectations, and the expectations."""
    text = path.read_text(encoding="utf-8")
    expected = []
    for number, line in enumerate(text.split("\n"), 1):
        for found in _EXPECTED.findall(line):
            for one in found.split(", "):
                code, column = one.split(": ")
                expected.append((number, int(column), code))
    return source(_EXPECTED.sub("", text), path.name), sorted(expected)


def with_expectations(text: str, found: list[Place]) -> str:
    """A fixture's text with these expectations instead of its own."""
    lines = _EXPECTED.sub("", text).split("\n")
    for number, line in enumerate(lines, 1):
        if told := ", ".join(f"{code}: {column}" for at, column, code in found if at == number):
            end = "\r" if line.endswith("\r") else ""
            lines[number - 1] = f"{line.removesuffix(end)}  # {told}{end}"
    return "\n".join(lines)


def settings(where: Source, style: FixStyle = "loader") -> Settings:
    target = _TARGET.search(where.text)
    strict = "# not strict\n" not in where.text
    found = Settings(target[1] if target else None, style, strict=strict, unused_models=unused_in(where.text))
    trl = _TRL.search(where.text)
    return found._replace(target_trl=trl[1]) if trl is not None else found


@cache
def unused_in(text: str) -> tuple[UnusedModel, ...]:
    """The unused models if this code is the whole project."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "script.py")
        path.write_text(text, encoding="utf-8")
        return unused([folder], Configs(isolated=True), 1).get(str(path), ())


def reported(where: Source, rules: tuple[Rule, ...]) -> list[Place]:
    found = engine.lint(where, rules, settings(where))
    assert len(set(found)) == len(found), "the same finding twice"
    return sorted((one.line, one.column, one.code) for one in found)


# ---- documentation


@pytest.mark.parametrize("code", RULES)
def test_the_bad_example_is_reported_and_fixing_it_gives_the_good_one(code: str) -> None:
    rule = RULES[code]
    bad, good = rule.example("Bad"), rule.example("Good")
    assert {code for _, _, code in reported(source(bad), only(code))} == {code}
    assert not reported(source(good), only(code))
    if rule.meta.fix in ("safe", "unsafe"):
        assert engine.fix(source(bad), only(code), settings(source(bad)), unsafe=True).text == good
        left_alone = engine.fix(source(bad), only(code), settings(source(bad)), unsafe=False)
        assert left_alone.changed == (rule.meta.fix == "safe")


@pytest.mark.parametrize("code", RULES)
def test_the_documentation_begins_with_a_summary(code: str) -> None:
    summary = RULES[code].summary()
    assert summary.endswith(".")
    assert len(summary) <= 110
    assert f"\n\n{code}" not in RULES[code].documentation(), "the text does not repeat the code"


# ---- fixtures


@pytest.mark.parametrize("code", RULES)
def test_every_rule_has_fixtures(code: str) -> None:
    expectations = sum(len(read(path)[1]) for path in BAD if path.parent.name == code)
    assert expectations >= 8, "at least eight bad shapes"
    good = [path.read_text(encoding="utf-8") for path in GOOD if path.parent.name == code]
    assert sum(text.count("from_") + text.count("pipeline(") for text in good) >= 8, (
        "at least eight loads (from_... or pipeline) in the good files"
    )


def test_every_fixture_belongs_to_a_rule() -> None:
    assert {path.name for path in FIXTURES.iterdir() if path.is_dir()} == set(RULES)
    for path in FIXTURES.glob("*/*"):
        assert re.fullmatch(r"bad_\w+(\.fixed)?\.py|good_\w+\.py", path.name), path
        if path.name.endswith(".fixed.py"):
            assert path.with_name(path.name.replace(".fixed.py", ".py")) in BAD, f"{path} has no original"


@pytest.mark.parametrize("path", BAD, ids=name)
def test_bad(path: Path, request: pytest.FixtureRequest) -> None:
    where, expected = read(path)
    codes = {path.parent.name, *(code for _, _, code in expected)}
    found = reported(where, select(sorted(codes)))
    if request.config.getoption("--bless"):
        blessed = with_expectations(path.read_bytes().decode(), found)
        path.write_bytes(blessed.encode())
        _, expected = read(path)
    assert found == expected


@pytest.mark.parametrize("path", GOOD, ids=name)
def test_good(path: Path) -> None:
    where, expected = read(path)
    assert not expected, "good files expect nothing"
    assert not reported(where, only(path.parent.name))
    assert not engine.fix(where, only(path.parent.name), settings(where), unsafe=True).changed


@pytest.mark.parametrize(
    "path", [path for path in GOOD if re.match(r"good_default(_|$)", path.stem)], ids=name
)
def test_what_the_default_leaves_out_is_reported_strictly(path: Path) -> None:
    where, _ = read(path)
    assert not settings(where).strict
    strictly = settings(where)._replace(strict=True)
    assert engine.lint(where, only(path.parent.name), strictly)


def test_one_fact_is_one_finding() -> None:
    """TLP203 and TLP105 report the same fact, so both are only reported with `strict`."""
    code = source(
        "from transformers import AutoModelForCausalLM\n"
        "model = AutoModelForCausalLM.from_pretrained('acme/llm')\n"
        "model.generate(1)\n"
    )

    def codes(rules: list[str], strict: bool = False) -> list[str]:
        return [found.code for found in engine.lint(code, select(rules), Settings(strict=strict))]

    assert codes(["TLP105", "TLP203"]) == ["TLP105"]
    assert codes(["TLP203"]) == ["TLP203"]
    assert codes(["TLP105", "TLP203"], strict=True) == ["TLP105", "TLP203"]


def pieces(path: Path) -> list[Any]:
    """Each function in a good file separately, with the imports: one function may hide findings in the others."""
    where, _ = read(path)
    lines = where.text.splitlines(keepends=True)
    imports, functions = "", []
    for stmt in ast.parse(where.text).body:
        text = "".join(lines[stmt.lineno - 1 : stmt.end_lineno])
        if isinstance(stmt, (ast.Import, ast.ImportFrom)):
            imports += text
        elif isinstance(stmt, ast.FunctionDef):
            functions.append((stmt.name, text))
    return [
        pytest.param(path, imports + text, id=f"{path.parent.name}/{function}")
        for function, text in functions
    ]


@pytest.mark.parametrize(
    ("path", "code"),
    [each for path in GOOD if re.match(r"TLP(106|20[2-6])", path.parent.name) for each in pieces(path)],
)
def test_each_function_of_a_good_file_is_good(path: Path, code: str) -> None:
    assert not reported(source(code), only(path.parent.name))


@pytest.mark.parametrize("path", BAD, ids=name)
def test_fixed(path: Path, request: pytest.FixtureRequest) -> None:
    where, _ = read(path)
    text = engine.fix(where, only(path.parent.name), settings(where), unsafe=True).text
    wanted = path.with_name(path.name.replace(".py", ".fixed.py"))
    if request.config.getoption("--bless"):
        wanted.write_bytes(text.encode())
    assert text == wanted.read_bytes().decode()


@pytest.mark.parametrize("style", ["loader", "inline"])
@pytest.mark.parametrize("path", [*BAD, *GOOD], ids=name)
def test_fixes_parse_and_settle(path: Path, style: FixStyle) -> None:
    """With all rules, not only the fixture's."""
    where, _ = read(path)
    given = settings(where, style)
    for rules in (only(path.parent.name), all_rules()):
        fixed = engine.fix(where, rules, given, unsafe=True)
        if not fixed.applied:
            assert fixed.text == where.text
            continue
        ast.parse(fixed.text)
        again = engine.fix(where.with_text(fixed.text), rules, given, unsafe=True)
        assert again.text == fixed.text
        assert not again.applied


@pytest.mark.parametrize("path", BAD, ids=name)
def test_safe_fixes_are_a_part_of_all_fixes(path: Path) -> None:
    where, _ = read(path)
    rules = only(path.parent.name)
    safe = engine.fix(where, rules, settings(where), unsafe=False)
    everything = engine.fix(where, rules, settings(where), unsafe=True)
    after = engine.fix(where.with_text(safe.text), rules, settings(where), unsafe=True)
    assert {one.fix.safety for one in safe.applied if one.fix} <= {"safe"}
    assert len(safe.applied) + len(after.applied) == len(everything.applied)


@pytest.mark.parametrize("path", BAD, ids=name)
def test_noqa_stops_the_report_and_the_fix(path: Path) -> None:
    """On the line that the finding points to, as in flake8."""
    where, expected = read(path)
    lines = where.text.split("\n")
    for number, _, code in expected:
        if "# noqa: " in lines[number - 1]:
            lines[number - 1] += f",{code}"
        elif not lines[number - 1].endswith("\\"):
            lines[number - 1] += f"  # noqa: {code}"
    silenced = where.with_text("\n".join(lines))
    spared = {line for line, _, _ in expected if lines[line - 1].endswith("\\")}
    assert {line for line, _, _ in reported(silenced, only(path.parent.name))} == spared
    if not spared:
        assert not engine.fix(silenced, only(path.parent.name), settings(where), unsafe=True).changed
