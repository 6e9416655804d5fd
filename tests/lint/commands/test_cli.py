"""The command line: exit codes, options, written files, and modules that a cheap run must not import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from telepathy_lint.commands import cli
from telepathy_lint.commands.check import Check
from telepathy_lint.commands.parser import SUBCOMMANDS, parser
from telepathy_lint.findings.result import FileResult
from telepathy_lint.rules import all_rules
from telepathy_lint.run import lint_file
from telepathy_lint.run import processes as workers

IMPORT = "from transformers import AutoModelForCausalLM\n"
CALL = 'AutoModelForCausalLM.from_pretrained("acme", {})'
#: One finding, TLP101, whose fix is safe: everything else is decided by the script.
REST = 'torch_dtype="bfloat16", attn_implementation="sdpa"'
BAD = f"{IMPORT}m = {CALL.format(f'device_map={chr(34)}auto{chr(34)}, {REST}')}\nm.generation_config.max_length = 9\n"
GOOD = f"{IMPORT}m = {CALL.format(REST)}\nm.generation_config.max_length = 9\n"
UNSAFE = f"{IMPORT}m = {CALL.format('attn_implementation=1')}\nm.generation_config.max_length = 9\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


class Ran:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def findings(self) -> list[tuple[str, int, str]]:
        return [(one["path"], one["line"], one["code"]) for one in json.loads(self.out)]


@pytest.fixture
def lint(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: str, command: str = "check") -> Ran:
        code = cli.run([command, *arguments])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return call


def write(name: str, text: str = BAD) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


JSON = ("--output-format", "json", "--select", "TLP101")


def test_exit_codes(lint: Any) -> None:
    write("good.py", GOOD)
    assert lint("good.py").code == 0
    write("bad.py")
    assert lint("--select", "TLP101").code == 1
    assert lint("--select", "TLP101", "--exit-zero").code == 0
    assert lint("missing.py").code == 2
    assert lint("--exit-zero", "missing.py").code == 2
    assert lint("--no-such-option").code == 2
    assert lint("--select", "TLP999").code == 2


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("missing.py", None, "No such file"),
        ("not_utf8.py", b"from_pretrained = '\xe9'\n", "not valid utf-8"),
        ("cookie.py", b"# coding: klingon\nfrom_pretrained\n", "unknown encoding 'klingon'"),
        ("syntax.py", b"from_pretrained(\n", "syntax error"),
        ("python2.py", b"from_pretrained\nprint 'x'\n", "Python 2"),
        ("nul.py", b"from_pretrained\0\n", "NUL character"),
        ("deep.py", b"from_pretrained" + b"(" * 5000 + b")" * 5000, "syntax error"),
        ("notebook.ipynb", b'{"from_pretrained": 1}', "not a notebook"),
    ],
)
def test_a_bad_file_is_a_finding_and_the_rest_is_done(
    lint: Any, name: str, data: bytes | None, said: str
) -> None:
    write("bad.py")
    if data is not None:
        Path(name).write_bytes(data)
    ran = lint(*JSON, "bad.py", name)
    assert ran.code == 2
    assert sorted((path, code) for path, _, code in ran.findings) == [("bad.py", "TLP101"), (name, "TLP000")]
    (failed,) = (one for one in json.loads(ran.out) if one["code"] == "TLP000")
    assert said in failed["message"]


def test_an_unreadable_folder_is_named(lint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write("a/bad.py")
    write("b/bad.py")
    scandir = os.scandir

    def denied(path: str) -> Any:
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    ran = lint(*JSON)
    assert (ran.code, ran.findings) == (2, [("a/bad.py", 2, "TLP101"), ("b", 1, "TLP000")])


def test_a_crash_of_the_linter_is_one_files_finding(lint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write("a.py")
    write("b.py")
    original = lint_file._lint_file

    def crash(plan: Any, data: Any, modules: Any) -> FileResult:
        if plan.path == "a.py":
            raise KeyError("oops")
        return original(plan, data, modules)

    monkeypatch.setattr(lint_file, "_lint_file", crash)
    ran = lint(*JSON)
    assert (ran.code, ran.findings) == (2, [("a.py", 1, "TLP000"), ("b.py", 2, "TLP101")])
    assert "KeyError: 'oops'" in ran.out
    assert "Traceback" not in ran.out
    assert "Traceback" in lint(*JSON, "--verbose").out


def test_fix_writes_and_says_so(lint: Any) -> None:
    path = write("bad.py")
    write("good.py", GOOD)
    before = Path("good.py").stat().st_mtime_ns
    ran = lint("--select", "TLP101", "--fix")
    assert (ran.code, ran.out) == (0, "Found 1 error (1 fixed, 0 remaining).\n")
    assert 'device_map="auto"' not in path.read_text()
    assert Path("good.py").stat().st_mtime_ns == before
    after = path.read_bytes()
    assert lint("--select", "TLP101", "--fix").out == "All checks passed!\n"
    assert path.read_bytes() == after


def test_fix_exit_codes(lint: Any) -> None:
    write("bad.py")
    assert lint("--select", "TLP101", "--fix", "--exit-non-zero-on-fix").code == 1
    assert lint("--select", "TLP101", "--fix", "--exit-non-zero-on-fix").code == 0


def test_unsafe_fixes_wait_to_be_asked_for(lint: Any) -> None:
    path = write("bad.py", UNSAFE)
    ran = lint("--select", "TLP102", "--fix")
    assert (ran.code, path.read_text()) == (1, UNSAFE)
    assert "1 hidden fix can be enabled with the `--unsafe-fixes` option" in ran.out
    assert lint("--select", "TLP102", "--fix", "--unsafe-fixes").code == 0
    assert path.read_text() != UNSAFE


def test_fix_only_reports_nothing_else(lint: Any) -> None:
    write("bad.py", BAD + UNSAFE)
    ran = lint("--select", "TLP101,TLP102", "--fix-only")
    assert (ran.code, ran.out) == (0, "Found 1 error (1 fixed, 0 remaining).\n")


def test_show_fixes_lists_what_was_fixed(lint: Any) -> None:
    write("bad.py")
    assert (
        "bad.py:\n    1 × TLP101 (hardcoded-device-map)\n"
        in lint("--select", "TLP101", "--fix", "--show-fixes").out
    )


def test_diff_changes_nothing_and_can_be_patched(lint: Any) -> None:
    path = write("bad.py")
    ran = lint("--select", "TLP101", "--diff")
    assert (ran.code, path.read_text(), ran.err) == (1, BAD, "Would fix 1 error.\n")
    assert ran.out.startswith("--- bad.py\n+++ bad.py\n@@ ")
    subprocess.run(["patch", "-s", "-p0"], input=ran.out, text=True, check=True)
    patched = path.read_text()
    path.write_text(BAD)
    lint("--select", "TLP101", "--fix")
    assert path.read_text() == patched
    assert lint("--select", "TLP101", "--diff").code == 0


def test_a_fix_that_cannot_be_written_is_said_and_the_findings_stay(
    lint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("bad.py")
    monkeypatch.setattr(os, "access", lambda *_: False)
    ran = lint(*JSON, "--fix")
    assert ran.code == 2
    assert [code for _, _, code in ran.findings] == ["TLP000", "TLP101"]
    assert "not writable" in ran.out
    assert path.read_text() == BAD


def test_stdin(here: Path) -> None:
    def piped(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "telepathy_lint",
            "check",
            "--isolated",
            "--select",
            "TLP101",
            *arguments,
            "-",
        ]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=False)

    ran = piped(BAD, "--output-format", "concise", "-q")
    assert (ran.returncode, ran.stdout.split(" ")[:2]) == (1, ["-:2:50:", "TLP101"])
    ran = piped(BAD, "--output-format", "json", "--stdin-filename", "pkg/a.py")
    assert json.loads(ran.stdout)[0]["path"] == "pkg/a.py"
    ran = piped(BAD, "--fix")
    assert ran.returncode == 0
    compile(ran.stdout, "-", "exec")
    assert "load_model" in ran.stdout and "1 fixed" in ran.stderr
    ran = piped("x = 1\n", "--fix")
    assert (ran.returncode, ran.stdout) == (0, "x = 1\n")
    ran = piped("x from_pretrained = (\n", "--fix")
    assert (ran.returncode, ran.stdout) == (2, "x from_pretrained = (\n")


def test_stdin_notebook(here: Path) -> None:
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "source": BAD}
    text = json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    command = [
        sys.executable,
        "-m",
        "telepathy_lint",
        "check",
        "--strict",  # a notebook is one process
        "--select",
        "TLP101",
        "--stdin-filename",
        "n.ipynb",
    ]
    ran = subprocess.run(
        [*command, "--output-format", "json", "-"], input=text, capture_output=True, text=True, check=False
    )
    assert [(one["cell"], one["line"]) for one in json.loads(ran.stdout)] == [(0, 2)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--write-baseline"], "--write-baseline needs --baseline FILE"),
        (["--add-noqa", "--fix"], "cannot be used with --fix"),
        (["-", "a.py"], "cannot be linted together with files"),
        (["-", "--watch"], "--watch needs files"),
        (["--stdin-filename", "x.py", "a.py"], "pass - as the path"),
        (["--select", "TLP1O1"], "--select: unknown rule selector 'TLP1O1'; did you mean 'TLP101'?"),
        (["--per-file-ignores", "x"], "expected pattern:CODE"),
        (["--target-transformers", "new"], "--target-transformers must be a version"),
        (["--config", "absent.toml"], "absent.toml: no such configuration file"),
        (["--baseline", "absent.json"], "absent.json: cannot read the baseline"),
        (["--output-file", "no/such/folder"], "cannot be written"),
    ],
)
def test_what_cannot_be_honoured_is_said(lint: Any, arguments: list[str], said: str) -> None:
    write("a.py")
    ran = lint(*arguments)
    assert ran.code == 2
    assert said in ran.err


def test_configuration_errors_stop_the_run(lint: Any) -> None:
    write("bad.py")
    write("telepathy-lint.toml", "selct = []")
    ran = lint()
    assert ran.code == 2
    assert "unknown key 'selct'; did you mean 'select'?" in ran.err
    assert lint("--isolated", "--select", "TLP101").code == 1


def test_selection_by_options_and_configuration(lint: Any) -> None:
    write("a/bad.py", UNSAFE.replace("attn_implementation=1", 'device_map="auto"'))
    codes = {code for _, _, code in lint("--output-format", "json").findings}
    assert {"TLP101", "TLP102", "TLP104"} <= codes
    assert {
        code for _, _, code in lint("--output-format", "json", "--ignore", "TLP102,TLP104").findings
    } == codes - {
        "TLP102",
        "TLP104",
    }
    write(
        "telepathy-lint.toml",
        'select = ["missing-dtype", "TLP101"]\n[per-file-ignores]\n"a/*" = ["TLP101"]\n',
    )
    assert [code for _, _, code in lint("--output-format", "json").findings] == ["TLP102"]
    ignores = ("--per-file-ignores", "bad.py:TLP102,TLP101")
    assert lint("--output-format", "json", *ignores).findings == []


def test_output_is_sorted_and_the_same_for_any_number_of_processes(lint: Any) -> None:
    for number in range(12):
        write(f"f{number % 3}/m{number}.py", BAD * (number % 4 + 1))
    write("f1/broken.py", "from_pretrained(")
    one = lint("--output-format", "json", "--jobs", "1")
    assert one.out == lint("--output-format", "json", "--jobs", "5").out
    found = [(each["path"], each["line"], each["column"], each["code"]) for each in json.loads(one.out)]
    assert found == sorted(found)
    assert len(found) > 20


@pytest.mark.parametrize(("files", "jobs"), [(6, 6), (300, 2)], ids=["files one by one", "files in shares"])
def test_a_worker_that_dies_loses_one_file_only(
    lint: Any, monkeypatch: pytest.MonkeyPatch, files: int, jobs: int
) -> None:
    names = [f"m{number:03}.py" for number in range(files)]
    for name in names:
        write(name)
    original = lint_file._lint_file
    parent = os.getpid()
    dead = Path("dead").absolute()

    def die(plan: Any, data: Any, modules: Any) -> FileResult:
        if os.getpid() != parent:
            try:
                dead.symlink_to(plan.path)  # by one child, and once
            except FileExistsError:
                return original(plan, data, modules)
            os.kill(os.getpid(), 9)
        wait_for(dead)
        return original(plan, data, modules)

    monkeypatch.setattr(lint_file, "_lint_file", die)
    ran = lint(*JSON, "--jobs", str(jobs), "--no-cache")
    lost = os.readlink(dead)
    assert ran.code == 2
    assert ran.findings == [
        (name, 1 if name == lost else 2, "TLP000" if name == lost else "TLP101") for name in names
    ]
    assert "signal 9" in ran.out


def test_a_worker_that_dies_with_files_it_had_not_begun_loses_none(
    lint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(300):
        write(f"m{number:03}.py")
    original = workers._send
    parent = os.getpid()
    dead = Path("dead").absolute()

    def die(pipe: Any, message: object) -> None:
        if not dead.exists():
            dead.touch()
            os.kill(os.getpid(), 9)
        original(pipe, message)

    def begun(plan: Any, data: Any, modules: Any) -> FileResult:
        if os.getpid() == parent:
            wait_for(dead)
        return run(plan, data, modules)

    run = lint_file._lint_file
    monkeypatch.setattr(lint_file, "_lint_file", begun)
    monkeypatch.setattr(workers, "_send", die)
    ran = lint(*JSON, "--jobs", "2", "--no-cache")
    assert [code for _, _, code in ran.findings] == ["TLP101"] * 300


def wait_for(path: Path) -> None:
    """Wait until another process has created the file."""
    for _ in range(2000):
        if os.path.lexists(path):
            return
        time.sleep(0.01)
    raise AssertionError(f"{path} never came")


def test_statistics(lint: Any) -> None:
    write("a.py", BAD + BAD)
    write("b.py", UNSAFE)
    ran = lint("--select", "TLP101,TLP102", "--statistics")
    table = ["2\tTLP101\t[*] hardcoded-device-map", "1\tTLP102\t[ ] missing-dtype"]
    assert ran.out.splitlines() == [
        *table,
        "",
        "3 findings at 3 calls: 2 fixable safely, 1 more with --unsafe-fixes.",
        "Try next: telepathy-lint check --select TLP101 --diff .",
    ]
    assert lint("--select", "TLP101,TLP102", "--statistics", "-q").out.splitlines() == table


def test_show_files(lint: Any) -> None:
    write("b.py")
    write("a/c.ipynb", "")
    write("venv/x.py")
    assert lint("--show-files").out == "a/c.ipynb\nb.py\n"


def test_output_file(lint: Any) -> None:
    write("bad.py")
    ran = lint(*JSON, "--output-file", "report.json")
    assert (ran.code, ran.out) == (1, "")
    assert json.loads(Path("report.json").read_text())[0]["code"] == "TLP101"


def test_quiet_and_verbose(lint: Any) -> None:
    write("good.py", GOOD)
    assert lint("-q").out == ""
    assert "checked 1 files: 1 parsed" in lint("-v", "--no-cache").err
    assert "no Python files" in lint("good.py", "--exclude", "good.py", "--force-exclude").err


def test_colour_only_on_terminals_and_as_the_environment_says(
    lint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("bad.py")
    arguments = ("--select", "TLP101", "--output-format", "concise")
    assert "\x1b" not in lint(*arguments).out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[1;31mTLP101\x1b[0m" in lint(*arguments).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in lint(*arguments).out


def test_noqa_stops_report_and_fix(lint: Any) -> None:
    text = BAD.replace('"sdpa")', '"sdpa")  # noqa: TLP101')
    path = write("bad.py", text)
    assert lint("--select", "TLP101", "--fix").code == 0
    assert path.read_text() == text


def test_add_noqa_makes_a_clean_run(lint: Any) -> None:
    path = write("bad.py")
    ran = lint("--select", "TLP101", "--add-noqa")
    assert (ran.code, ran.out) == (0, "Added 1 noqa comment.\n")
    assert path.read_text() == BAD.replace('"sdpa")', '"sdpa")  # noqa: TLP101')
    assert lint("--select", "TLP101").code == 0
    assert lint("--select", "TLP101", "--add-noqa").out == "Added 0 noqa comments.\n"


def test_unused_noqa_is_reported_and_removed(lint: Any) -> None:
    path = write(
        "good.py", "x = 1  # noqa: TLP101\n" + BAD.replace('"sdpa")', '"sdpa")  # noqa: TLP101, TLP102')
    )
    assert lint().code == 0
    ran = lint("--report-unused-noqa", "--output-format", "json")
    assert ran.findings == [("good.py", 1, "TLP001"), ("good.py", 3, "TLP001")]
    assert lint("--report-unused-noqa", "--fix").code == 0
    assert path.read_text() == "x = 1\n" + BAD.replace('"sdpa")', '"sdpa")  # noqa: TLP101')
    write("plain.py", "x = 1  # noqa: TLP101\n")
    assert lint("--report-unused-noqa", "plain.py").code == 1


def test_a_baseline_hides_what_was_there_and_survives_line_shifts(lint: Any) -> None:
    write("old.py", BAD)
    arguments = ("--select", "TLP101", "--baseline", "base.json")
    assert lint(*arguments, "--write-baseline").out == "Wrote 1 finding to base.json.\n"
    assert lint(*arguments).code == 0
    write("old.py", "# a line\n\n" + BAD)
    ran = lint(*arguments)
    assert (ran.code, ran.err) == (0, "1 known from the baseline\n")
    write("old.py", BAD + BAD)
    assert lint(*arguments).code == 1
    write("new.py", BAD)
    write("old.py", BAD)
    assert [path for path, _, _ in lint(*JSON, "--baseline", "base.json").findings] == ["new.py"]


def test_a_baseline_says_what_is_stale_and_keeps_files_not_looked_at(lint: Any) -> None:
    write("a.py", BAD)
    write("b.py", BAD)
    arguments = ("--select", "TLP101", "--baseline", "base.json")
    assert lint(*arguments, "--write-baseline").out == "Wrote 2 findings to base.json.\n"
    write("a.py", GOOD)
    assert "1 entry is no longer in the code" in lint(*arguments, "a.py").err
    assert "known" not in lint(*arguments, "a.py", "-q").err
    assert lint(*arguments, "--write-baseline", "a.py").out == "Wrote 1 finding to base.json.\n"
    assert lint(*arguments).code == 0
    Path("base.json").write_text("{}")
    assert "not a baseline" in lint(*arguments).err


def test_a_baseline_keeps_its_peace_about_rules_that_did_not_run(lint: Any) -> None:
    write("a.py", BAD + "n = AutoModelForCausalLM.from_pretrained('acme')\n")
    baseline = ("--baseline", "base.json")
    assert lint(*baseline, "--write-baseline").code == 0
    everything = Path("base.json").read_text()
    assert "gone" not in lint(*baseline, "--select", "TLP101").err
    assert lint(*baseline, "--select", "TLP101", "--write-baseline").code == 0
    assert Path("base.json").read_text() == everything
    write("a.py", GOOD)
    assert lint(*baseline, "--select", "TLP101", "--write-baseline").code == 0
    left = {one["code"] for one in json.loads(Path("base.json").read_text())["findings"]}
    assert "TLP101" not in left and "TLP102" in left
    assert lint(*baseline, "--write-baseline").code == 0
    assert json.loads(Path("base.json").read_text())["findings"] == []


def test_watch_runs_again_when_something_changed_and_not_for_its_own_fix(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write("bad.py")
    options = parser("check").parse_args(["check", "--watch", "--fix", "--select", "TLP101", "-q"])
    check = Check(options)
    looks: list[int] = []

    def again(runs: int) -> bool:
        looks.append(runs)
        if len(looks) == 4:
            path.write_text(BAD + "# more\n")
        return len(looks) < 8

    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert check._watch(again) == 0
    assert looks == [0, 1, 1, 1, 2, 2, 2, 2]
    assert "load_model" in path.read_text()


def test_rule_prints_documentation(lint: Any) -> None:
    by_code = lint("TLP101", command="rule")
    assert by_code.code == 0
    assert by_code.out.startswith("TLP101 hardcoded-device-map\n(since ")
    assert (
        by_code.out == lint("hardcoded-device-map", command="rule").out == lint("tlp101", command="rule").out
    )
    markdown = lint("TLP101", "--output-format", "markdown", command="rule").out
    assert markdown.startswith("# TLP101 hardcoded-device-map\n")
    assert markdown.count("```") % 2 == 0 and "Bad:\n\n```python\nfrom" in markdown
    every = json.loads(lint("--all", "--output-format", "json", command="rule").out)
    assert {one["code"] for one in every} >= {"TLP101", "TLP201"}
    assert all(one["documentation"] and one["summary"] for one in every)
    unknown = lint("hardcoded-device-mop", command="rule")
    assert (unknown.code, "did you mean 'hardcoded-device-map'?" in unknown.err) == (2, True)
    assert lint(command="rule").code == 2


def test_a_rule_page_keeps_its_lists(lint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = lint("TLP105", command="rule").out.splitlines()
    at = lines.index('- code in a branch for other models than the load\'s (`if "qwen3" in name`)')
    assert lines[at - 2 : at] == [
        "- calls whose settings come from elsewhere, and calls of a method `generate`",
        "  that the project defines itself",
    ]


@pytest.mark.parametrize("columns", [80, 120])
def test_help_and_documentation_fit_the_terminal(
    lint: Any, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    code = [
        line for rule in all_rules() for which in ("Bad", "Good") for line in rule.example(which).splitlines()
    ]
    shown = [lint("--help", command=name).out for name in SUBCOMMANDS] + [lint("--all", command="rule").out]
    long = [line for text in shown for line in text.splitlines() if len(line) > columns]
    assert [line for line in long if line.strip() not in map(str.strip, code)] == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["chek", "."], "unknown command 'chek'; did you mean 'check'?"),
        (["a.py"], "unknown command 'a.py'; did you mean 'telepathy-lint check a.py'?"),
        (["check", "--slect=TLP101"], "unexpected option '--slect=TLP101'; did you mean '--select'?"),
        (["server", "x"], "telepathy-lint server: error: unexpected argument 'x'"),
        (["rule", "TLP000"], "TLP000 (unlintable-file) is not a rule"),
        (["rule", "E501"], "no rule 'E501'; `telepathy-lint rule --all` prints all rules"),
        ([], "lint and fix files, folders and notebooks"),
    ],
)
def test_typical_mistakes_are_answered(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write("a.py")
    assert cli.run(command) == 2
    assert said in capsys.readouterr().err


def test_config_shows_values_and_origins(lint: Any) -> None:
    write("requirements.txt", "transformers==4.45.2\n")
    write("pyproject.toml", '[tool.telepathy-lint]\nignore = ["TLP104"]\nloader = {module = "house"}\n')
    shown = json.loads(lint("--output-format", "json", command="config").out)
    assert shown["ignore"] == {"value": ["TLP104"], "origin": str(Path.cwd() / "pyproject.toml")}
    assert shown["target-transformers"] == {"value": "4.45.2", "origin": str(Path.cwd() / "requirements.txt")}
    assert shown["loader"]["value"]["module"] == "house"
    assert shown["fix-style"] == {"value": "loader", "origin": "default"}
    text = lint(command="config").out
    assert 'ignore                  = ["TLP104"]' in text
    assert "... 26 more]" in text and len(shown["exclude"]["value"]) == 30
    assert lint("--isolated", command="config").out.count("pyproject.toml") == 0
    assert lint("absent", command="config").code == 2


HEAVY = {
    "libcst",
    "multiprocessing",
    "json",
    "pickle",
    "difflib",
    "pathlib",
    "tomllib",
    "subprocess",
    "logging",
}


def imported(*arguments: str) -> set[str]:
    script = (
        "import sys; from telepathy_lint.commands.cli import run; sys.stdout = open('/dev/null', 'w'); code = run(sys.argv[1:]); "
        "print(*sys.modules, file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    return set(ran.stderr.split())


def test_a_run_that_finds_no_loads_imports_next_to_nothing() -> None:
    write("a.py", "x = 1\n")
    modules = imported("check", "a.py")
    assert not modules & HEAVY
    assert not modules & {
        "telepathy_lint.engine",
        "telepathy_lint.rules",
        "telepathy_lint.source.notebook",
        "torch",
    }


def test_neither_reporting_nor_fixing_imports_libcst_or_torch() -> None:
    write("a.py", UNSAFE)
    assert "libcst" not in imported("check", "--output-format", "concise", "a.py")
    assert "libcst" not in imported("check", "a.py")
    modules = imported("check", "--fix", "--unsafe-fixes", "a.py")
    assert "load_model" in Path("a.py").read_text(encoding="utf-8")
    assert not modules & {"libcst", "torch", "transformers", "accelerate", "numpy", "telepathy_runtime"}


def test_a_closed_pipe_is_no_traceback() -> None:
    for number in range(200):
        write(f"m{number}.py")
    command = f"{sys.executable} -m telepathy_lint check --select TLP101 | head -1"
    ran = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in ran.stderr and "Exception" not in ran.stderr
    assert ran.stdout.startswith("TLP101")


def test_a_name_that_is_no_text_can_be_reported() -> None:
    Path(os.fsdecode(b"b\xe9d.py")).write_text(BAD)
    for name in ("full", "concise", "json", "sarif", "junit", "github"):
        command = [
            sys.executable,
            "-m",
            "telepathy_lint",
            "check",
            "--select",
            "TLP101",
            "--output-format",
            name,
        ]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr) == (1, "")


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--help"]) == 0
    assert cli.run(["check", "--help"]) == 0
    assert cli.run(["--version"]) == 0
    assert cli.run([]) == 2
    assert "telepathy-lint 0" in capsys.readouterr().out


def test_nothing_is_written_before_everything_is_read(lint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Findings in one file may depend on another, so no file may change before all are linted."""
    for number in range(4):
        write(f"m{number}.py")
    original = lint_file._lint_file
    seen: list[bool] = []

    def look(plan: Any, data: Any, modules: Any) -> FileResult:
        seen.append(all(path.read_text() == BAD for path in Path().glob("*.py")))
        return original(plan, data, modules)

    monkeypatch.setattr(lint_file, "_lint_file", look)
    assert lint("--select", "TLP101", "--fix", "--jobs", "1").code == 0
    assert seen == [True] * 4
    assert all(path.read_text() != BAD for path in Path().glob("*.py"))


