"""`telepathy-lint migrate`: what it changes, what it leaves to people, what it says of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from telepathy_lint.commands import cli

SCRIPT = """\
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

tokenizer = AutoTokenizer.from_pretrained("gpt2")
model = AutoModelForCausalLM.from_pretrained("gpt2", use_auth_token=True)
args = TrainingArguments("out", evaluation_strategy="steps", logging_dir="logs", report_to="tensorboard")
Trainer(model=model, args=args, tokenizer=tokenizer)
"""
FIXED = """\
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

tokenizer = AutoTokenizer.from_pretrained("gpt2")
model = AutoModelForCausalLM.from_pretrained("gpt2", token=True)
args = TrainingArguments("out", eval_strategy="steps", logging_dir="logs", report_to="tensorboard")
Trainer(model=model, args=args, processing_class=tokenizer)
"""
REQUIREMENTS = "torch\ntransformers[torch]==4.46.3  # pinned\ntransformers-stream-generator==1\n"
PROJECT = '[project]\nname = "x"\ndependencies = ["transformers>=4.40,<5", "trl"]\n'


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text(SCRIPT)
    Path("requirements.txt").write_text(REQUIREMENTS)
    Path("pyproject.toml").write_text(PROJECT)
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.run(["migrate", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_nothing_is_written_unless_asked(run: Any) -> None:
    code, out, _ = run()
    assert code == 1
    assert "Would change 3 places in 1 file:" in out
    assert "TLP401 removed-training-argument (1), TLP402 removed-trainer-argument (1)" in out
    assert "For you to decide (2 places):" in out
    assert "train.py:4:9: TLP407 other default in transformers 5: without dtype" in out
    assert "TENSORBOARD_LOGGING_DIR" in out
    assert "transformers[torch]==4.46.3 -> transformers[torch]>=5.0" in out
    assert Path("train.py").read_text() == SCRIPT
    assert Path("requirements.txt").read_text() == REQUIREMENTS
    assert Path("pyproject.toml").read_text() == PROJECT


def test_fix_changes_the_code_and_leaves_the_requirements(run: Any) -> None:
    code, out, _ = run("--fix")
    assert (code, Path("train.py").read_text()) == (1, FIXED)
    assert "Changed 3 places in 1 file:" in out
    assert Path("requirements.txt").read_text() == REQUIREMENTS


def test_fix_requirements_changes_them_as_well(run: Any) -> None:
    run("--fix", "--fix-requirements", "--to", ">=5.2,<6")
    assert Path("requirements.txt").read_text() == REQUIREMENTS.replace("==4.46.3", ">=5.2,<6")
    assert Path("pyproject.toml").read_text() == PROJECT.replace(">=4.40,<5", ">=5.2,<6")
    assert "requirement" not in run("--to", ">=5.2,<6")[1]


def test_diff_is_a_patch_and_nothing_else(run: Any) -> None:
    _, out, _ = run("--diff")
    assert out.startswith("--- train.py\n+++ train.py\n")
    assert "\n+Trainer(model=model, args=args, processing_class=tokenizer)\n" in out
    assert Path("train.py").read_text() == SCRIPT


def test_the_report_lists_changes_decisions_and_requirements(run: Any) -> None:
    run("-o", "report.md")
    report = Path("report.md").read_text()
    assert report.startswith(
        "# Move to transformers 5.0\n\n3 places to change in 1 file, 2 places to decide.\n\n## To change\n"
    )
    said = "- TLP402: removed argument: Trainer takes no tokenizer since transformers 5.0"
    assert any(line.startswith(said) and line.endswith(": `train.py:6`") for line in report.splitlines())
    assert "- [ ] TLP401: removed argument: TrainingArguments has no logging_dir" in report
    assert "| `pyproject.toml:3` | `transformers>=4.40,<5` | `transformers>=5.0` |" in report


def test_the_report_says_once_what_is_the_same_in_several_places(run: Any) -> None:
    Path("other.py").write_text(
        'from transformers import TrainingArguments\n\nfirst = TrainingArguments("o", logging_dir="logs", report_to="all")\n'
    )
    Path("train.py").write_text(Path("other.py").read_text())
    run("--fix", "-o", "report.md")
    said = [
        line for line in Path("report.md").read_text().splitlines() if "logging_dir" in line or ".py:" in line
    ]
    assert said[0].startswith("- [ ] TLP401: ")
    assert said[1:] == ["  - [ ] `other.py:3`", "  - [ ] `train.py:3`"]


def test_the_report_of_a_project_without_findings_says_so(run: Any) -> None:
    Path("train.py").write_text("x = 1\n")
    run("--fix", "-o", "report.md")
    assert (
        "0 places changed in 0 files, 0 places to decide.\n\nNothing here needs a change for it.\n"
        in Path("report.md").read_text()
    )


def test_what_has_moved_is_done(run: Any) -> None:
    Path("train.py").write_text(
        FIXED.replace(', logging_dir="logs"', "").replace("token=True", 'dtype="float32"')
    )
    Path("requirements.txt").write_text("transformers>=5.1\n")
    Path("pyproject.toml").unlink()
    assert run()[:2] == (0, "Would change 0 places in 0 files:\n")


def test_a_project_that_keeps_4_gets_fixes_that_run_on_both(run: Any) -> None:
    Path("train.py").write_text(
        'from transformers import TrainingArguments\n\nargs = TrainingArguments("o", warmup_ratio=0.1)\n'
    )
    assert "Would change 0 places" in run("--to", ">=4.50,<6")[1]
    assert "Would change 1 place in 1 file" in run("--to", "5.0")[1]


def test_the_version_of_trl_decides_what_its_fixes_may_write(run: Any) -> None:
    Path("train.py").write_text('from trl import SFTConfig\n\nargs = SFTConfig("o", max_seq_length=512)\n')
    assert "Would change 0 places" in run()[1]
    assert "Would change 1 place in 1 file" in run("--trl", "0.20")[1]


def test_what_is_written_as_text_is_no_list_for_the_tokenizer(run: Any) -> None:
    script = """\
