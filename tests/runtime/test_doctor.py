"""The command line: doctor, load and dry runs, and a dispatcher that imports only what it is asked for."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

import telepathy_runtime
from telepathy_runtime import LoadReport
from telepathy_runtime.commands import cli
from tests.runtime.conftest import Checkpoints

ROOT = Path(telepathy_runtime.__file__).parent.parent


def test_doctor_prints_what_is_here_and_what_it_would_choose(
    without_sdpa: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert cli.main(["doctor", str(without_sdpa)]) == 0
    out = capsys.readouterr().out
    import torch

    for package in (
        "transformers",
        "torch",
    ):  # the distribution's: torch.__version__ may say +cu121 beside it
        assert f"{package:<15} {importlib.metadata.version(package)} (wants " in out
    assert "launcher     one process" in out
    assert f"cache        {tmp_path / 'hub'} (from HF_HOME), writable" in out
    assert "network      forbidden by HF_HUB_OFFLINE" in out
    assert "EagerLlamaForCausalLM has no sdpa" in out
    if not torch.cuda.is_available():
        assert "flash_attention_2: not usable, it runs on CUDA devices, this is" in out


def test_doctor_json(
    checkpoints: Checkpoints, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"WORLD_SIZE": "16", "RANK": "11", "LOCAL_RANK": "3"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert cli.main(["doctor", str(checkpoints("llama")), "--json", "--dtype", "none"]) == 0
    out = capsys.readouterr().out
    found = json.loads(out)
    assert found["launcher"]["description"] == "WORLD_SIZE: process 11 of 16, local rank 3"
    assert isinstance(found["cache"]["free_bytes"], int)
    assert found["plan"]["dtype"]["value"] is None
    assert {row["name"] for row in found["attention"]} >= {
        "flash_attention_2",
        "flash_attention_3",
        "sdpa",
        "eager",
    }
    assert all(row["because"] for row in found["attention"])
    assert "hf_secret" not in out


def test_doctor_says_what_cannot_be(
    without_sdpa: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["doctor", str(tmp_path / "gone")]) == 1
    assert "there is no folder" in capsys.readouterr().out
    assert cli.main(["doctor", str(without_sdpa), "--attn-implementation", "sdpa", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["plan"]["error"] == "AttentionError"


def test_load_and_dry_run(checkpoints: Checkpoints, capsys: pytest.CaptureFixture[str]) -> None:
    from transformers import LlamaForCausalLM

    folder = str(checkpoints("llama"))
    assert cli.main(["load", folder, "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert cli.main(["load", folder, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    chosen = plan["attn_implementation"]["value"]
    assert report["effective"]["attn_implementation"] == chosen
    assert chosen == ("sdpa" if LlamaForCausalLM._supports_sdpa else "eager")
    assert set(report) == {"event", *LoadReport.__dataclass_fields__}
    assert cli.main(["load", folder, "--model-class", "LlamaModel", "--dtype", "float16"]) == 0
    assert "as LlamaModel: float16" in capsys.readouterr().out


def test_load_errors_are_one_line(capsys: pytest.CaptureFixture[str], checkpoints: Checkpoints) -> None:
    assert cli.main(["load", "./gone"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("telepathy-runtime: ")
    assert len(error.splitlines()) == 1
    assert cli.main(["load", str(checkpoints("llama")), "--model-class", "LamaModel"]) == 1
    assert "transformers has no such class" in capsys.readouterr().err


def test_every_command_of_the_table_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    for names in cli.COMMANDS.values():
        for name in names:
            assert name in shown
    with pytest.raises(SystemExit) as caught:
        cli.main(["docter"])
    assert caught.value.code == 2


@pytest.mark.parametrize("command", [["--help"], ["doctor", "--help"], ["models", "--help"]])
def test_help_needs_no_torch(command: list[str]) -> None:
    code = (
        f"import sys, telepathy_runtime.commands.cli as c\ntry: c.main({command!r})\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
