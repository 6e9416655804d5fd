"""Both programs with full disks, closed pipes and closed streams, each in its own process."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
LINT = [sys.executable, "-m", "telepathy_lint"]
RUNTIME = [sys.executable, "-m", "telepathy_runtime.commands.cli"]
BAD = 'from transformers import AutoModel\nm = AutoModel.from_pretrained("x", device_map="auto")\n'
SAFE = (
    "import torch\n"
    "from transformers import AutoModel\n"
    'm = AutoModel.from_pretrained("x", device_map="auto", dtype=torch.bfloat16, attn_implementation="sdpa")\n'
)
FULL = Path("/dev/full")

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")

#: Every command of both programs that prints, with the exit code it has when all is printed.
COMMANDS: list[tuple[list[str], int]] = [
    ([*LINT, "check", "a.py"], 1),
    ([*LINT, "check", "a.py", "--exit-zero", "--output-format", "json"], 0),
    ([*LINT, "check", "a.py", "--statistics"], 1),
    ([*LINT, "check", "a.py", "--diff", "--unsafe-fixes", "--quiet"], 1),
    ([*LINT, "check", "--show-files"], 0),
    ([*LINT, "audit", "."], 0),
    ([*LINT, "rule", "--all"], 0),
    ([*LINT, "config"], 0),
    ([*LINT, "cache", "dir"], 0),
    ([*LINT, "-V"], 0),
    ([*RUNTIME, "models"], 0),
    ([*RUNTIME, "estimate", "Qwen/Qwen2.5-7B", "--gpu", "all"], 1),
    ([*RUNTIME, "plan", "Qwen/Qwen2.5-7B", "--json"], 0),
    ([*RUNTIME, "compare", "memory.jsonl"], 0),
    ([*RUNTIME, "-V"], 0),
    ([*RUNTIME, "plan", "--help"], 0),
]
NAMES = [" ".join(command[2:]) for command, _ in COMMANDS]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.py").write_text(BAD)
    (tmp_path / "memory.jsonl").write_text("")
    return tmp_path


def run(command: list[str], folder: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(command, cwd=folder, text=True, env=environment, timeout=60, **options)


@pytest.mark.parametrize(("command", "code"), COMMANDS, ids=NAMES)
def test_a_full_disk_is_one_line(command: list[str], code: int, folder: Path) -> None:
    del code
    with FULL.open("w") as full:
        done = run(command, folder, stdout=full)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert line.startswith(
        ("telepathy-lint: error: standard output", "telepathy-runtime: error: standard output")
    )
    assert line.endswith("No space left on device")


@pytest.mark.parametrize(("command", "code"), COMMANDS, ids=NAMES)
def test_a_reader_that_is_gone_changes_nothing(command: list[str], code: int, folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = run(command, folder, stdout=writing)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (code, "")


@pytest.mark.parametrize(
    "command", [[*LINT, "check", "a.py"], [*RUNTIME, "models", "gone"]], ids=["lint", "runtime"]
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_streams_that_the_caller_closed(command: list[str], unbuffered: str, folder: Path) -> None:
    whole = run(command, folder)
    for closed in (">&-", "2>&-", "<&-", ">&- 2>&- <&-"):
        shell = ["env", f"PYTHONUNBUFFERED={unbuffered}", "sh", "-c", f'exec "$@" {closed}', "sh", *command]
        done = run(shell, folder)
        assert done.returncode == whole.returncode, closed
        assert done.stdout == ("" if ">&- " in f" {closed} ".replace("2>&-", "") else whole.stdout), closed
        assert done.stderr == ("" if "2>&-" in closed else whole.stderr), closed


def test_no_standard_input_is_an_empty_file(folder: Path) -> None:
    done = run(["sh", "-c", 'exec "$@" <&-', "sh", *LINT, "check", "-"], folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "All checks passed!\n", "")


def test_standard_error_that_is_full_changes_nothing(folder: Path) -> None:
    with FULL.open("w") as full:
        done = run([*LINT, "check", "gone.py", "a.py", "--verbose"], folder, stderr=full)
        assert done.returncode == 2 and "TLP101" in done.stdout
        assert run([*RUNTIME, "models", "gone"], folder, stderr=full).returncode == 2


def test_standard_input_that_cannot_be_read(folder: Path) -> None:
    with (folder / "only-written").open("w") as written:
        done = run([*LINT, "check", "-"], folder, stdin=written)
    assert done.returncode == 2
    assert done.stderr == "telepathy-lint: error: standard input cannot be read: Bad file descriptor\n"


@pytest.mark.slow
def test_a_pipe_in_pieces_gets_everything(folder: Path) -> None:
    """A descriptor that another process has made non-blocking."""
    (folder / "many.py").write_text(BAD + 'm = AutoModel.from_pretrained("x", device_map="auto")\n' * 1000)
    wanted = run([*LINT, "check", "many.py", "--output-format", "concise"], folder).stdout
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    process = subprocess.Popen(
        [*LINT, "check", "many.py", "--output-format", "concise"], cwd=folder, stdout=writing,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""},
    )  # fmt: skip
    os.close(writing)
    time.sleep(2)  # the pipe fills
    with open(reading, encoding="utf-8") as pipe:
        assert pipe.read() == wanted
    assert process.wait(60) == 1


# ---- files that cannot be written


def small_files(size: int) -> Callable[[], None]:
    """Limit the files of a process to `size` bytes, as on a disk that is nearly full."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@pytest.mark.parametrize(
    "command",
    [
        [*LINT, "check", "a.py", "--output-file", "/dev/full"],
        [*LINT, "check", "a.py", "--output-file", "/dev/full", "--output-format", "json", "--exit-zero"],
        [*LINT, "check", "a.py", "--output-file", "no/such/folder/x"],
        [*LINT, "check", "a.py", "--baseline", "no/such/folder/x", "--write-baseline"],
        [*LINT, "audit", ".", "--output", "/dev/full"],
        [*RUNTIME, "estimate", "Qwen/Qwen2.5-7B", "--plot", "no/such/folder/x.svg"],
    ],
    ids=lambda command: " ".join(command[2:]),
)
def test_a_file_that_cannot_be_written_is_named(command: list[str], folder: Path) -> None:
    if "--plot" in command:
        pytest.importorskip("matplotlib")
    done = run(command, folder)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and ("/dev/full" in line or "no/such/folder/x" in line), line


