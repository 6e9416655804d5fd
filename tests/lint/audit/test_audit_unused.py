"""TLP303 on the command line: the whole project is read, and its findings are treated like others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from telepathy_lint import rules as registry
from telepathy_lint.audit import facts
from telepathy_lint.commands.cli import run
from telepathy_lint.settings.selectors import PROJECT_RULES

TABLES = """\
BATCH_SIZE = {
    "Qwen/Qwen2.5-3B": 6,
    "Qwen/Qwen2.5-7B": 2,
}
HIDDEN = {"Qwen/Qwen2.5-7B": 3584}
"""
TRAIN = """\
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("Qwen/Qwen2.5-3B")
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "tables.py").write_text(TABLES)
    (tmp_path / "train.py").write_text(TRAIN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(capsys: pytest.CaptureFixture[str], *options: str) -> list[str]:
    """The findings of a run, without its last line."""
    run(["check", "--output-format", "concise", "--quiet", "--no-cache", *options])
    return capsys.readouterr().out.splitlines()


FOUND = [
    "lab/tables.py:3:5: TLP303 nothing in the project loads this model: 'Qwen/Qwen2.5-7B'; also named in lab/tables.py:5"
]


def test_it_is_off_unless_selected(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not [line for line in check(capsys) if "TLP303" in line]
    assert check(capsys, "--select", "TLP303") == FOUND
    assert check(capsys, "--select", "TLP101", "--extend-select", "unused-model-config") == FOUND
    assert check(capsys, "--select", "ALL", "--ignore", "TLP1,TLP2,TLP9") == FOUND
    assert check(capsys, "--select", "TLP3", "--ignore", "TLP303") == []


def test_the_rest_of_the_project_counts_where_one_file_is_given(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(capsys, "--select", "TLP303", "lab/tables.py") == FOUND
    assert check(capsys, "--select", "TLP303", "train.py") == []
    (project / "other.py").write_text(
        'from transformers import pipeline\npipeline(model="Qwen/Qwen2.5-7B")\n'
    )
    assert check(capsys, "--select", "TLP303", "lab/tables.py") == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("sweep.sh", "python train.py --model Qwen/Qwen2.5-7B\n", id="a script"),
        pytest.param("conf.yaml", "model: Qwen/Qwen2.5-7B\n", id="a configuration file"),
        pytest.param("README.md", "    python train.py --model Qwen/Qwen2.5-7B\n", id="a documented command"),
        pytest.param("Makefile", "MODEL = Qwen/Qwen2.5-7B\n", id="a makefile"),
        pytest.param(
            "use.py", "from lab.tables import BATCH_SIZE\nfor name in BATCH_SIZE: go(name)\n", id="a module"
        ),
        pytest.param("go.py", 'launch("train.py", model="Qwen/Qwen2.5-7B")\n', id="an unknown call"),
    ],
)
def test_what_might_load_it_keeps_the_rule_silent(
    project: Path, capsys: pytest.CaptureFixture[str], name: str, text: str
) -> None:
    (project / name).write_text(text)
    assert check(capsys, "--select", "TLP303") == []


def test_what_only_speaks_of_it_is_listed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "NOTES.md").write_text("# Notes\n- Qwen/Qwen2.5-7B would be next\n")
    (project / "results.json").write_text('{"model": "Qwen/Qwen2.5-7B"}')
    (line,) = check(capsys, "--select", "TLP303")
    assert line.endswith("also named in NOTES.md:2, lab/tables.py:5, results.json:1")


def test_another_name_of_a_loaded_model_is_loaded(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "more.py").write_text('SIZES = {"meta-llama/Meta-Llama-3.1-8B": 8.03}\n')
    assert len(check(capsys, "--select", "TLP303")) == 2
    (project / "go.py").write_text(TRAIN.replace("Qwen/Qwen2.5-3B", "meta-llama/Llama-3.1-8B"))
    assert check(capsys, "--select", "TLP303") == FOUND


def test_comments_baselines_and_ignores_hold(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    baseline = ["--select", "TLP303", "--baseline", "known.json"]
    check(capsys, *baseline, "--write-baseline")
    assert check(capsys, *baseline) == []
    assert check(capsys, "--select", "TLP303", "--per-file-ignores", "lab/*:TLP303") == []
    path = project / "lab" / "tables.py"
    path.write_text(TABLES.replace("2,", "2,  # noqa: TLP303"))
    assert check(capsys, "--select", "TLP303") == []
    path.write_text(TABLES.replace("BATCH", "# telepathy-lint: disable=TLP303\nBATCH"))
    assert check(capsys, "--select", "TLP303") == []
    path.write_text(TABLES)
    run(["check", "--select", "TLP303", "--add-noqa"])
    assert path.read_text() == TABLES.replace("2,", "2,  # noqa: TLP303")


def test_a_comment_that_silences_it_is_used(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "lab" / "tables.py").write_text(TABLES.replace("2,", "2,  # noqa: TLP303"))
    assert check(capsys, "--select", "TLP303", "--report-unused-noqa") == []


def test_every_format_can_say_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("full", "grouped", "json", "json-lines", "sarif", "github", "gitlab", "junit", "rdjson"):
        assert run(["check", "--select", "TLP303", "--output-format", name]) == 1
        assert "Qwen/Qwen2.5-7B" in capsys.readouterr().out, name
    run(["check", "--select", "TLP303", "--output-format", "json"])
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["path"], found["line"], found["column"], found["fix"]) == ("lab/tables.py", 3, 5, None)


def test_fixing_other_rules_leaves_it_reported(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "lab" / "tables.py").write_text(TABLES + TRAIN.replace(")\n", ', device_map="auto")\n'))
    lines = check(capsys, "--select", "TLP303,TLP101", "--fix")
    assert lines == FOUND
    assert "load_model" in (project / "lab" / "tables.py").read_text()


