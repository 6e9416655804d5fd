"""Models that one job holds together, and memory sizes in the code compared with the planner."""

from __future__ import annotations

from pathlib import Path

import pytest

from telepathy_lint.audit.facts import audit
from telepathy_lint.audit.markdown import markdown
from telepathy_lint.audit.outcome import Audit
from telepathy_lint.audit.report import report
from telepathy_lint.discovery.config import Configs
from telepathy_runtime.memory import Workload, estimate, max_batch
from telepathy_runtime.models import registry

HEAD = "from transformers import AutoModel, AutoModelForCausalLM, pipeline\n"


def audited(folder: Path, **files: str) -> Audit:
    for name, text in files.items():
        stem, _, suffix = name.rpartition("_")
        (folder / f"{stem}.{suffix}").write_text(text)
    return audit(str(folder), Configs(isolated=True), "H100-80GB", jobs=1)


def held(folder: Path, body: str, script: str = "") -> list[tuple[str, ...]]:
    files = {"train_py": HEAD + body, **({"run_sh": script} if script else {})}
    return [one.models for one in audited(folder, **files).together]


LLAMA, MISTRAL, QWEN = "meta-llama/Llama-3.2-1B", "mistralai/Mistral-7B-v0.3", "Qwen/Qwen2.5-3B"


def test_two_models_of_one_function_are_held_together(tmp_path: Path) -> None:
    found = audited(
        tmp_path,
        train_py=HEAD
        + f"""
def main():
    sender = AutoModelForCausalLM.from_pretrained("{LLAMA}").eval()
    receiver = AutoModelForCausalLM.from_pretrained("{MISTRAL}")
    return sender, receiver
""",
    )
    (pair,) = found.together
    assert pair.models == (LLAMA, MISTRAL)
    assert [[place.line for place in job] for job in pair.jobs] == [[4, 5]]
    assert pair.weight_bytes == 2 * (1_235_814_400 + 7_248_023_552)
    assert pair.peak_bytes is not None and pair.peak_bytes > pair.weight_bytes
    assert pair.batch is not None and pair.batch >= 1
    text = markdown(report(found))
    assert "## Models loaded together" in text
    assert f"{LLAMA} + {MISTRAL}" in text
    assert (
        "- [x] Models held together fit one H100-80GB in bfloat16, their weights: 1 of 1 combinations" in text
    )
    small = audit(str(tmp_path), Configs(isolated=True), "T4", jobs=1)
    assert small.together[0].batch == 0
    assert (
        "- [ ] Models held together fit one T4 in bfloat16, their weights: 0 of 1 combinations"
        in markdown(report(small))
    )


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(f'a = AutoModel.from_pretrained("{LLAMA}")\na = AutoModel.from_pretrained("{QWEN}")', id="overwritten"),
        pytest.param(f'a = AutoModel.from_pretrained("{LLAMA}")\ndel a\nb = AutoModel.from_pretrained("{QWEN}")', id="deleted"),
        pytest.param(f'a = AutoModel.from_pretrained("{LLAMA}")\na = None\nb = AutoModel.from_pretrained("{QWEN}")', id="let go"),
        pytest.param(
            f'if fast:\n    a = AutoModel.from_pretrained("{LLAMA}")\nelse:\n    b = AutoModel.from_pretrained("{QWEN}")',
            id="one branch or the other",
        ),
        pytest.param(
            f'try:\n    a = AutoModel.from_pretrained("{LLAMA}")\nexcept OSError:\n    b = AutoModel.from_pretrained("{QWEN}")',
            id="after a failure",
        ),
        pytest.param(
            f'def one():\n    return AutoModel.from_pretrained("{LLAMA}")\ndef two():\n    return AutoModel.from_pretrained("{QWEN}")',
            id="two functions",
        ),
    ],
)  # fmt: skip
def test_models_that_are_not_there_at_once_are_no_pair(tmp_path: Path, body: str) -> None:
    assert held(tmp_path, body) == []


def test_a_model_of_one_branch_meets_what_stands_outside(tmp_path: Path) -> None:
    body = f"""
judge = pipeline("text-generation", model="{QWEN}")
if small:
    model = AutoModel.from_pretrained("{LLAMA}")
else:
    model = AutoModel.from_pretrained("{MISTRAL}")
"""
    assert sorted(held(tmp_path, body)) == [(QWEN, LLAMA), (QWEN, MISTRAL)]


def test_entries_of_a_table_stay_together(tmp_path: Path) -> None:
    body = f"""
PAIRS = {{
    "small": {{"sender": "{LLAMA}", "receiver": "{QWEN}"}},
    "large": {{"sender": "{QWEN}", "receiver": "{MISTRAL}"}},
}}
def run(name):
    pair = PAIRS[name]
    sender = AutoModel.from_pretrained(pair["sender"])
    receiver = AutoModel.from_pretrained(pair["receiver"])
    return sender, receiver
"""
    assert sorted(held(tmp_path, body)) == [(QWEN, LLAMA), (QWEN, MISTRAL)]


