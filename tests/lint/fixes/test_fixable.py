"""`fixable` and related keys behave as in Ruff, in each front-end that fixes."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import telepathy_lint
from telepathy_lint.commands import cli
from telepathy_lint.rules import all_rules
from telepathy_lint.settings import Settings
from telepathy_lint.settings.selectors import Fixing, Layer, chosen, specificity

#: TLP101 and TLP104 can be fixed safely, TLP102 unsafely.
CODE = (
    "from transformers import AutoModel\n\n"
    'model = AutoModel.from_pretrained("acme/encoder-of-x", device_map="auto", revision="main")\n'
)
CODES = ("TLP101", "TLP102", "TLP104")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").write_text(CODE)
    return tmp_path


def fixes(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, str | None]:
    """The safety of each finding's fix."""
    capsys.readouterr()
    assert cli.run(["check", "--no-cache", "--output-format", "json", *arguments, "a.py"]) == 1
    found = json.loads(capsys.readouterr().out)
    return {one["code"]: one["fix"] and one["fix"]["safety"] for one in found}


def test_what_cannot_be_fixed_is_reported_without_a_fix(capsys: pytest.CaptureFixture[str]) -> None:
    def fixed(*arguments: str) -> list[str]:
        found = fixes(capsys, *arguments)
        assert sorted(found) == list(CODES)
        return sorted(code for code, safety in found.items() if safety is not None)

    assert fixed() == list(CODES)
    assert fixed("--unfixable", "TLP102") == ["TLP101", "TLP104"]
    assert fixed("--fixable", "TLP104") == ["TLP104"]
    assert fixed("--fixable", "missing-dtype") == ["TLP102"]
    assert fixed("--unfixable", "ALL") == []


#: Configuration, options, and the codes that are fixed: each row is what Ruff 0.17 does with F401, F541 and I001.
PRECEDENCE = [
    ("unfixable = ['TLP101']", ["--fixable", "TLP101"], {"TLP101"}),
    ("unfixable = ['TLP101']", ["--fixable", "TLP1"], {"TLP101", "TLP102", "TLP104"}),
    ("fixable = ['TLP101']", ["--unfixable", "TLP101"], set()),
    ("unfixable = ['TLP101']", ["--extend-fixable", "TLP101"], {"TLP101", "TLP102", "TLP104"}),
    ("unfixable = ['TLP101']", ["--extend-fixable", "TLP102"], {"TLP102", "TLP104"}),
    ("fixable = ['TLP2']", ["--extend-fixable", "TLP101"], {"TLP101"}),
    ("fixable = ['TLP101']\nunfixable = ['TLP1']", [], {"TLP101"}),
    ("fixable = ['TLP1']\nunfixable = ['TLP101']", [], {"TLP102", "TLP104"}),
    ("extend-fixable = ['TLP101']\nunfixable = ['TLP101']", [], {"TLP102", "TLP104"}),
    ("extend-fixable = ['TLP101']\nunfixable = ['TLP1']", [], {"TLP101"}),
    ("fixable = ['TLP1']\nunfixable = ['TLP101']", ["--unfixable", "TLP102"], {"TLP104"}),
    ("unfixable = ['TLP101']", ["--unfixable", "TLP102"], {"TLP104"}),
    ("unfixable = ['TLP101']\nfixable = ['ALL']", ["--fixable", "ALL"], {"TLP101", "TLP102", "TLP104"}),
    ("fixable = []", [], set()),
]


@pytest.mark.parametrize(("configured", "options", "fixed"), PRECEDENCE)
def test_precedence_is_that_of_ruff(
    capsys: pytest.CaptureFixture[str], here: Path, configured: str, options: list[str], fixed: set[str]
) -> None:
    (here / "telepathy-lint.toml").write_text(configured)
    assert {code for code, safety in fixes(capsys, *options).items() if safety is not None} == fixed


