"""Arguments of training configs that a safe fix leaves out: nothing reads them, here or in the project, and no tracker uses them."""

from __future__ import annotations

from pathlib import Path

import pytest

from telepathy_lint import engine
from telepathy_lint.commands import cli
from telepathy_lint.rules import select
from telepathy_lint.settings import Settings
from telepathy_lint.source.text import Source

BEGIN = "from transformers import TrainingArguments, Trainer\n"


def fixed(code: str, version: str = ">=4.46", unsafe: bool = False) -> str:
    source = Source("script.py", (BEGIN + code + "\n").encode())
    how = Settings(version, strict=True)
    text = engine.fix(source, select(["TLP401"]), how, unsafe=unsafe).text
    return text.removeprefix(BEGIN).removesuffix("\n")


@pytest.mark.parametrize(
    ("code", "safe"),
    [
        ("TrainingArguments('o', logging_dir='x', report_to='none')", True),
        ("TrainingArguments('o', logging_dir='x', report_to=[])", True),
        ("TrainingArguments('o', logging_dir='x', report_to=['wandb'])", True),
        # None means all trackers in transformers 4.
        ("TrainingArguments('o', logging_dir='x', report_to=None)", False),
        ("TrainingArguments('o', logging_dir='x', report_to=['wandb', None])", False),
        ("TrainingArguments('o', logging_dir='x', report_to='none'); c = TensorBoardCallback()", False),
    ],
)
def test_the_folder_of_logs_goes_where_nothing_is_logged_there(code: str, safe: bool) -> None:
    after = code.replace(" logging_dir='x',", "")
    assert fixed(code) == (after if safe else code)
    assert fixed(code, unsafe=True) == after


@pytest.mark.parametrize(
    ("use", "read"),
    [
        ("print(args.output_dir)", False),
        ("print({'overwrite_output_dir': True})", False),
        ("print(args.overwrite_output_dir)", True),
        ("print(getattr(args, 'overwrite_output_dir'))", True),
        ("print(args.to_dict()['overwrite_output_dir'])", True),
    ],
)
def test_a_setting_that_the_file_reads_stays(use: str, read: bool) -> None:
    code = f"args = TrainingArguments('o', overwrite_output_dir=True)\n{use}"
    assert fixed(code) == (code if read else code.replace(", overwrite_output_dir=True", ""))


@pytest.mark.parametrize(
    ("module", "read"),
    [
        ("def prepare(args):\n    return args.overwrite_output_dir\n", True),
        ("def prepare(args):\n    return args.output_dir\n", False),
    ],
)
def test_a_setting_that_another_file_reads_stays(
    module: str, read: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"{BEGIN}from helper import prepare\nprepare(TrainingArguments('o', overwrite_output_dir=True))\n"
    (tmp_path / ".git").mkdir()
    (tmp_path / "main.py").write_text(code)
    (tmp_path / "helper.py").write_text(module)
    monkeypatch.chdir(tmp_path)
    cli.run(["check", "-q", "--no-cache", "--strict", "--select", "TLP401", "--fix", "."])
    after = (tmp_path / "main.py").read_text()
    assert after == (code if read else code.replace(", overwrite_output_dir=True", ""))


def test_the_old_strategy_is_none_where_it_was_not_passed() -> None:
    code = "(args,) = HfArgumentParser(TrainingArguments).parse_args_into_dataclasses()\nprint(args.evaluation_strategy)"
    code = "from transformers import HfArgumentParser\n" + code
    after = code.replace("evaluation", "eval")
    assert fixed(code, ">=4.51") == after
    assert fixed(code) == code
    assert fixed(code, unsafe=True) == after


RENAMED = "TrainingArguments('o', no_cuda=True)"


@pytest.mark.parametrize(
    ("code", "safe"),
    [
        (f"args = {RENAMED}", True),
        # The read is renamed with it.
        (f"args = {RENAMED}\nprint(args.no_cuda)", True),
        # The read is of something that is not known to be the config.
        (f"def train(args):\n    print(args.no_cuda)\ntrain({RENAMED})", False),
        (f"def train(args):\n    print(args.no_cuda)\nargs = {RENAMED}", False),
        ("args = TrainingArguments('o', no_cuda=options.no_cuda)", True),
        (f"parser.add_argument('--no_cuda')\nprint(options.no_cuda)\nargs = {RENAMED}", True),
        (f"parser.add_argument('--no-cuda')\nprint(options.no_cuda)\nargs = {RENAMED}", True),
    ],
)
def test_an_argument_is_renamed_where_no_read_keeps_the_old_name(code: str, safe: bool) -> None:
    assert ("use_cpu=" in fixed(code)) is safe
    assert "use_cpu=" in fixed(code, unsafe=True)
    # Where the old name raises, nothing ran that the new one could change.
    assert "use_cpu=" in fixed(code, ">=5.0")


@pytest.mark.parametrize(
    ("module", "safe"),
    [
        ("def train(args):\n    return args.no_cuda\n", False),
        ("def train(args):\n    return args.use_cpu\n", True),
        ("parser.add_argument('--no-cuda')\nprint(parser.parse_args().no_cuda)\n", True),
    ],
)
def test_an_argument_is_renamed_where_no_other_file_reads_it(
    module: str, safe: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"{BEGIN}from helper import train\ntrain({RENAMED})\n"
    (tmp_path / ".git").mkdir()
    (tmp_path / "main.py").write_text(code)
    (tmp_path / "helper.py").write_text(module)
    monkeypatch.chdir(tmp_path)
    cli.run(["check", "-q", "--no-cache", "--strict", "--select", "TLP401", "--fix", "main.py"])
    assert ("use_cpu=" in (tmp_path / "main.py").read_text()) is safe


def test_both_ends_of_an_old_strategy_are_renamed_together() -> None:
    code = "args = TrainingArguments('o', evaluation_strategy='steps')\nprint(args.evaluation_strategy)"
    assert fixed(code) == code.replace("evaluation", "eval")
