"""TLP305: all numbers come from the planner, for the configured GPU, and without importing torch."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from telepathy_lint import engine
from telepathy_lint import rules as registry
from telepathy_lint.discovery.config import from_table
from telepathy_lint.settings import Settings
from telepathy_lint.source.text import Source
from telepathy_runtime.memory import Workload, max_batch
from telepathy_runtime.models.registry import get

ROOT = Path(__file__).parents[3]
TRAINING = """\
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

tokenizer = AutoTokenizer.from_pretrained("Qwen/Qwen2.5-1.5B")
model = AutoModelForCausalLM.from_pretrained("Qwen/Qwen2.5-1.5B", dtype=torch.bfloat16)
data = texts.map(lambda row: tokenizer(row["text"], padding="max_length", truncation=True, max_length=1024))
arguments = TrainingArguments("out", per_device_train_batch_size=BATCH)
Trainer(model=model, args=arguments, train_dataset=data).train()
"""
WORK = Workload(seq_len=1024, regime="full", use_cache=False, keep_outputs=False, opt_impl="fused")


def messages(batch: int, settings: Settings | None = None, code: str = TRAINING) -> list[str]:
    source = Source("script.py", code.replace("BATCH", str(batch)).encode())
    return [one.message for one in engine.lint(source, registry.select(["TLP305"]), settings or Settings())]


@pytest.mark.parametrize("gpu", ["H100-80GB", "h200", "A100-40GB"])
def test_the_safe_batch_is_silent_and_the_next_is_not(gpu: str) -> None:
    fit = max_batch(get("Qwen/Qwen2.5-1.5B"), WORK, device=gpu)
    assert not messages(fit.batch, Settings(gpu=gpu))
    (message,) = messages(fit.batch + 1, Settings(gpu=gpu))
    assert message.endswith(f"{fit.batch} is safe")
    assert f"{fit.above.peak_allocated / 2**30:.1f} GiB" in message
    assert fit.gpu.name in message


@pytest.mark.parametrize("gpu", ["T4", "device", "B300"])
def test_a_gpu_that_holds_no_sequence_or_is_not_known_is_silent(gpu: str) -> None:
    assert not messages(4096, Settings(gpu=gpu))


def test_the_configuration_names_the_gpu() -> None:
    assert from_table({"gpu": "H200"}, "pyproject.toml").settings(None).gpu == "H200"
    assert from_table({}, "pyproject.toml").settings(None).gpu == "H100-80GB"


@pytest.mark.parametrize(
    "line",
    [
        "model.enable_input_require_grads(); model.gradient_checkpointing_enable()",
        "# with FSDP",
        "import deepspeed",
    ],
)
def test_a_sign_of_another_regime_anywhere_is_enough_to_be_silent(line: str) -> None:
    assert messages(4096)
    assert not messages(4096, code=f"{TRAINING}{line}\n")


@pytest.mark.parametrize(
    ("old", "new", "reported"),
    [
        ("dtype=torch.bfloat16", "dtype=torch.bfloat16, local_files_only=True, use_auth_token=token", True),
        ("dtype=torch.bfloat16", "dtype=torch.bfloat16, device_map=0, revision='main'", True),
        ("dtype=torch.bfloat16", "dtype=torch.bfloat16, device_map='auto'", False),
        ("dtype=torch.bfloat16", "dtype=torch.bfloat16, quantization_config=config", False),
        ("dtype=torch.bfloat16", "dtype=torch.bfloat16, attn_implementation='flash_attention_2'", True),
        ("dtype=torch.bfloat16", "dtype=torch.bfloat16, attn_implementation='flex_attention'", False),
        ("dtype=torch.bfloat16", "dtype=torch.float32", False),
        ("Qwen/Qwen2.5-1.5B", "somebody/else", False),
        ('"Qwen/Qwen2.5-1.5B"', "name", False),
        ("=BATCH", "=BATCH, optim='adamw_torch'", True),
        ("=BATCH", "=BATCH, optim='adamw_torch_fused'", True),
        ("=BATCH", "=BATCH, optim='adafactor'", False),
    ],
)
def test_what_the_sum_holds_for(old: str, new: str, reported: bool) -> None:
    assert bool(messages(4096, code=TRAINING.replace(old, new))) is reported


def test_the_message_says_what_the_batch_needs_and_what_there_is() -> None:
    (message,) = messages(4096)
    fit = max_batch(get("Qwen/Qwen2.5-1.5B"), WORK, device="H100-80GB")
    assert f"has {fit.budget_bytes / 2**30:.1f} to plan with" in message


def test_the_planner_is_imported_for_trainings_only_and_without_torch(tmp_path: Path) -> None:
    loaded = {}
    for name, code in {"one": TRAINING, "other": re.sub(r"per_device\w+=BATCH", "", TRAINING)}.items():
        script = tmp_path / f"{name}.py"
        script.write_text(code.replace("BATCH", "4096"))
        run = (
            "import json, sys\nfrom telepathy_lint.commands.cli import run\n"
            f"run(['check', '--isolated', '--select', 'TLP305', {str(script)!r}])\n"
            "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", run], capture_output=True, text=True, cwd=ROOT, check=True
        )
        loaded[name] = set(json.loads(done.stderr.splitlines()[-1]))
    assert "telepathy_runtime.memory" in loaded["one"]
    assert "telepathy_runtime.memory" not in loaded["other"]
    assert not loaded["one"] & {"torch", "transformers", "numpy"}