def test_what_one_script_passes_stays_together(tmp_path: Path) -> None:
    body = f"""
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--sender", default="{LLAMA}")
parser.add_argument("--receiver", default="{QWEN}")
args = parser.parse_args()
sender = AutoModel.from_pretrained(args.sender)
receiver = AutoModel.from_pretrained(args.receiver)
"""
    script = f"python train.py --receiver {MISTRAL}\n"
    assert sorted(held(tmp_path, body, script)) == [(QWEN, LLAMA), (LLAMA, MISTRAL)]


def test_commands_that_python_writes_keep_a_row_together(tmp_path: Path) -> None:
    train = f"""{HEAD}
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--sender")
parser.add_argument("--receiver")
args = parser.parse_args()
sender = AutoModel.from_pretrained(args.receiver if swap else args.sender)
receiver = AutoModel.from_pretrained(args.sender if swap else args.receiver)
"""
    sweep = f"""
PAIRS = [("{LLAMA}", "{QWEN}"), ("{QWEN}", "{MISTRAL}")]
for sender, receiver in PAIRS:
    run(f"python train.py --sender {{sender}} --receiver {{receiver}}")
"""
    found = audited(tmp_path, train_py=train, sweep_py=sweep)
    assert sorted(one.models for one in found.together) == [(QWEN, LLAMA), (QWEN, MISTRAL)]


def test_models_that_are_not_listed_have_no_size(tmp_path: Path) -> None:
    found = audited(
        tmp_path,
        train_py=HEAD
        + f'a = AutoModel.from_pretrained("{LLAMA}")\nb = AutoModel.from_pretrained("tiiuae/falcon-7b")',
    )
    (pair,) = found.together
    assert (pair.models, pair.weight_bytes, pair.batch) == ((LLAMA, "tiiuae/falcon-7b"), None, None)


# ---- numbers in the code

SIZES = """\
SIZES = {"meta-llama/Llama-3.2-1B": 1.24, "Qwen/Qwen2.5-3B": 3.09, "Qwen/Qwen2.5-7B": 7.62}


def plan(model, params, limit, max_length=1536):
    if params >= 7:
        num_layers = 32
        batch_size = min(limit, 6)
    elif params >= 3:
        num_layers = 36
        batch_size = 1
    else:
        num_layers = 16
        batch_size = 24
    return num_layers, batch_size
"""


def verdicts(found: Audit) -> dict[tuple[str, tuple[str, ...]], tuple[float, float, str]]:
    return {
        (one.number.table, one.number.models): (one.number.value, one.exact, one.verdict)
        for one in found.checked
    }


def test_a_chain_of_sizes_is_worked_out_for_every_model_of_the_file(tmp_path: Path) -> None:
    found = verdicts(audited(tmp_path, plan_py=SIZES))
    assert found["num_layers", ("Qwen/Qwen2.5-7B",)] == (32, 28, "differs")
    assert found["num_layers", ("Qwen/Qwen2.5-3B",)] == (36, 36, "agrees")
    assert found["num_layers", (LLAMA,)] == (16, 16, "agrees")
    spec = registry.get("Qwen/Qwen2.5-7B")
    most = max_batch(spec, Workload(seq_len=1536, regime="frozen_grad"), device="H100-80GB").batch
    assert found["batch_size", ("Qwen/Qwen2.5-7B",)] == (
        6,
        most,
        "too large to train" if most < 6 else "depends",
    )
    assert found["batch_size", ("Qwen/Qwen2.5-3B",)][2] == "far below"
    assert found["batch_size", (LLAMA,)][2] == "too large to train"


def test_the_report_says_for_what_a_batch_was_judged(tmp_path: Path) -> None:
    text = markdown(report(audited(tmp_path, plan_py=SIZES)))
    assert "at most 6" in text  # min(limit, 6)
    assert "1,536 tokens each, H100-80GB" in text
    assert "far below what fits" in text
    assert "`num_layers` is 32 where `params >= 7`; `Qwen/Qwen2.5-7B`: 28 layers" in text


def test_pairs_are_judged_by_the_sum_of_both(tmp_path: Path) -> None:
    text = """\
CONFIGS = [("meta-llama/Llama-3.1-8B", "mistralai/Mistral-7B-v0.3"), ("Qwen/Qwen2.5-3B", "Qwen/Qwen2.5-1.5B")]


def plan(source_params, target_params):
    if source_params + target_params >= 15:
        batch_size = 400
    elif source_params + target_params >= 10:
        batch_size = 3
    else:
        batch_size = 2
    return batch_size
"""
    found = verdicts(audited(tmp_path, plan_py=text))
    assert found["batch_size", ("meta-llama/Llama-3.1-8B", MISTRAL)][2] == "too large to train"
    assert found["batch_size", (QWEN, "Qwen/Qwen2.5-1.5B")][0] == 2