def test_the_reader_of_an_output_file_may_go(folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    for command, code in (
        ([*LINT, "check", "a.py", "--output-file", f"/dev/fd/{writing}"], 1),
        ([*LINT, "audit", ".", "--output", f"/dev/fd/{writing}"], 0),
    ):
        done = run(command, folder, pass_fds=[writing])
        assert (done.returncode, done.stderr) == (code, "")
    os.close(writing)


@pytest.mark.parametrize("option", ["--fix", "--add-noqa"])
def test_a_fix_that_does_not_fit_on_the_disk_leaves_the_file(option: str, folder: Path) -> None:
    (folder / "a.py").write_text(SAFE + "# long\n" * 200)
    before = (folder / "a.py").read_bytes()
    command = [
        *LINT,
        "check",
        "a.py",
        "b.py",
        option,
        "--no-cache",
        "--select",
        "TLP101",
        "--output-format",
        "concise",
    ]
    (folder / "b.py").write_text(SAFE)
    done = run(command, folder, preexec_fn=small_files(1000))
    assert done.returncode == 2
    assert (folder / "a.py").read_bytes() == before
    assert (folder / "b.py").read_text() != SAFE, "the others are done"
    said = done.stdout + done.stderr
    assert "a.py:1:1: TLP000 not fixed: the file cannot be written" in said and "Traceback" not in said
    assert not list(folder.glob(".telepathy-lint-*"))


def test_a_cache_that_cannot_be_written_is_silent(folder: Path) -> None:
    for _ in range(2):
        done = run([*LINT, "check", "a.py", "--cache-dir", "kept"], folder, preexec_fn=small_files(300))
        assert (done.returncode, done.stderr) == (1, "")
    done = run([*LINT, "check", "a.py", "--cache-dir", "/dev/full/x"], folder)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_baseline_that_does_not_fit_leaves_the_old_one(folder: Path) -> None:
    write = [*LINT, "check", ".", "--baseline", "known.json", "--write-baseline", "--no-cache"]
    assert run(write, folder).returncode == 0
    before = (folder / "known.json").read_bytes()
    (folder / "b.py").write_text(BAD)
    done = run(write, folder, preexec_fn=small_files(len(before)))
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and "known.json: cannot write the baseline" in line
    assert (folder / "known.json").read_bytes() == before
    assert sorted(path.name for path in folder.glob("known*")) == ["known.json"]


def test_a_folder_that_is_gone(folder: Path) -> None:
    gone = folder / "gone"
    gone.mkdir()
    done = run(["sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh", *LINT, "check", "."], gone)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


# ---- watching


def test_watching_ends_with_its_reader(folder: Path) -> None:
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [*LINT, "check", "a.py", "--watch", "--no-cache"], cwd=folder, stdout=writing, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""},
    )  # fmt: skip
    os.close(writing)
    try:
        assert os.read(reading, 6) == b"TLP101"
        assert process.poll() is None
        os.close(reading)
        assert process.wait(20) == 0
        assert process.stderr is not None and process.stderr.read() == b""
    finally:
        process.kill()
        process.wait()