@pytest.mark.skipif(importlib.util.find_spec("ruff") is None, reason="ruff is not installed")
@pytest.mark.parametrize(("configured", "options", "fixed"), PRECEDENCE)
def test_ruff_itself_does_that(here: Path, configured: str, options: list[str], fixed: set[str]) -> None:
    # F401 for TLP101, F541 for TLP102, F632 for TLP104.
    code = 'import os\n\nprint(f"a")\nprint(x is "b")\n'
    (here / "b.py").write_text(code)
    names = {"TLP101": "F401", "TLP102": "F541", "TLP104": "F632", "TLP1": "F", "TLP2": "W"}

    def translated(text: str) -> str:
        for ours, theirs in names.items():
            text = text.replace(ours, theirs)
        return text

    settings = "".join(f"lint.{line}\n" for line in translated(configured).split("\n"))
    (here / "ruff.toml").write_text(f"lint.select = ['F401', 'F541', 'F632']\n{settings}")
    ruff = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "json"]
    command = [*ruff, *map(translated, options), "b.py"]
    ran = subprocess.run(command, capture_output=True, text=True)
    found = json.loads(ran.stdout)
    assert {one["code"] for one in found} == {"F401", "F541", "F632"}
    assert {one["code"] for one in found if one["fix"]} == {translated(code) for code in fixed}


@pytest.mark.parametrize(
    ("safe", "unsafe", "expected"),
    [
        ([], [], "unsafe"),
        (["TLP102"], [], "safe"),
        (["TLP101"], [], "unsafe"),
        (["TLP1"], ["missing-dtype"], "unsafe"),
        (["TLP102"], ["TLP1"], "safe"),
        (["ALL"], ["ALL"], "unsafe"),
    ],
)
def test_safety_can_be_configured_and_the_more_specific_selector_counts(
    capsys: pytest.CaptureFixture[str], here: Path, safe: list[str], unsafe: list[str], expected: str
) -> None:
    (here / "telepathy-lint.toml").write_text(f"extend-safe-fixes = {safe}\nextend-unsafe-fixes = {unsafe}")
    # One rewrite may answer several rules and is as unsafe as the worst of them: only this one may be fixed.
    assert fixes(capsys, "--fixable", "TLP102")["TLP102"] == expected


def test_safety_decides_what_is_written(here: Path) -> None:
    (here / "telepathy-lint.toml").write_text("extend-safe-fixes = ['TLP102']")
    cli.run(["check", "--fix", "a.py"])
    assert (
        "device_map=None" not in (here / "a.py").read_text() and "load_model" in (here / "a.py").read_text()
    )
    (here / "a.py").write_text(CODE)
    (here / "telepathy-lint.toml").write_text("extend-unsafe-fixes = ['ALL']")
    assert cli.run(["check", "--fix", "a.py"]) == 1
    assert (here / "a.py").read_text() == CODE