def test_dicts_rows_and_names_are_read_too(tmp_path: Path) -> None:
    text = """\
ONE = {"model_id": "Qwen/Qwen2.5-7B", "hidden_dim": 3584, "num_layers": 32, "lr": 2}
DIMS = {"Qwen/Qwen2.5-7B": Dims(num_layers=28, hidden_size=4096), "Qwen/Qwen2.5-3B": {"batch_size": 640, "eval_batch_size": 12}}
PAIRS = {("Qwen/Qwen2.5-3B", "Qwen/Qwen2.5-7B"): {"batch_size": 1}}
ROWS = [("3B", "Qwen/Qwen2.5-3B", "Qwen/Qwen2.5-1.5B", 90)]
for label, sender, receiver, batch in ROWS:
    run(sender, receiver, batch)


def size(model_name):
    if "3B" in model_name:
        model_size_gb = 2.0
    elif "7B" in model_name:
        model_size_gb = 15.2
    return model_size_gb
"""
    found = verdicts(audited(tmp_path, plan_py=text))
    assert found["num_layers", ("Qwen/Qwen2.5-7B",)] == (32, 28, "differs")
    assert found["hidden_dim", ("Qwen/Qwen2.5-7B",)][2] == "agrees"
    assert found["DIMS.num_layers", ("Qwen/Qwen2.5-7B",)] == (28, 28, "agrees")
    assert found["DIMS.hidden_size", ("Qwen/Qwen2.5-7B",)] == (4096, 3584, "differs")
    assert found["DIMS.batch_size", (QWEN,)][2] == "too large"
    assert found["DIMS.eval_batch_size", (QWEN,)][2] == "agrees"  # 12 would be too large to train
    assert found["PAIRS.batch_size", (QWEN, "Qwen/Qwen2.5-7B")][2] in ("agrees", "far below")
    assert found["batch", (QWEN, "Qwen/Qwen2.5-1.5B")][2] == "too large to train"
    assert found["model_size_gb", (QWEN,)] == (2.0, 6.17, "differs")
    assert found["model_size_gb", ("Qwen/Qwen2.5-7B",)][2] == "agrees"


@pytest.mark.parametrize(
    "text",
    [
        "if params >= 7:\n    probe_layers = 3",  # the layers that are probed
        'DIMS = {"Qwen/Qwen2.5-7B": {"head_dim": 128, "intermediate_size": 4, "lora_params": 9, "trainable_params": 3}}',
        "if epochs >= 7:\n    batch_size = 3",
        "if params >= 7 and fast:\n    batch_size = 3",
        "if params >= limit:\n    batch_size = 3",
        'if "fast" in model_name:\n    batch_size = 3',
        "if params >= 7:\n    batch_size = compute(3)",
        "if params >= 7:\n    num_batches = 3\n    grad_accum = 4",
    ],
)
def test_numbers_that_do_not_say_what_they_are_are_left_alone(tmp_path: Path, text: str) -> None:
    found = audited(tmp_path, plan_py=f'MODEL = "Qwen/Qwen2.5-7B"\n{text}\n')
    assert found.checked == ()


def test_a_listed_model_without_a_closed_form_has_its_weights_and_no_batch(tmp_path: Path) -> None:
    found = audited(
        tmp_path,
        train_py=HEAD
        + f'a = AutoModel.from_pretrained("{LLAMA}")\nb = AutoModel.from_pretrained("bigscience/bloom-560m")',
    )
    (pair,) = found.together
    assert set(pair.models) == {LLAMA, "bigscience/bloom-560m"}
    assert (pair.weight_bytes, pair.batch) == (2 * (1_235_814_400 + 559_214_592), None)


def test_a_model_with_a_table_of_positions_is_sized_for_as_many_tokens_as_it_reads(tmp_path: Path) -> None:
    gpt2, llama = "openai-community/gpt2", LLAMA
    found = audited(
        tmp_path,
        train_py=HEAD
        + f"""
def main():
    one = AutoModelForCausalLM.from_pretrained("{gpt2}")
    other = AutoModelForCausalLM.from_pretrained("{llama}")
    return one, other
""",
    )
    (pair,) = found.together
    assert pair.peak_bytes is not None and pair.batch is not None
    (sized,) = [model for model in found.models if model.model_id == gpt2]
    work = Workload(seq_len=1024)
    for regime, peak in sized.peaks:
        assert peak == estimate(registry.get(gpt2), work.but(regime=regime)).peak_allocated
    assert len(sized.peaks) == 3
