"""`--from-script`: what a training script says is what is planned, and what it does not say is named as assumed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from telepathy_runtime.commands.memory import main

QLORA = """\
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from peft import LoraConfig
from trl import SFTConfig, SFTTrainer

MODEL, RANK = "Qwen/Qwen2.5-7B", 32
bnb = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_use_double_quant=True)
model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.bfloat16, quantization_config=bnb)
lora = LoraConfig(r=RANK, target_modules=["q_proj", "o_proj"], task_type="CAUSAL_LM")
args = SFTConfig(
    output_dir="out",
    per_device_train_batch_size=4,
    max_length=2048,
    gradient_checkpointing=True,
    bf16=True,
    optim="paged_adamw_8bit",
    gradient_accumulation_steps=4,
)
SFTTrainer(model=model, args=args, peft_config=lora).train()
"""
FULL = """\
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

def main(batch, fsdp):
    model = AutoModelForCausalLM.from_pretrained("meta-llama/Llama-3.2-1B", torch_dtype="bfloat16")
    arguments = TrainingArguments("out", per_device_train_batch_size=batch, optim="adafactor", fsdp="full_shard")
    Trainer(model=model, args=arguments).train()
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main([*arguments, "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out) if code < 2 else err


def test_a_script_is_planned_as_its_options_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "train.py"
    script.write_text(QLORA)
    _, said = run(capsys, "estimate", "--from-script", str(script))
    _, typed = run(
        capsys, "estimate", "Qwen/Qwen2.5-7B", "--regime", "lora", "--quantized", "nf4_double", "--lora-rank", "32",
        "--lora-targets", "q_proj,o_proj", "--batch", "4", "--seq-len", "2048", "--checkpointing", "--grad-accum", "4",
        "--optimizer", "paged_adamw_8bit", "--autocast", "--no-keep-outputs", "--no-use-cache",
    )  # fmt: skip
    assert said["workloads"] == typed["workloads"]
    assert said["peak_bytes"] == typed["peak_bytes"]
    notes = "\n".join(said["notes"])
    assert "train.py:8: model Qwen/Qwen2.5-7B" in notes
    assert "train.py:13: 2048 tokens" in notes or "train.py:10: 2048 tokens" in notes
    assert notes.count("assumed") == 1 and "assumed: whole logits" in notes


def test_what_the_script_does_not_decide_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "full.py"
    script.write_text(FULL)
    _, data = run(capsys, "plan", "--from-script", str(script))
    notes = "\n".join(data[0]["notes"])
    for part in (
        "model meta-llama/Llama-3.2-1B", "optimizer adafactor", "per_device_train_batch_size (line 5) is not decided",
        "assumed: batch 8, the Trainer's default", "assumed: 1024 tokens", "not counted: fsdp (line 5)",
    ):  # fmt: skip
        assert part in notes
    assert "checkpointing" not in notes  # off by default


def test_options_come_before_the_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "train.py"
    script.write_text(QLORA)
    model = "Qwen/Qwen2.5-1.5B"
    _, data = run(capsys, "estimate", model, "--from-script", str(script), "--batch", "2", "--seq-len", "512")
    work = data["workloads"][0]
    assert (data["models"], work["batch"], work["seq_len"], work["lora_rank"]) == ([model], 2, 512, 32)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("print(1)\n", "neither loads a model nor trains one"),
        ("def (:\n", "train.py"),
        (
            "from transformers import AutoModel, TrainingArguments\n"
            "def main(path):\n    AutoModel.from_pretrained(path)\n    TrainingArguments('out')\n",
            "no model with a constant id",
        ),
    ],
    ids=["nothing", "broken", "no-model"],
)
def test_a_script_that_says_too_little_is_an_error(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "train.py"
    script.write_text(text)
    code, err = run(capsys, "estimate", "--from-script", str(script))
    assert code == 2 and message in err and len(err.strip().splitlines()) == 1


def test_without_a_model_or_a_script_there_is_nothing_to_estimate(capsys: pytest.CaptureFixture[str]) -> None:
    code, err = run(capsys, "estimate")
    assert code == 2 and "estimate needs a model" in err
    code, err = run(capsys, "estimate", "--from-script", "absent.py")
    assert code == 2 and "absent.py" in err


def test_the_linters_scan_is_imported_only_for_a_script() -> None:
    code = "import sys; from telepathy_runtime.commands.memory import main; main(['estimate', 'Qwen/Qwen2.5-3B']); "
    code += "print([name for name in sys.modules if name.startswith('telepathy_lint.sites')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