def test_a_notebook_is_a_file_like_others(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    cells = [{**cell, "source": "import os"}, {**cell, "source": 'OLD = "google/gemma-2-9b"'}]
    (project / "look.ipynb").write_text(
        json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    (finding,) = check(capsys, "--select", "TLP303", "look.ipynb")
    assert finding.startswith("look.ipynb:cell 2:1:7: TLP303")


def test_nothing_is_paid_where_it_is_not_selected(project: Path) -> None:
    code = (
        "from telepathy_lint.commands.cli import run; import sys\n"
        f"run(['check', {str(project / 'train.py')!r}])\n"
        "print('audit' in ' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout.splitlines()[-1] == "False"


def test_the_rules_that_need_the_project_are_known_without_loading_them() -> None:
    meta = [rule.meta for rule in registry.all_rules() if rule.meta.project]
    assert {name for each in meta for name in (each.code, each.name)} == set(PROJECT_RULES)


def test_the_audit_says_so_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also if the folder is given under a different name."""
    for path in (".", str(project)):
        assert run(["audit", path]) == 0
        text = capsys.readouterr().out
        assert "`Qwen/Qwen2.5-7B`: nothing in the project can load it (TLP303)" in text
        assert f"telepathy-lint check --select TLP303 {path}" in text


@pytest.fixture
def scratch(project: Path) -> Path:
    """A folder that nothing marks as a project, with files that were not given."""
    (project / "pyproject.toml").unlink()
    for mark in (".git", "pyproject.toml", "setup.cfg", "setup.py"):
        assert not any((folder / mark).exists() for folder in project.parents)
    (project / "alone.py").write_text(TABLES + TRAIN)
    return project


def test_without_a_project_only_what_is_given_counts(
    scratch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (scratch / "sweep.sh").write_text("python train.py --model Qwen/Qwen2.5-7B\n")
    (scratch / "use.py").write_text(TRAIN.replace("Qwen/Qwen2.5-3B", "Qwen/Qwen2.5-7B"))
    found = ["alone.py:3:5: TLP303 nothing in the project loads this model: 'Qwen/Qwen2.5-7B'"]
    assert check(capsys, "--select", "TLP303", "alone.py") == [f"{found[0]}; also named in alone.py:5"]
    assert check(capsys, "--select", "TLP303", "alone.py", "train.py") != []
    assert check(capsys, "--select", "TLP303", "alone.py", "use.py") == []
    assert check(capsys, "--select", "TLP303", "lab") == []  # nothing that was given loads a model
    assert check(capsys, "--select", "TLP303") == []
    (scratch / "use.py").unlink()
    assert check(capsys, "--select", "TLP303") == []
    (scratch / "sweep.sh").unlink()
    assert len(check(capsys, "--select", "TLP303")) == 1


def test_what_is_given_from_elsewhere_counts_as_one(
    scratch: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (scratch / "empty").mkdir()
    monkeypatch.chdir(scratch / "empty")
    lines = check(capsys, "--select", "TLP303", "../lab", "../train.py")
    assert [line.partition(" TLP303 ")[0] for line in lines] == ["../lab/tables.py:3:5:"]
    assert lines[0].endswith("also named in lab/tables.py:5")


def test_neighbours_of_what_is_given_are_not_opened(
    scratch: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("telepathy_lint.audit.unused.os.walk", lambda path: opened.append(path) or iter(()))
    monkeypatch.setattr(
        "telepathy_lint.discovery.walk.os.scandir", lambda path: pytest.fail(f"{path} was listed")
    )
    assert len(check(capsys, "--select", "ALL", "--ignore", "TLP1,TLP2,TLP9", "alone.py")) == 1
    assert opened == [str(scratch / "alone.py")]


def test_it_says_what_it_takes_for_the_project(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["check", "--select", "TLP303", "--verbose", "lab"])
    assert f"the project: {project}\n" in capsys.readouterr().err
    (project / "pyproject.toml").unlink()
    run(["check", "--select", "TLP303", "--verbose", "lab", "train.py"])
    assert (
        f"the project: only lab, train.py in {project}, because it and its parents contain none of .git, pyproject.toml"
        in capsys.readouterr().err
    )
    run(["check", "--select", "TLP303", "lab"])
    assert "the project" not in capsys.readouterr().err


def test_results_and_pipes_are_not_collected(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "runs").mkdir()
    for number in range(3):
        (project / "runs" / f"{number}.json").write_text('{"loss": 0.1, "at": "a/b"}' * 1000)
    os.mkfifo(project / "pipe")  # nobody writes into it: whoever opens it waits
    collected: list[str] = []
    real = facts.collect
    monkeypatch.setattr(facts, "collect", lambda job, *more: collected.append(job.shown) or real(job, *more))
    assert check(capsys, "--select", "TLP303", "--jobs", "1") == FOUND
    assert collected == ["lab/tables.py", "train.py"]


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="the system does not count")
def test_of_binary_and_large_files_little_is_read(project: Path) -> None:
    """According to the operating system, for a run with 60 MB of weights and logs."""
    for number in range(30):
        (project / f"weights{number}.bin").write_bytes(b"\0" * 1_900_000)
    (project / "log.txt").write_bytes(b"x" * 2_100_000)
    code = (
        "from telepathy_lint.audit.facts import unused\nfrom telepathy_lint.discovery.config import Configs\n"
        "def read(): return int(open('/proc/self/io').readline().split()[1])\n"
        "before = read()\nassert unused(['.'], Configs())\nprint(read() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert int(done.stdout) < 2_000_000
