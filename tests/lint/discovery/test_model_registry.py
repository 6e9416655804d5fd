"""`model-registry`: the project's own models are known to TLP305 and to the audit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from telepathy_lint.commands.cli import run

REGISTRY = """
[[model]]
ids = ["house/big"]
architecture = "llama"
layers = 32
hidden = 4096
intermediate = 14336
heads = 32
kv_heads = 8
head_dim = 128
vocab = 128256
tied = false
max_positions = 8192
"""
SCRIPT = """\
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

tokenizer = AutoTokenizer.from_pretrained("house/big")
model = AutoModelForCausalLM.from_pretrained("house/big", dtype=torch.bfloat16)
data = texts.map(lambda row: tokenizer(row["text"], padding="max_length", truncation=True, max_length=1024))
arguments = TrainingArguments("out", per_device_train_batch_size=64)
Trainer(model=model, args=arguments, train_dataset=data).train()
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "models.toml").write_text(REGISTRY)
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "telepathy-lint.toml").write_text('model-registry = "models.toml"\ngpu = "H200"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def findings(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    code = run(["check", "--select", "TLP305", "--output-format", "concise", *options, "train.py"])
    out, err = capsys.readouterr()
    return code, out + err


def test_a_rule_knows_the_projects_own_models(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = findings(capsys)
    assert code == 1 and "training house/big with 1024 tokens per sequence needs" in out
    assert findings(capsys, "--isolated")[0] == 0


def test_a_cached_result_goes_with_the_registry(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert findings(capsys)[0] == 1
    (project / "models.toml").write_text(
        REGISTRY.replace("128256", "1000").replace("layers = 32", "layers = 2")
    )
    assert findings(capsys)[0] == 0


def test_the_audit_knows_them_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", "--format", "json", "."]) in (0, 1)
    text = capsys.readouterr().out
    assert "8030261248" in text.replace(",", "") or '"parameters": 8030261248' in text
    assert json.loads(text)
    assert run(["audit", "--format", "json", "--isolated", "."]) in (0, 1)
    assert "8030261248" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("[[model]\n", "not valid TOML"),
        (REGISTRY.replace("layers = 32", "layers = -1"), "layers must be a positive integer"),
    ],
    ids=["missing", "broken", "negative"],
)
def test_a_registry_that_cannot_be_used_is_an_error(
    content: str | None, message: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "models.toml").unlink()
    if content is not None:
        (project / "models.toml").write_text(content)
    code, out = findings(capsys)
    assert code == 2 and "'model-registry' 'models.toml'" in out and message in out


def test_it_is_relative_to_the_file_that_names_it(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = project / "inner"
    inner.mkdir()
    (inner / "train.py").write_text(SCRIPT)
    (inner / "telepathy-lint.toml").write_text('extend = "../telepathy-lint.toml"\n')
    monkeypatch.chdir(inner)
    assert findings(capsys)[0] == 1


def test_the_key_is_a_file_name(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "telepathy-lint.toml").write_text("model-registry = 3\n")
    code, out = findings(capsys)
    assert code == 2 and "'model-registry' must be the name of a TOML file" in out