def test_watching_ends_on_a_full_disk(folder: Path) -> None:
    with FULL.open("w") as full:
        done = run([*LINT, "check", "a.py", "--watch", "--no-cache"], folder, stdout=full)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "options",
    [
        ["--add-noqa", "--watch"],
        ["--add-noqa", "--statistics"],
        ["--add-noqa", "--baseline", "x", "--write-baseline"],
        ["--baseline", "x", "--write-baseline", "--fix"],
        ["--baseline", "x", "--write-baseline", "--diff"],
        ["--show-files", "--statistics"],
        ["--show-files", "--watch"],
        ["--statistics", "--diff"],
        ["--statistics", "--watch"],
    ],
    ids=" ".join,
)
def test_options_that_exclude_each_other(options: list[str], folder: Path) -> None:
    done = run([*LINT, "check", "a.py", *options], folder)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "") and "cannot be used with" in line
    assert (folder / "a.py").read_text() == BAD and not (folder / "x").exists()


@pytest.mark.parametrize("option", ["--watch", "--add-noqa", "--show-files", "--write-baseline"])
def test_options_that_need_files(option: str, folder: Path) -> None:
    done = run([*LINT, "check", "-", option, "--baseline", "x"], folder, input=BAD)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"telepathy-lint: error: {option} needs files, not standard input (-)\n"


# ---- places in notebooks