from transformers import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("gpt2")


def encode(rows, index):
    text = str(rows[index])
    text = " ".join(text.split())
    return tokenizer.encode_plus(text, None, max_length=9), tokenizer.encode_plus(rows, max_length=9)
"""
    Path("train.py").write_text(script)
    run("--fix")
    assert Path("train.py").read_text() == script.replace("tokenizer.encode_plus(text", "tokenizer(text")
    run("--fix", "--unsafe-fixes")
    assert "encode_plus" not in Path("train.py").read_text()


def test_a_variable_that_the_file_reads_keeps_its_name(run: Any) -> None:
    written = 'import os\nimport transformers\nos.environ["TRANSFORMERS_CACHE"] = "x"\n'
    for read in ('print(os.environ["TRANSFORMERS_CACHE"])\n', 'os.getenv("TRANSFORMERS_CACHE")\n'):
        Path("train.py").write_text(written + read)
        assert "Would change 0 places" in run("--unsafe-fixes")[1]
    Path("train.py").write_text(written)
    assert "Would change 1 place" in run("--unsafe-fixes")[1]


def test_one_load_is_named_once_for_all_its_trainers(run: Any) -> None:
    Path("train.py").write_text(SCRIPT.replace("use_auth_token=True", "") + "Trainer(model, args)\n" * 2)
    assert run()[1].count("TLP407") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "nowhere: no such file or folder"),
        (("--fix", "--diff"), "--fix cannot be used with --diff"),
        (("--fix-requirements",), "--fix-requirements needs --fix"),
        (("--to", "five"), "target-transformers"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], said: str, run: Any) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert said in err


@pytest.mark.parametrize(
    ("requirement", "found"),
    [
        ("transformers==4.46.3", False),
        ("transformers>=4.46,<5", False),
        ("transformers", False),
        ("transformers>=4.46", True),
        ("transformers>=5", True),
    ],
)
def test_check_speaks_of_the_move_where_the_project_allows_it(
    requirement: str, found: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("pyproject.toml").unlink()
    Path("requirements.txt").write_text(f"{requirement}\n")
    cli.run(["check", "--output-format", "concise", "--no-cache", "train.py"])
    out = capsys.readouterr().out
    assert ("TLP401" in out) is found
    assert ("TLP407" in out) is (
        requirement == "transformers>=4.46"
    )  # a project that needs 5 moves from nothing
    cli.run(["check", "--output-format", "concise", "--no-cache", "--select", "TLP401", "train.py"])
    assert "TLP401" in capsys.readouterr().out
    cli.run(["check", "--output-format", "concise", "--no-cache", "--ignore", "TLP4", "train.py"])
    assert "TLP401" not in capsys.readouterr().out
