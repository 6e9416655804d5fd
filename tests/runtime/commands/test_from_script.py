"""`--from-script`: what a training script says is what is planned, and what it does not say is named as assumed."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
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


LOOP = """\
import torch
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("Qwen/Qwen2.5-1.5B")
model = AutoModelForCausalLM.from_pretrained("Qwen/Qwen2.5-1.5B").cuda()
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

def collate(texts):
    return tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=256)

for batch in DataLoader(texts, batch_size=16, collate_fn=collate):
    with torch.autocast("cuda", torch.bfloat16):
        loss = model(**batch, labels=batch["input_ids"]).loss
    loss.backward()
    optimizer.step()
"""


def test_a_loop_is_read_from_its_own_calls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "loop.py"
    script.write_text(LOOP)
    _, data = run(capsys, "estimate", "--from-script", str(script))
    (work,) = data["workloads"]
    wanted = {"regime": "full", "batch": 16, "seq_len": 256, "optimizer": "sgd_momentum", "dtype": "bfloat16"}
    assert {name: work[name] for name in wanted} == wanted
    assert (work["autocast"], work["keep_outputs"], work["use_cache"]) == (True, True, True)
    notes = "\n".join(data["notes"])
    assert "loop.py:10: 256 tokens" in notes and "loop.py:12: batch 16" in notes
    assert "assumed: weights in bfloat16, as the checkpoint has them" in notes
    assert "assumed: the loop keeps `outputs`" in notes


def test_autocast_over_a_float32_checkpoint_is_mixed_precision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as GPT-2: without dtype, its weights are float32."""
    from telepathy_lint.front_ends.training import training_of
    from telepathy_runtime.commands.from_script import Script
    from telepathy_runtime.models import registry

    text = LOOP.replace("Qwen/Qwen2.5-1.5B", "openai-community/gpt2")
    for source, mixed, dtype in (
        (text, True, "bfloat16"),
        (text.replace("torch.autocast", "nothing"), None, "float32"),
        (text.replace(").cuda()", ", dtype=torch.float16)"), None, "float16"),
    ):
        settings = Script("loop.py", training_of(source.encode(), "loop.py"), registry.get, (5, 23)).settings
        assert (settings.get("mixed_precision"), settings["dtype"]) == (mixed, dtype)


ACCELERATE = """\
import argparse
from accelerate import Accelerator
from torch.optim import AdamW
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM

parser = argparse.ArgumentParser()
parser.add_argument("--model_name_or_path", default="Qwen/Qwen2.5-1.5B")
parser.add_argument("--per-device-batch", type=int, default=6)
parser.add_argument("--steps", type=int)
args = parser.parse_args()
accelerator = Accelerator(mixed_precision="bf16", gradient_accumulation_steps=args.steps)
model = AutoModelForCausalLM.from_pretrained(args.model_name_or_path)
model.gradient_checkpointing_enable()
model, loader = accelerator.prepare(model, DataLoader(data, batch_size=args.per_device_batch))
optimizer = AdamW(model.parameters(), fused=True)
for batch in loader:
    accelerator.backward(model(**batch).loss)
"""


def test_the_default_of_an_option_is_said_to_be_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "accel.py"
    script.write_text(ACCELERATE)
    _, data = run(capsys, "estimate", "--from-script", str(script))
    (work,) = data["workloads"]
    wanted = {"batch": 6, "checkpointing": True, "autocast": True, "opt_impl": "fused", "grad_accum": 1}
    assert {name: work[name] for name in wanted} == wanted
    notes = "\n".join(data["notes"])
    assert "accel.py:13: model Qwen/Qwen2.5-1.5B, the default of --model_name_or_path" in notes
    assert "accel.py:15: batch 6, the default of --per-device-batch" in notes
    assert "gradient_accumulation_steps (line 12) is not decided in the file" in notes