def notebook(*cells: str) -> str:
    code = [
        {
            "cell_type": "code",
            "execution_count": None,
            "metadata": {},
            "outputs": [],
            "source": cell.splitlines(True),
        }
        for cell in cells
    ]
    return json.dumps({"cells": code, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1)


def test_no_number_in_a_message_contradicts_the_cell(folder: Path) -> None:
    """JSON counts cells from 0, text from 1; a message must be correct in both."""
    cells = ["x = 1"] * 9 + [
        "\nKWARGS = {'device_map': 'auto'}",
        "from transformers import AutoModel",
        "m = AutoModel.from_pretrained('x', **KWARGS)",
    ]
    (folder / "n.ipynb").write_text(notebook(*cells))
    options = ["--select", "TLP101", "--no-cache"]
    done = run([*LINT, "check", "n.ipynb", *options, "--output-format", "json"], folder)
    (found,) = json.loads(done.stdout)
    assert (found["cell"], found["line"]) == (11, 1)
    assert found["message"].endswith("from KWARGS, line 2 of the 10th code cell")
    done = run([*LINT, "check", "n.ipynb", *options, "--output-format", "concise"], folder)
    assert done.stdout.startswith("n.ipynb:cell 12:1:") and "line 2 of the 10th code cell" in done.stdout


def test_formats_without_cells_give_the_line_of_the_file(folder: Path) -> None:
    (folder / "n.ipynb").write_text(notebook("x = 1", "def f(:\n", BAD))
    lines = (folder / "n.ipynb").read_text().splitlines()
    wanted = {number for number, line in enumerate(lines, 1) if "def f(:" in line or "device_map" in line}
    check = [*LINT, "check", "n.ipynb", "--no-cache", "--select", "TLP101", "--output-format"]
    sarif = json.loads(run([*check, "sarif"], folder).stdout)["runs"][0]
    places = [*sarif["results"], *sarif["invocations"][0]["toolExecutionNotifications"]]
    shown = {each["locations"][0]["physicalLocation"]["region"]["startLine"] for each in places}
    assert shown == wanted
    for name, pattern in (
        ("junit", r' line="(\d+)"'),
        ("github", r",line=(\d+)"),
        ("gitlab", r'begin": {\s*"line": (\d+)'),
    ):
        assert {int(line) for line in re.findall(pattern, run([*check, name], folder).stdout)} == wanted, name


def test_a_failure_beside_other_output_names_the_cell(folder: Path) -> None:
    (folder / "n.ipynb").write_text(notebook("x = 1", "def f(:\n", BAD))
    for options in (["--diff"], ["--add-noqa"], ["--baseline", "x", "--write-baseline"]):
        done = run([*LINT, "check", "n.ipynb", "--no-cache", *options], folder)
        assert done.returncode == 2 and done.stderr.startswith("n.ipynb:cell 2:1:7: TLP000 "), done.stderr


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_rule_that_crashes_names_the_cell_and_its_line(
    jobs: int, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from telepathy_lint import rules as registry
    from telepathy_lint.commands import cli

    def crash(*_: Any) -> None:
        raise KeyError("gone")

    for number in range(jobs):
        (folder / f"n{number}.ipynb").write_text(notebook("x = 1", "y = 2\nz = 3", "#\n#\n" + BAD))
    monkeypatch.chdir(folder)
    for rule in registry.all_rules():
        if rule.meta.code == "TLP101":
            monkeypatch.setattr(type(rule), "check", crash)
    arguments = ["check", ".", "--select", "TLP101", "--exclude", "a.py", "--jobs", str(jobs)]
    assert cli.run([*arguments, "--output-format", "json"]) == 2
    for found in json.loads(capsys.readouterr().out):
        assert (found["code"], found["cell"], found["line"], found["column"]) == ("TLP000", 2, 4, 5)
        assert found["message"] == "TLP101 crashed on line 4 of the 3rd code cell: KeyError: 'gone'"
    assert cli.run([*arguments, "--output-format", "concise"]) == 2
    assert capsys.readouterr().out.startswith(
        "n0.ipynb:cell 3:4:5: TLP000 TLP101 crashed on line 4 of the 3rd"
    )


@pytest.mark.parametrize(
    ("cell", "words"),
    [(-1, "line 7"), (0, "line 7 of the 1st code cell"), (1, "line 7 of the 2nd code cell"), (2, "line 7 of the 3rd code cell"),
     (10, "line 7 of the 11th code cell"), (12, "line 7 of the 13th code cell"), (21, "line 7 of the 22nd code cell"),
     (110, "line 7 of the 111th code cell")],
)  # fmt: skip
def test_places_in_words(cell: int, words: str) -> None:
    from telepathy_lint.findings.violation import place_in_words

    assert place_in_words(7, cell) == words


# ---- suppression comments that name no rule

NAMED = """\
from transformers import AutoModel
m = AutoModel.from_pretrained("x", device_map="auto")  # noqa: TLP999, E501, ABC123
s = "# noqa: TLP998"
# flake8: noqa: tlp101
# telepathy-lint: disable=hardcoded-device-mapp, TLP102
# telepathy-lint: enable=hardcoded-device-mapp
# telepathy-lint: disable-file=E501
# noqa: TLP1, TLP000, TLP001
"""
WARNED = [
    "c.py:2:64: suppression comment names TLP999: no such rule, did you mean TLP",
    "c.py:4:17: suppression comment names tlp101: no such rule, did you mean TLP101?",
    "c.py:5:27: suppression comment names hardcoded-device-mapp: no such rule, did you mean hardcoded-device-map?",
    "c.py:6:26: suppression comment names hardcoded-device-mapp: no such rule, did you mean hardcoded-device-map?",
    "c.py:7:32: suppression comment names E501: no such rule",
]


def warned(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert all(line.startswith("telepathy-lint: warning: ") for line in done.stderr.splitlines()), done.stderr
    return [line.removeprefix("telepathy-lint: warning: ") for line in done.stderr.splitlines()]


@pytest.mark.parametrize("loads", [True, False])
def test_codes_of_no_rule_are_named(loads: bool, folder: Path) -> None:
    """Also in a file that loads nothing, and when the result comes from the cache."""
    (folder / "c.py").write_text(NAMED if loads else NAMED.replace("from_pretrained", "from_my_scratch"))
    check = [*LINT, "check", "c.py", "--select", "TLP101"]
    for options in ([], [], ["--no-cache"], ["--statistics"]):
        said = warned(run([*check, *options], folder))
        assert len(said) == len(WARNED), said
        assert all(line.startswith(wanted) for line, wanted in zip(said, WARNED, strict=True)), said
    assert run([*check, "--quiet"], folder).stderr == ""
    done = run(
        [*LINT, "check", "-", "--stdin-filename", "c.py", "--select", "TLP101"],
        folder,
        input=(folder / "c.py").read_text(),
    )
    assert len(warned(done)) == len(WARNED)


def test_a_code_of_no_rule_is_an_unused_suppression(folder: Path) -> None:
    (folder / "c.py").write_text(NAMED)
    check = [*LINT, "check", "c.py", "--select", "TLP101", "--report-unused-noqa"]
    done = run([*check, "--output-format", "json"], folder)
    unused = [(one["line"], one["message"]) for one in json.loads(done.stdout) if one["code"] == "TLP001"]
    assert [line for line, _ in unused] == [2, 4, 5, 7, 8]
    assert unused[0][1].startswith(
        "suppression comment suppresses nothing: TLP999 (no such rule, did you mean TLP"
    )
    assert "E501" not in unused[0][1] and "ABC123" not in unused[0][1]
    assert warned(done) == [WARNED[3]], "an enable is no suppression"
    run([*check, "--fix"], folder)
    assert "# noqa: E501, ABC123\n" in (folder / "c.py").read_text()
    assert "tlp101" not in (folder / "c.py").read_text()


def test_comments_of_a_file_that_cannot_be_read_are_no_failure(folder: Path) -> None:
    """A file without loads is not parsed because of its comments."""
    (folder / "c.py").write_bytes(b"x = '\xe9'  # noqa: TLP999\n")
    (folder / "n.ipynb").write_text('{"broken": "# noqa: TLP999"')
    (folder / "cells.ipynb").write_text(notebook("def f(:", "x = 1  # noqa: TLP999"))
    (folder / "old.py").write_text("print 'x'  # noqa: TLP999\n")
    done = run([*LINT, "check", "c.py", "n.ipynb", "cells.ipynb", "old.py"], folder)
    assert done.returncode == 0, done.stdout
    assert [line.partition(": ")[0] for line in warned(done)] == ["cells.ipynb:cell 2:1:16", "old.py:1:20"]
