"""The command line: doctor, load and dry runs; each command imports only what it needs."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
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
    shown = capsys.readouterr().out
    words = max(len(word) for word in shown.split())  # a path is not broken
    assert max(map(len, shown.splitlines())) <= max(80, 16 + words)
    out = " ".join(shown.split())  # it is folded at 80 columns
    import torch

    for package in (
        "transformers",
        "torch",
    ):  # the distribution's: torch.__version__ may say +cu121 beside it
        assert f"{package} {importlib.metadata.version(package)} (needs " in out
    assert "launcher one process" in out
    assert f"cache {tmp_path / 'hub'} (from HF_HOME), writable" in out
    assert "network forbidden by HF_HUB_OFFLINE" in out
    assert "EagerLlamaForCausalLM does not support sdpa" in out
    if not torch.cuda.is_available():
        assert "flash_attention_2: not usable, it runs on CUDA devices, not on" in out


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
    assert "there is no folder" in " ".join(capsys.readouterr().out.split())
    assert cli.main(["doctor", str(without_sdpa), "--attn-implementation", "sdpa", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["plan"]["error"] == "AttentionError"


def hopeless(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main(["doctor", *arguments, "--json"]) == 1
    plan = json.loads(capsys.readouterr().out)["plan"]
    assert "This load cannot work" in plan["text"]
    return f"{plan['error']}: {plan['text']}"


def test_doctor_is_1_for_a_load_that_cannot_work(
    checkpoints: Checkpoints, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = checkpoints("llama", sharded=True)
    assert cli.main(["doctor", str(folder)]) == 0
    capsys.readouterr()
    said = hopeless(["org/nothing"], capsys)
    assert said.startswith("OfflineError: ")
    assert "none of the files are in the cache" in said
    said = hopeless([str(folder), "--model-class", "AutoModelForSeq2SeqLM"], capsys)
    assert "it is a llama checkpoint" in said
    assert "model_class=LlamaForCausalLM" in said

    broken = Path(shutil.copytree(folder, tmp_path / "broken"))
    shard = sorted(broken.glob("*.safetensors"))[0]
    shard.write_bytes(shard.read_bytes()[:-1])
    assert "is truncated" in hopeless([str(broken)], capsys)
    shard.unlink()
    assert f"{shard.name} is not in" in hopeless([str(broken)], capsys)
    for file in broken.glob("*.safetensors*"):
        file.unlink()
    assert "holds no weights" in hopeless([str(broken)], capsys)
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(config | {"model_type": "lama"}))
    assert "does not support model_type 'lama'" in hopeless([str(broken)], capsys)


def test_what_doctor_calls_hopeless_fails(checkpoints: Checkpoints, tmp_path: Path) -> None:
    """The load itself raises the same error."""
    from telepathy_runtime import LoadError, load_model, plan_load
    from telepathy_runtime.loading import prospects

    broken = Path(shutil.copytree(checkpoints("llama"), tmp_path / "broken"))
    prospects.refuse_hopeless(plan_load(broken))
    for damage in ("cut", "gone"):
        file = broken / "model.safetensors"
        if damage == "cut":
            file.write_bytes(file.read_bytes()[:-9])
        else:
            file.unlink()
        kinds = set()
        for call in (load_model, lambda folder: prospects.refuse_hopeless(plan_load(folder))):
            with pytest.raises(LoadError) as caught:
                call(broken)
            kinds.add(type(caught.value).__name__)
        assert len(kinds) == 1, kinds


def test_the_settings_of_load(checkpoints: Checkpoints, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(checkpoints("llama"))
    secret = "hf_" + "s" * 12
    assert (
        cli.main(
            ["load", folder, "--purpose", "training", "--token", secret, "--trust-remote-code", "--json"]
        )
        == 0
    )
    report = json.loads(capsys.readouterr().out)
    assert report["purpose"] == "training"
    assert report["effective"]["dtype"] == "float32"
    assert cli.main(["load", folder, "--dry-run", "--token", secret]) == 0
    shown = capsys.readouterr().out
    assert "token=..." in shown
    assert secret not in shown
    assert max(map(len, shown.splitlines())) <= max(80, 8 + max(map(len, shown.split())))
    assert cli.main(["load", folder, "--quantization", "nf5"]) == 1
    assert "quantization='nf5'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        cli.main(["load", folder, "--purpose", "train"])
    assert caught.value.code == 2


def test_the_help_knows_every_purpose() -> None:
    from telepathy_runtime.choose import purpose
    from telepathy_runtime.commands import load as load_command

    assert load_command._PURPOSES == purpose.PURPOSES


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
    assert "as LlamaModel: float16" in " ".join(capsys.readouterr().out.split())


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