def test_the_default_of_a_dataclass_is_one_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "from dataclasses import dataclass, field\nfrom transformers import AutoModelForCausalLM, TrainingArguments\n"
        "@dataclass\nclass ModelArguments:\n    model_name: str = field(default='Qwen/Qwen2.5-1.5B')\n    batch: int = 3\n"
        "def main(model_args):\n    AutoModelForCausalLM.from_pretrained(model_args.model_name)\n"
        "    TrainingArguments('out', per_device_train_batch_size=model_args.batch)\n"
    )
    _, data = run(capsys, "estimate", "--from-script", str(script))
    assert data["models"] == ["Qwen/Qwen2.5-1.5B"] and data["workloads"][0]["batch"] == 3
    assert any("batch 3, the default of batch" in note for note in data["notes"])


def test_an_option_with_two_defaults_has_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "accel.py"
    script.write_text(ACCELERATE + 'other.add_argument("--model_name_or_path", default="gpt2")\n')
    code, err = run(capsys, "estimate", "--from-script", str(script))
    assert code == 2 and "no model with a constant id is loaded; name it as MODEL" in err
    _, data = run(capsys, "estimate", "Qwen/Qwen2.5-3B", "--from-script", str(script))
    assert data["models"] == ["Qwen/Qwen2.5-3B"] and data["workloads"][0]["batch"] == 6


@pytest.mark.parametrize(
    ("config", "wanted", "note"),
    [
        ("DPOConfig('out', per_device_train_batch_size=2, max_length=768)", ("dpo", "auto", 768), "pairs"),
        ("DPOConfig('out', precompute_ref_log_probs=True)", ("dpo", "none", 1024), "computed before"),
        ("GRPOConfig('out', max_completion_length=512)", ("grpo", "auto", 1024), "512 of completion"),
        ("ORPOConfig('out')", ("lm", "auto", 1024), "not counted: what the loss of ORPOConfig"),
    ],
    ids=["dpo", "precomputed", "grpo", "orpo"],
)
def test_preferences_have_their_own_objective(
    config: str, wanted: tuple[str, str, int], note: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        f"from transformers import AutoModelForCausalLM\nfrom trl import {config.split('(')[0]}\n"
        f"AutoModelForCausalLM.from_pretrained('Qwen/Qwen2.5-1.5B', dtype='bfloat16')\n{config}\n"
    )
    _, data = run(capsys, "estimate", "--from-script", str(script))
    (work,) = data["workloads"]
    assert (work["objective"], work["reference"], work["seq_len"]) == wanted
    assert note in "\n".join(data["notes"])


def test_what_kbit_training_does_to_a_model_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "train.py"
    prepared = "model = prepare_model_for_kbit_training(model)\nlora = "
    script.write_text(
        QLORA.replace("lora = ", prepared)
        .replace("    gradient_checkpointing=True,\n", "    packing=True,\n")
        .replace("SFTConfig(\n", "SFTConfig(\n    gradient_checkpointing=False,\n")
    )
    _, data = run(capsys, "estimate", "--from-script", str(script))
    work, notes = data["workloads"][0], "\n".join(data["notes"])
    assert work["checkpointing"] and work["packed"]
    assert "train.py:9: gradient checkpointing (prepare_model_for_kbit_training)" in notes
    # The embedding and the head of Qwen2.5-7B: 152064 rows of 3584.
    assert f"{2 * 2 * 152064 * 3584 / 2**30:.2f} GiB more" in notes
    assert work["prepared"] == "all" and "not counted: prepare_model_for_kbit_training" not in notes
    script.write_text(script.read_text().replace("    bf16=True,\n", ""))
    _, data = run(capsys, "estimate", "--from-script", str(script))
    assert data["workloads"][0]["prepared"] == "none"
    assert "not counted: prepare_model_for_kbit_training (line 9)" in "\n".join(data["notes"])


CLASSIFIER = """\
from transformers import AutoModelForSequenceClassification, Trainer, TrainingArguments
model = AutoModelForSequenceClassification.from_pretrained("google-bert/bert-base-uncased", num_labels=5)
arguments = TrainingArguments("out", per_device_train_batch_size=16)
Trainer(model, arguments, train_dataset=data.map(lambda row: tokenizer(row["text"], truncation=True, max_length=128)))
"""


