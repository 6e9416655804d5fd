"""Training arguments in shell scripts, JSON and YAML, which `migrate` reports and leaves to people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from telepathy_lint.commands import cli
from telepathy_lint.commands.old_settings import SUFFIXES, OldSetting, old_settings

SHELL = """\
torchrun train.py \\
    --output_dir out --learning_rate 2e-5 \\
    --evaluation_strategy "no" \\
    --no_cuda=True
# --overwrite_output_dir was there once
"""


def found(folder: Path, **files: str) -> list[tuple[str, int, str]]:
    for name, text in files.items():
        (folder / name.replace("_dot_", ".")).write_text(text)
    paths = sorted(str(path) for path in folder.iterdir() if path.suffix in SUFFIXES)
    code = sorted(str(path) for path in folder.glob("*.py"))
    return [(Path(each.path).name, each.line, each.removed.name) for each in old_settings(paths, code)]


def test_options_in_a_shell_script_are_found(tmp_path: Path) -> None:
    assert found(tmp_path, run_dot_sh=SHELL) == [
        ("run.sh", 3, "evaluation_strategy"),
        ("run.sh", 4, "no_cuda"),
    ]


def test_keys_of_json_and_yaml_are_found(tmp_path: Path) -> None:
    json = '{\n  "output_dir": "x",\n  "num_train_epochs": 1,\n  "evaluation_strategy": "steps"\n}\n'
    yaml = "training:\n  output_dir: x\n  save_steps: 10\n  fp16_backend: auto\n"
    assert found(tmp_path, a_dot_json=json, b_dot_yaml=yaml) == [
        ("a.json", 4, "evaluation_strategy"),
        ("b.yaml", 4, "fp16_backend"),
    ]


def test_a_file_that_is_about_something_else_is_not_read_as_training_arguments(tmp_path: Path) -> None:
    assert (
        found(
            tmp_path, run_dot_sh="python bench.py --no_cuda --learning_rate 1\n", a_dot_yaml="no_cuda: true\n"
        )
        == []
    )


@pytest.mark.parametrize(
    "code",
    ['parser.add_argument("--no_cuda")\n', "class Args:\n    no_cuda: bool = False\n"],
    ids=["parser", "dataclass"],
)
def test_what_the_project_declares_itself_is_its_own(tmp_path: Path, code: str) -> None:
    assert found(tmp_path, run_dot_sh=SHELL, train_dot_py=code) == [("run.sh", 3, "evaluation_strategy")]


def test_the_message_names_the_release_and_the_new_name(tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text(SHELL)
    first: OldSetting = next(old_settings([str(tmp_path / "run.sh")], []))
    assert first.message == (
        "TrainingArguments has no evaluation_strategy since transformers 4.51: the name is eval_strategy"
    )


def test_migrate_reports_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.sh").write_text(SHELL)
    assert cli.run(["migrate", "-o", "report.md"]) == 1
    assert "For you to decide (2 places):" in (out := capsys.readouterr().out)
    assert "run.sh:3: TrainingArguments has no evaluation_strategy" in out
    assert (
        "- [ ] TrainingArguments has no no_cuda since transformers 5.0: the name is use_cpu: `run.sh:4`\n"
        in Path("report.md").read_text()
    )
    assert Path("run.sh").read_text() == SHELL