def broken_notebook() -> str:
    sources = [BAD, "x = (", "y y", BAD]
    cells = [{"cell_type": "code", "metadata": {}, "outputs": [], "source": source} for source in sources]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


@pytest.mark.parametrize("form", ["json", "sarif", "gitlab"])
def test_cells_that_cannot_be_read_are_said_among_what_was_found_in_the_others(lint: Any, form: str) -> None:
    write("n.ipynb", broken_notebook())
    ran = lint("--strict", "--select", "TLP101", "--output-format", form)
    assert ran.code == 2
    document = json.loads(ran.out)
    if form == "json":
        assert [(one["cell"], one["code"]) for one in document] == [
            (0, "TLP101"),
            (1, "TLP000"),
            (2, "TLP000"),
            (3, "TLP101"),
        ]
    elif form == "sarif":
        (run,) = document["runs"]
        assert [one["level"] for one in run["results"]] == ["warning", "error", "error", "warning"]
        assert len(run["invocations"][0]["toolExecutionNotifications"]) == 2
    else:
        assert [one["severity"] for one in document] == ["major", "critical", "critical", "major"]


def test_cells_that_cannot_be_read_do_not_stop_fixes_baselines_and_comments(lint: Any) -> None:
    path = write("n.ipynb", broken_notebook())
    arguments = ("--strict", "--select", "TLP101", "--output-format", "json")
    written = lint(*arguments, "--baseline", "b.json", "--write-baseline")
    assert (written.code, written.err.count("TLP000")) == (2, 2)
    left = lint(*arguments, "--baseline", "b.json")
    assert (left.code, {one["code"] for one in json.loads(left.out)}) == (2, {"TLP000"})
    fixed = lint(*arguments, "--fix-only")
    assert (fixed.code, [one["code"] for one in json.loads(fixed.out)]) == (2, ["TLP000", "TLP000"])
    assert [cell["source"] for cell in json.loads(path.read_text())["cells"]][1:3] == ["x = (", "y y"]
    write("n.ipynb", broken_notebook())
    silenced = lint("--strict", "--select", "TLP101", "--add-noqa")
    assert (silenced.code, silenced.out) == (2, "Added 2 noqa comments.\n")
    assert silenced.err.count("TLP000") == 2