def test_a_classifier_has_no_head_of_a_language_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    script = tmp_path / "train.py"
    script.write_text(CLASSIFIER)
    _, data = run(capsys, "estimate", "--from-script", str(script))
    script.write_text(CLASSIFIER.replace("SequenceClassification", "MaskedLM"))
    _, language = run(capsys, "estimate", "--from-script", str(script))
    assert "counted with a head of 5 labels" in data["notes"]
    # BERT's own parameters with a pooler, and five labels.
    assert data["after_load_bytes"] == 4 * (109_482_240 + 5 * 769)
    logits = 16 * 128 * 30522 * 4
    assert language["peak_bytes"] > data["peak_bytes"] + 2 * logits
    script.write_text(CLASSIFIER.replace("google-bert/bert-base-uncased", "Qwen/Qwen2.5-1.5B"))
    _, decoder = run(capsys, "estimate", "--from-script", str(script))
    assert any("not counted: a head of 5 labels" in note for note in decoder["notes"])


def test_a_trainer_may_get_the_models_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for call in (
        'GRPOTrainer(model="Qwen/Qwen2.5-1.5B", args=args)',
        'GRPOTrainer("Qwen/Qwen2.5-1.5B", args)',
    ):
        script = tmp_path / "train.py"
        script.write_text(
            "from trl import GRPOConfig, GRPOTrainer\nargs = GRPOConfig('out', use_vllm=True)\n"
            + call
            + ".train()\n"
        )
        _, data = run(capsys, "estimate", "--from-script", str(script))
        assert data["models"] == ["Qwen/Qwen2.5-1.5B"] and data["workloads"][0]["objective"] == "grpo"
        notes = "\n".join(data["notes"])
        assert "train.py:3: model Qwen/Qwen2.5-1.5B" in notes and "not counted: use_vllm (line 2)" in notes


def test_dropouts_and_reentrant_checkpointing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "train.py"
    text = QLORA.replace("r=RANK", "r=RANK, lora_dropout=0.05").replace(
        "gradient_checkpointing=True",
        "gradient_checkpointing=True, gradient_checkpointing_kwargs={'use_reentrant': True}",
    )
    script.write_text(text)
    _, data = run(capsys, "estimate", "--from-script", str(script))
    assert data["workloads"][0]["lora_dropout"] and data["workloads"][0]["reentrant"]
    notes = "\n".join(data["notes"])
    assert "train.py:9: a dropout before the adapters" in notes and "train.py:14: use_reentrant=True" in notes
    # Without what they need, they are left out.
    options = ("--no-checkpointing", "--regime", "inference", "--quantized", "none")
    _, data = run(capsys, "estimate", "--from-script", str(script), *options)
    assert not data["workloads"][0]["lora_dropout"] and not data["workloads"][0]["reentrant"]
    assert "use_reentrant" not in "\n".join(data["notes"])
    for old, new in (
        ("lora_dropout=0.05", "lora_dropout=0.0"),
        ("'use_reentrant': True", "'use_reentrant': False"),
    ):
        text = text.replace(old, new)
    script.write_text(text)
    _, data = run(capsys, "estimate", "--from-script", str(script))
    assert not data["workloads"][0]["lora_dropout"] and not data["workloads"][0]["reentrant"]


_KWARGS = "gradient_checkpointing_kwargs={'use_reentrant': True}"
_TRAINER = FULL.replace(', fsdp="full_shard"', "")
_PREPARED = "    model = prepare_model_for_kbit_training(model)"