def test_the_command_fixes_the_rest_and_goes_on_reporting(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    assert fixes(capsys, "--fix", "--unsafe-fixes", "--unfixable", "TLP102,TLP104") == dict.fromkeys(
        CODES[1:]
    )
    text = (here / "a.py").read_text()
    assert "device_map" not in text and "dtype=None" in text and "attn_implementation=None" in text


def test_results_of_other_choices_are_not_taken_from_the_cache(capsys: pytest.CaptureFixture[str]) -> None:
    def cached(*arguments: str) -> str:
        cli.run(["check", "--output-format", "json", "-v", *arguments, "a.py"])
        return capsys.readouterr().out

    plain, without = cached(), cached("--unfixable", "ALL")
    assert plain != without
    assert (cached(), cached("--unfixable", "ALL")) == (plain, without)
    config = Path("telepathy-lint.toml")
    config.write_text("unfixable = ['ALL']")
    assert cached() == without
    config.write_text("unfixable = []")
    assert cached() == plain


def test_unused_comments_are_removed_only_where_that_may_be(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    text = "import os  # noqa: TLP101\n"
    (here / "a.py").write_text(text)
    options = ("--report-unused-noqa", "--fix")
    for choice in (("--unfixable", "TLP001"), ("--unfixable", "unused-suppression"), ("--fixable", "TLP1")):
        assert fixes(capsys, *options, *choice) == {"TLP001": None}
        assert (here / "a.py").read_text() == text
    assert cli.run(["check", *options, "--unfixable", "TLP1", "a.py"]) == 0
    assert (here / "a.py").read_text() == "import os\n"


@pytest.mark.parametrize("option", ["--fixable", "--unfixable", "--extend-fixable"])
def test_a_selector_that_fits_nothing_is_refused(
    capsys: pytest.CaptureFixture[str], here: Path, option: str
) -> None:
    (here / "a.py").write_text("x = 1\n")
    assert cli.run(["check", option, "TLP999", "a.py"]) == 2
    error = capsys.readouterr().err
    assert f"{option}: unknown rule selector 'TLP999'" in error and "did you mean 'TLP" in error


def test_a_program_says_it_too() -> None:
    fixed = telepathy_lint.fix(CODE, unfixable=["TLP102", "TLP104"], unsafe=True)
    assert [one.code for one in fixed.applied] == ["TLP101"]
    assert sorted(one.code for one in fixed.remaining) == ["TLP102", "TLP104"]
    fixing = Fixing((Layer(("TLP101",)),))
    assert telepathy_lint.fix(CODE, settings=Settings(fixing=fixing)).source == fixed.source
    found = telepathy_lint.lint(CODE, fixable=[], settings=Settings(fixing=fixing))
    assert [one.fix for one in found] == [None] * 3
    with pytest.raises(ValueError, match="unknown rule selector 'TLP9999'"):
        telepathy_lint.lint(CODE, unfixable=["TLP9999"])


@pytest.mark.parametrize("how", ["configuration", "option"])
def test_the_codemod_says_it_too(here: Path, how: str) -> None:
    options = ["--unfixable", "TLP104"] if how == "option" else []
    codes = "'TLP102', 'TLP104'" if how == "configuration" else "'TLP102'"
    (here / "telepathy-lint.toml").write_text(f"unfixable = [{codes}]")
    command = [
        sys.executable,
        "-m",
        "libcst.tool",
        "codemod",
        "--no-format",
        "-x",
        "telepathy_lint.codemod.UseRuntimeLoader",
    ]
    ran = subprocess.run(
        [*command, *options, "--jobs", "1", "a.py"], capture_output=True, text=True, check=True
    )
    text = (here / "a.py").read_text()
    assert "load_model" in text and "dtype=None" in text and "attn_implementation=None" in text
    assert "TLP104" in ran.stderr + ran.stdout


class Editor:
    """A minimal editor that requests quick fixes."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "telepathy_lint", "server"]
        pipes: dict[str, Any] = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.DEVNULL,
        }
        self.server = subprocess.Popen(command, cwd=folder, **pipes)
        self.number = 0

    def send(self, method: str, params: Any, **more: Any) -> None:
        assert self.server.stdin is not None
        data = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, **more}).encode()
        self.server.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
        self.server.stdin.flush()

    def ask(self, method: str, params: Any) -> Any:
        assert self.server.stdout is not None
        self.number += 1
        self.send(method, params, id=self.number)
        while True:
            length = 0
            while line := self.server.stdout.readline().strip():
                length = int(line.split(b":")[1]) if line.lower().startswith(b"content-length") else length
            assert length, "the server ended"
            message = json.loads(self.server.stdout.read(length))
            if message.get("id") == self.number and "method" not in message:
                return message["result"]


def test_the_server_says_it_too(here: Path) -> None:
    pytest.importorskip("pygls")
    (here / "telepathy-lint.toml").write_text("unfixable = ['TLP101', 'TLP102']")
    document = {"uri": (here / "a.py").as_uri(), "languageId": "python", "version": 1, "text": CODE}
    everything = {"start": {"line": 0, "character": 0}, "end": {"line": 9, "character": 0}}
    editor = Editor(here)
    try:
        editor.ask("initialize", {"processId": None, "rootUri": here.as_uri(), "capabilities": {}})
        editor.send("initialized", {})
        editor.send("textDocument/didOpen", {"textDocument": document})
        wanted = {"textDocument": document, "range": everything, "context": {"diagnostics": []}}
        titles = [action["title"] for action in editor.ask("textDocument/codeAction", wanted)]
    finally:
        editor.server.kill()
        editor.server.wait()
    (offered,) = [title for title in titles if title.startswith("load with")]
    assert "(TLP104)" in offered


def test_one_reading_of_selectors() -> None:
    """A layer of selectors selects the same rules as `registry.select`."""
    for rule in all_rules():
        code, name = rule.meta.code, rule.meta.name
        assert specificity("ALL", code, name) == 0 and specificity("LP1", code, name) is None
        assert specificity(name, code, name) == specificity(code, code, name) == 6
        assert not chosen([Layer(("TLP",), (), (name,))], code, name, True)
        assert chosen([Layer(("TLP",), (), (name,)), Layer(None, ("ALL",))], code, name, False)