@pytest.mark.parametrize(
    ("script", "version", "expected", "note"),
    [
        (QLORA.replace("lora = ", "model = prepare_model_for_kbit_training(model, True, {'use_reentrant': True})\nlora = ")
         .replace("    gradient_checkpointing=True,\n", ""), "5.23.0", True, "train.py:9: use_reentrant=True"),
        (_TRAINER.replace("    arg", f"    model.gradient_checkpointing_enable({_KWARGS})\n    arg"),
         "5.23.0", True, "train.py:5: use_reentrant=True"),
        (_TRAINER.replace("    arg", "    model.gradient_checkpointing_enable({'use_reentrant': False})\n    arg"),
         "4.48.1", False, ""),
        # The trainer's own call is the last one.
        (_TRAINER.replace("    arg", f"    model.gradient_checkpointing_enable({_KWARGS})\n    arg")
         .replace("=batch,", "=batch, gradient_checkpointing=True,"), "5.23.0", False, ""),
        (_TRAINER.replace("=batch,", "=batch, gradient_checkpointing=True,"), "5.0.0", False, ""),
        (_TRAINER.replace("=batch,", "=batch, gradient_checkpointing=True,"), "4.48.1", True,
         "assumed: use_reentrant=True, the default of transformers before 5"),
        (_TRAINER, "4.48.1", False, ""),
        # PEFT passes empty kwargs on, which leave PyTorch's default, also to transformers 5.
        (_TRAINER.replace("    arg", _PREPARED + "\n    arg"), "5.23.0", True,
         "assumed: use_reentrant=True, PyTorch's default, which prepare_model_for_kbit_training leaves"),
        (_TRAINER.replace("    arg", _PREPARED.replace("model)", "model, False)") + "\n    arg")
         .replace("=batch,", "=batch, gradient_checkpointing=True,"), "5.23.0", False, ""),
        (_TRAINER.replace("    arg", _PREPARED + "\n    arg").replace("=batch,", "=batch, gradient_checkpointing=True,"),
         "5.23.0", False, ""),
        # A later call has its own default, whatever an earlier one said.
        (_TRAINER.replace("    arg", _PREPARED + "\n    model.gradient_checkpointing_enable()\n    arg"), "5.23.0", False, ""),
        (_TRAINER.replace("    arg", "    model.gradient_checkpointing_enable({})\n    arg"), "5.23.0", True,
         "train.py:5: use_reentrant=True"),
        (QLORA.replace("lora = ", _PREPARED.strip() + "\nlora = ").replace("    gradient_checkpointing=True,\n", ""),
         "5.23.0", False, ""),
        (QLORA, "4.57.0", False, "assumed: use_reentrant=False, the default of TRL 0.27 and newer"),
    ],
)  # fmt: skip
def test_what_decides_use_reentrant(
    script: str, version: str, expected: bool, note: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "train.py"
    path.write_text(script)
    _, data = run(capsys, "estimate", "--from-script", str(path), "--transformers", version)
    assert data["workloads"][0]["reentrant"] is expected
    assert note in "\n".join(data["notes"])
    _, data = run(
        capsys, "estimate", "--from-script", str(path), "--transformers", version, "--no-checkpointing"
    )
    assert not data["workloads"][0]["reentrant"] and "use_reentrant" not in "\n".join(data["notes"])


def test_a_prepared_model_is_reentrant_without_kwargs() -> None:
    """What the assumption rests on: PEFT's own code, with the installed transformers."""
    torch, peft = pytest.importorskip("torch"), pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=32
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = transformers.LlamaForCausalLM(config)
        model.is_loaded_in_4bit = True
        model = peft.prepare_model_for_kbit_training(model).train()
        ids = torch.zeros(1, 4, dtype=torch.long)
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
    waiting, seen = [loss.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is not None:
            seen.add(node.name())
            waiting += [each for each, _ in node.next_functions]
    assert "CheckpointFunctionBackward" in seen


def test_a_script_that_trains_nothing_is_inference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "from transformers import AutoModelForCausalLM\nAutoModelForCausalLM.from_pretrained('Qwen/Qwen2.5-1.5B')\n"
    )
    _, data = run(capsys, "estimate", "--from-script", str(script))
    assert data["workloads"][0]["regime"] == "inference"
    assert any("assumed: inference" in note for note in data["notes"])


def test_an_option_that_equals_the_default_comes_before_the_script(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "train.py"
    script.write_text(QLORA)
    _, data = run(
        capsys, "estimate", "--from-script", str(script), "--batch", "1", "--no-checkpointing", "--seq-len", "1024",
        "--quantized", "none", "--regime", "inference",
    )  # fmt: skip
    (work,) = data["workloads"]
    wanted = {"batch": 1, "checkpointing": False, "seq_len": 1024, "quantized": "none", "regime": "inference"}
    assert {name: work[name] for name in wanted} == wanted
    notes = "\n".join(data["notes"])
    # Nothing is said of what the command line decides.
    assert not [part for part in ("batch 4", "2048 tokens", "checkpointing", "nf4", "LoRA") if part in notes]
    assert "accumulated" in notes


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
