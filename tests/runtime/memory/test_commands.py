"""The four commands: tables, JSON, pictures, exit codes."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from telepathy_runtime.commands.memory import main
from telepathy_runtime.memory import render
from telepathy_runtime.memory.gpus import GPUS
from telepathy_runtime.models import lookup, registry

LLAMA = "meta-llama/Llama-3.2-1B"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code, out, _ = run(capsys, *arguments, "--json")
    return code, json.loads(out)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), False), (("--lora-dropout",), True), (("--lora-dropout", "0.1"), True), (("--lora-dropout=0.05",), True),
        (("--lora-dropout", "0"), False), (("--lora-dropout", "0.1", "--no-lora-dropout"), False),
    ],
)  # fmt: skip
def test_a_dropout_may_have_a_rate(
    options: tuple[str, ...], expected: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    how = ("--regime", "lora", *options)
    code, found = run_json(capsys, "estimate", "meta-llama/Llama-3.2-1B", *how)
    assert (code, found["workloads"][0]["lora_dropout"]) == (0, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--lora-dropout", "much"), "must be a number from 0 to 1, not 'much'; a model's name goes before"),
        (("--lora-dropout", "10"), "must be a number from 0 to 1, not '10'"),
        (("--lora-dropout", "nan"), "must be a number from 0 to 1, not 'nan'"),
        (("--no-lora-dropout", "0.1"), "takes no value"),
    ],
)
def test_a_rate_of_dropout_is_checked(
    options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["estimate", "meta-llama/Llama-3.2-1B", "--regime", "lora", *options])
    assert message in capsys.readouterr().err


def test_models_lists_all_and_one(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "models")
    assert code == 0
    assert all(spec.id in out and f"{spec.params:,}" in out for spec in registry.all_models())
    code, (one,) = run_json(capsys, "models", "meta-llama/Meta-Llama-3.1-8B")
    assert (code, one["id"], one["params_bytes"]) == (0, "meta-llama/Llama-3.1-8B", 16_060_522_496)


def test_models_reads_a_config(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = {
        "model_type": "gpt2",
        "n_embd": 768,
        "n_layer": 12,
        "n_head": 12,
        "n_positions": 1024,
        "vocab_size": 50257,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    code, (one,) = run_json(capsys, "models", str(tmp_path))
    assert (code, one["params"], one["dtype"]) == (0, 124_439_808, "float32")  # GPT-2 small, as published


def test_estimate_says_where_it_goes_and_whether_it_fits(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "estimate", "Qwen/Qwen2.5-1.5B", "--regime", "full", "--seq-len", "1536")
    assert code == 0
    assert "peak" in out and "optimizer step" in out and "fits H100-80GB" in out and "█" in out
    code, out, _ = run(capsys, "estimate", "meta-llama/Llama-3.1-8B", "--regime", "full", "--seq-len", "1536")
    assert code == 1 and "no margin on H100-80GB" in out
    code, out, _ = run(capsys, "estimate", "meta-llama/Llama-3.1-8B", "--gpu", "T4")
    assert code == 1 and "does not fit T4" in out


def test_estimate_json_is_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    code, data = run_json(
        capsys, "estimate", "Qwen/Qwen2.5-3B", "--batch", "2", "--regime", "lora", "--padded"
    )
    assert code == 0
    assert data["peak_bytes"] == sum(data["components"].values()) == data["instants"][data["instant"]]
    assert data["workloads"][0]["padded"] is True
    assert data["gpu"]["name"] == "H100-80GB" and data["fits"] is True


def test_estimate_of_a_pair(capsys: pytest.CaptureFixture[str]) -> None:
    pair = ("estimate", "meta-llama/Llama-3.1-8B", "--target", "mistralai/Mistral-7B-v0.3", "--batch", "8")
    how = ("--seq-len", "1024", "--target-seq-len", "643", "--grad-accum", "4", "--no-keep-outputs")
    code, frozen = run_json(capsys, *pair, *how)
    assert (code, frozen["models"]) == (0, ["meta-llama/Llama-3.1-8B", "mistralai/Mistral-7B-v0.3"])
    code, out, _ = run(capsys, *pair, *how, "--target-unfrozen")
    assert code == 1 and "13.25 GiB of gradients that no optimizer uses" in out
    code, small = run_json(capsys, *pair, *how, "--adapter-params", "1000")
    assert small["peak_bytes"] < frozen["peak_bytes"]


@pytest.mark.parametrize("option", [("--image-tokens", "576"), ("--tower", "frozen")])
@pytest.mark.parametrize("command", ["estimate", "plan"])
def test_a_pair_takes_no_options_for_images(
    command: str, option: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    pair = ("llava-hf/llava-1.5-7b-hf", "--target", "meta-llama/Llama-3.1-8B")
    code, _, err = run(capsys, command, *pair, *option)
    assert code == 2 and "a pair reads text alone" in err


def test_a_tower_needs_a_model_that_has_one(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("estimate", "plan"):
        for more in ((), ("--traced",)):
            code, _, err = run(capsys, command, LLAMA, "--tower", "frozen", *more)
            assert code == 2 and f"tower='frozen' (--tower): {LLAMA} has no tower that is modelled" in err


@pytest.mark.parametrize("option", [("--image-tokens", "576"), ("--tower", "frozen")])
def test_a_plan_of_many_models_reads_no_images(
    option: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "plan", "--regime", "lora", *option)
    assert code == 2 and "need a model that reads images" in err and "meta-llama" not in err


def test_plan_finds_the_batch_on_every_card(capsys: pytest.CaptureFixture[str]) -> None:
    code, rows = run_json(
        capsys, "plan", "Qwen/Qwen2.5-3B", "--regime", "full", "--seq-len", "1536", "--gpu", "all"
    )
    by_gpu = {row["gpu"]["name"]: row for row in rows}
    assert by_gpu["H100-80GB"]["batch"] == 5 and by_gpu["T4"]["batch"] == 0
    assert code == 1  # not on every card
    for row in rows:
        assert row["next_peak_bytes"] > row["gpu"]["budget_bytes"]
    code, out, _ = run(capsys, "plan", "--seq-len", "1536", "--regime", "frozen_grad")
    assert code == 0 and len(out.splitlines()) == 2 + 2 + 7


def test_estimate_compares_with_every_card(capsys: pytest.CaptureFixture[str]) -> None:
    job = ("estimate", "Qwen/Qwen2.5-7B", "--seq-len", "1024")
    code, out, _ = run(capsys, *job, "--gpu", "all")
    verdicts = dict(re.findall(r"^(\S+) +(fits|no margin|does not fit)  ", out, re.MULTILINE))
    assert list(verdicts) == list(GPUS) and set(verdicts.values()) == {"fits", "no margin", "does not fit"}
    assert code == 1, "not on every card"
    for name, verdict in verdicts.items():
        code, alone, _ = run(capsys, *job, "--gpu", name)
        assert f"{verdict} {name}" in alone.replace("no margin on", "no margin"), name
        assert code == (0 if verdict == "fits" else 1)
    code, data = run_json(capsys, *job, "--gpu", "H200", "--gpu", "T4")
    assert code == 1 and "gpu" not in data and "fits" not in data
    assert [(each["name"], each["fits"]) for each in data["gpus"]] == [("H200", True), ("T4", False)]
    code, _, err = run(capsys, *job, "--gpu", "all", "--plot", "x.svg")
    assert code == 2 and "pass one with --gpu" in err


LINE = {"schema": 1, "event": "after_step", "device": "cuda:0", "step": 3, "label": None, "findings": []}

TABLES = [
    ("models",),
    ("models", "Qwen/Qwen2.5-1.5B-Instruct"),
    ("estimate", "mistralai/Mistral-7B-Instruct-v0.3", "--gpu", "all", "--regime", "full"),
    ("plan",),
    ("plan", "--regime", "full", "--gpu", "T4"),
    ("plan", "mistralai/Mistral-7B-Instruct-v0.3", "--gpu", "all", "--context"),
    ("plan", "--gpu", "H200", "--gpu", "T4"),
    ("compare", "memory.jsonl"),
]


@pytest.mark.parametrize("arguments", TABLES, ids=" ".join)
@pytest.mark.parametrize("columns", ["80", "200", ""])
def test_what_goes_into_a_pipe_fits_80_columns(
    arguments: tuple[str, ...],
    columns: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever terminal the pipe was started from."""
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "memory.jsonl").write_text(
        json.dumps(
            LINE
            | {
                "label": "a label of some length",
                "estimate": {"bytes": 100 * 2**30},
                "max_allocated": 99 * 2**30,
                "ratio": 1.0101,
                "verdict": "ok",
            }
        )
        + "\n"
    )
    _, out, err = run(capsys, *arguments)
    assert out and not err
    assert [line for line in out.splitlines() if len(line) > 80 or line != line.rstrip()] == []


def test_a_wider_terminal_gets_more(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "width", lambda: 240)
    _, out, _ = run(capsys, "models")
    assert {"layers", "heads/kv", "tied", "dtype"} <= set(out.splitlines()[0].split())
    assert len(out.splitlines()) == 2 + len(list(registry.all_models()))
    monkeypatch.setattr(render, "width", lambda: 60)
    _, out, _ = run(capsys, "plan", "Qwen/Qwen2.5-3B", "--gpu", "T4")
    assert max(map(len, out.splitlines()[2:])) <= 60
    assert out.count("Qwen/Qwen2.5-3B") == 2, "what does not fit continues below, with the model again"


def test_plan_finds_the_longest_context(capsys: pytest.CaptureFixture[str]) -> None:
    code, (row,) = run_json(
        capsys, "plan", "Qwen/Qwen2.5-7B", "--context", "--logits", "last", "--gpu", "RTX-4090"
    )
    assert code == 0 and 30_000 < row["batch"] < 40_000
    code, out, _ = run(capsys, "plan", "Qwen/Qwen2.5-7B", "--context", "--logits", "last")
    assert code == 0 and "131072 (all)" in out


def test_plan_of_a_pair(capsys: pytest.CaptureFixture[str]) -> None:
    code, (row,) = run_json(
        capsys, "plan", "meta-llama/Llama-3.2-1B", "--target", "Qwen/Qwen2.5-1.5B", "--seq-len", "1536",
        "--grad-accum", "2", "--no-keep-outputs",
    )  # fmt: skip
    assert (code, row["batch"]) == (0, 11)


STEP = """
import torch
def build():
    layer = torch.nn.Linear(4096, 4096, bias=False)
    return lambda: layer(torch.zeros(8, 4096)).sum().backward()
def reads():
    return lambda: torch.zeros(1).item()
"""


def test_plan_traces_a_users_own_step(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    (tmp_path / "my_step.py").write_text(STEP)
    monkeypatch.chdir(tmp_path)
    code, data = run_json(capsys, "plan", "--trace", "my_step:build")
    assert code == 0
    assert data["built"] == 4096 * 4096 * 4 and 2 <= data["peak_allocated"] / data["built"] < 3.1
    code, _, err = run(capsys, "plan", "--trace", "my_step:reads")
    assert code == 2 and "use the closed form" in err
    code, _, err = run(capsys, "plan", "--trace", "my_step:absent")
    assert code == 2 and "no function absent" in err
    code, _, err = run(capsys, "plan", "--trace", "my_step")
    assert code == 2 and "MODULE:FUNCTION" in err


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_a_picture(capsys: pytest.CaptureFixture[str], tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / f"plan{suffix}"
    code, _, err = run(capsys, "estimate", "Qwen/Qwen2.5-3B", "--regime", "full", "--plot", str(file))
    assert code == 0, err
    data = file.read_bytes()
    if suffix == ".png":
        assert data.startswith(b"\x89PNG")
    else:
        assert b"<svg" in data
    run(capsys, "estimate", "Qwen/Qwen2.5-3B", "--regime", "full", "--plot", str(file))
    assert file.read_bytes() == data
    code, _, _ = run(capsys, "plan", "--regime", "frozen_grad", "--plot", str(file))
    assert code == 0 and file.read_bytes() != data


def test_a_picture_that_cannot_be(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = run(capsys, "estimate", "Qwen/Qwen2.5-3B", "--plot", str(tmp_path / "plan.pdf"))
    assert code == 2 and "a picture is .svg or .png" in err


def test_compare_reads_a_log(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "memory.jsonl"
    good = LINE | {
        "estimate": {"bytes": 100 * 2**30},
        "max_allocated": 99 * 2**30,
        "ratio": 1.0101,
        "verdict": "ok",
    }
    file.write_text(json.dumps(good) + "\n")
    code, out, _ = run(capsys, "compare", str(file))
    assert code == 0 and "1.010" in out and "99.00 GiB" in out and "below 1: 0%" in out
    bad = good | {
        "ratio": 0.5,
        "verdict": "under",
        "findings": [{"code": "near-full", "message": "97 % full"}],
    }
    file.write_text(json.dumps(good) + "\n" + json.dumps(bad) + "\n")
    code, out, _ = run(capsys, "compare", str(file))
    assert code == 1 and "cuda:0: near-full: 97 % full" in out
    code, data = run_json(capsys, "compare", str(file))
    assert code == 1 and data["bad"] and data["summary"]["min"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("estimate", "Qwen/Qwen2.5-8B"), "nearest: Qwen/Qwen2.5"),
        (("plan", "Qwen/Qwen2.5-7B", "--gpu", "H100"), "nearest: H100-80GB"),
        (("estimate", "Qwen/Qwen2.5-7B", "--batch", "0"), "batch must be"),
        (("compare", "absent.jsonl"), "absent.jsonl"),
        (("estimate", "Qwen/Qwen2.5-7B", "--reserve", "2"), "reserve must be"),
    ],
    ids=["model", "gpu", "batch", "log", "reserve"],
)
def test_a_users_mistake_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err and len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("model_type", "settings"),
    [
        ("bloom", {"n_layer": 2, "hidden_size": 256, "n_head": 4, "vocab_size": 5000}),
        ("codegen", {"n_layer": 2, "n_embd": 256, "n_head": 4, "vocab_size": 5000, "rotary_dim": 16}),
    ],
    ids=["bloom", "codegen"],
)
def test_any_architecture_is_traced_from_its_config(
    model_type: str, settings: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.AutoConfig.for_model(model_type, **settings)
    config.save_pretrained(tmp_path)
    attn = (
        "sdpa" if transformers.AutoModelForCausalLM._model_mapping[type(config)]._supports_sdpa else "eager"
    )
    job = (str(tmp_path), "--regime", "full", "--seq-len", "64", "--opt-impl", "fused", "--attn", attn)
    code, out, _ = run(capsys, "estimate", *job)
    assert code == 0 and "at least" not in out and "fits" in out
    assert f"activations of {model_type} have no closed form: transformers' own step was traced" in out
    code, data = run_json(capsys, "estimate", *job, "--traced")
    assert run_json(capsys, "estimate", *job)[1]["peak_bytes"] == data["peak_bytes"]
    states = 4 * 2 * lookup.from_config(tmp_path).params  # weights, gradients, two states in bfloat16
    logits = 14 * 64 * 5000
    assert code == 0 and data["instant"].startswith("traced: ")
    assert data["peak_bytes"] > states * 0.75 + logits
    assert data["peak_bytes"] < states * 1.5 + 4 * logits


@pytest.mark.slow
def test_the_traced_length_is_the_planned_one(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(num_hidden_layers=2, max_position_embeddings=100_000, vocab_size=32000)
    config.save_pretrained(tmp_path)
    job = ("plan", str(tmp_path), "--context", "--batch", "3", "--regime", "frozen_grad", "--gpu", "RTX-4090")
    _, (planned,) = run_json(capsys, *job)
    _, (traced,) = run_json(capsys, *job, "--traced")
    assert planned["batch"] == pytest.approx(traced["batch"], rel=0.001)
    assert 1000 < planned["batch"] < 100_000


def test_what_cannot_be_traced_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers")
    one = ("estimate", "Qwen/Qwen2.5-1.5B", "--traced")
    for more, message in (
        (("--shard", "zero3"), "cannot be traced in one process"),
        (("--attn", "flash_attention_2"), "flash_attention_2 has no meta kernel"),
        (("--target", "Qwen/Qwen2.5-3B"), "does not support pairs"),
    ):
        code, _, err = run(capsys, *one, *more)
        assert code == 2 and message in err


def test_float32_weights_are_counted_and_their_activations_are_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "telepathy_runtime.memory.standard_step", None)  # as without torch
    code, data = run_json(capsys, "estimate", "Qwen/Qwen2.5-3B", "--dtype", "float32", "--regime", "full")
    assert (code, data["whole"], data["after_load_bytes"]) == (0, False, 4 * 3_085_938_688)
    assert data["peak_bytes"] == 5 * 4 * 3_085_938_688
    lora = ("--mixed-precision", "--regime", "lora")
    mixed = ("--mixed-precision", "--regime", "full", "--no-keep-outputs", "--no-use-cache")
    code, data = run_json(capsys, "estimate", "Qwen/Qwen2.5-3B", *lora)
    adapters = 4 * 36 * 16 * (2048 + 2048 + 2048 + 256)
    assert (code, data["whole"], data["after_load_bytes"]) == (0, True, 4 * 3_085_938_688 + adapters)
    code, data = run_json(capsys, "estimate", "Qwen/Qwen2.5-3B", *mixed)
    batch = 3 * 8 * 1024  # numbers of tokens, mask and labels
    assert (code, data["whole"], data["peak_bytes"]) == (0, True, 5 * 4 * 3_085_938_688 + batch)
    code, out, _ = run(capsys, "estimate", "gpt2")
    assert "the checkpoint is float32: without dtype=bfloat16" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--mixed-precision", "--dtype", "float32"), "needs dtype='bfloat16'"),
        (("--mixed-precision", "--shard", "zero3", "--ranks", "2"), "DeepSpeed's ZeRO is not modelled"),
        (("--gpu", "2x48GiB"), "needs --shard"),
        (("--ranks", "2"), "--ranks 2 needs --shard"),
        (("--gpu", "2x48GiB", "--gpu", "T4", "--shard", "fsdp"), "the same number of cards"),
        (("--gpu", "2x48GiB", "--shard", "fsdp", "--ranks", "4"), "has 2 cards, but --ranks is 4"),
        (("--gpu", "0GiB"), "no capacity known for GPU '0GiB'"),
        (("--gpu", "24MiB"), "no capacity known for GPU '24MiB'"),
    ],
)
def test_what_does_not_go_together_is_said(
    options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "estimate", "Qwen/Qwen2.5-3B", "--regime", "full", *options)
    assert code == 2 and message in err


def test_a_gpu_by_size(capsys: pytest.CaptureFixture[str]) -> None:
    code, data = run_json(capsys, "estimate", "Qwen/Qwen2.5-3B", "--gpu", "24GiB")
    assert (code, data["gpu"]["total_bytes"]) == (0, 24 * 2**30)
    assert (
        run_json(capsys, "estimate", "Qwen/Qwen2.5-3B", "--gpu", "24gb")[1]["gpu"]["total_bytes"]
        == 24 * 10**9
    )
    job = ("estimate", "Qwen/Qwen2.5-3B", "--regime", "full", "--shard", "fsdp")
    two, ranks = (
        run_json(capsys, *job, "--gpu", "2x48GiB"),
        run_json(capsys, *job, "--ranks", "2", "--gpu", "48GiB"),
    )
    assert two[1]["workloads"][0]["ranks"] == 2
    assert two[1]["peak_bytes"] == ranks[1]["peak_bytes"]
    assert run(capsys, "estimate", "gpt2", "--gpu", "rtx-5090")[0] == 0


def test_more_than_forty_gpus_are_known_each_below_its_data_sheet() -> None:
    assert len(GPUS) >= 40
    assert GPUS["RTX-3090"].total_bytes == int(24 * 0.91 * 2**30)


def test_compare_shows_that_memory_ran_out(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "memory.jsonl"
    oom = LINE | {"event": "oom", "step": 4, "estimate": None, "verdict": "not_measured", "ratio": None}
    oom |= {"oom": {"tried": 2 * 2**30, "free": 2**30, "total": None}}
    file.write_text(json.dumps(oom) + "\n")
    code, out, _ = run(capsys, "compare", str(file))
    assert code == 1
    assert "out-of-memory: memory ran out in step 5: 2.00 GiB asked for, 1.00 GiB free" in out
    assert "no record has an estimate" in out
    assert run_json(capsys, "compare", str(file))[0] == 1


def test_a_sequence_beyond_the_models_positions_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    long, fits = "40000 tokens are more than the 32768 that Qwen/Qwen2.5-3B was made for", "more than the"
    assert long in run(capsys, "estimate", "Qwen/Qwen2.5-3B", "--seq-len", "40000")[1]
    assert fits not in run(capsys, "estimate", "Qwen/Qwen2.5-3B", "--seq-len", "32768")[1]


def test_a_plan_says_what_an_estimate_says(capsys: pytest.CaptureFixture[str]) -> None:
    model = "google-bert/bert-large-uncased-whole-word-masking"
    _, out, _ = run(capsys, "plan", model)
    assert "note: the checkpoint is float32" in out
    assert f"note: 512 tokens, all that {model} reads" in out
    code, out, err = run(capsys, "plan", model, "--seq-len", "1024")
    assert code == 2 and not out and f"1024 tokens are more than the 512 positions of {model}" in err
    _, out, _ = run(capsys, "plan", model, "--seq-len", "512")
    assert "all that" not in out
    _, out, _ = run(capsys, "plan", "meta-llama/Llama-2-7b-hf", "--seq-len", "5000")
    assert "note: 5000 tokens are more than the 4096 that meta-llama/Llama-2-7b-hf was made for" in out


def test_a_plan_of_what_cannot_be_traced_announces_no_trace(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "plan", "sentence-transformers/paraphrase-mpnet-base-v2")
    assert code == 2 and "seconds for each batch" not in err
    assert err.strip().endswith("only language models in 16 or 32 bits are traced")


def test_a_lower_bound_is_of_the_job_that_was_asked(capsys: pytest.CaptureFixture[str]) -> None:
    model = "sentence-transformers/paraphrase-mpnet-base-v2"
    _, out, _ = run(capsys, "estimate", model, "--regime", "lora")
    assert out.startswith(f"{model}: lora, batch 1") and "at least" in out


def test_adapters_of_an_encoder_are_traced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("peft")
    transformers.ElectraConfig(
        vocab_size=300,
        embedding_size=64,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=96,
        architectures=["ElectraForMaskedLM"],
    ).save_pretrained(tmp_path)
    everywhere = ("--regime", "lora", "--lora-targets", "all-linear", "--seq-len", "64")
    code, out, err = run(capsys, "estimate", str(tmp_path), *everywhere)
    assert code == 0 and "transformers' own step was traced" in out and "at least" not in out
    assert not err  # transformers' advice about the step is not for the reader


def test_adapters_of_bert_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(
        capsys, "estimate", "google-bert/bert-base-uncased", "--regime", "lora", "--seq-len", "64"
    )
    assert code == 0 and "traced" not in out and "at least" not in out


def test_a_narrow_terminal_breaks_no_table_of_an_estimate(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "width", lambda: 10)
    code, out, err = run(capsys, "estimate", "Qwen/Qwen2.5-0.5B", "--regime", "full", "--batch", "9" * 40)
    assert (code, err) == (1, "")  # it fits no GPU
    assert len([line for line in out.splitlines() if "█" in line]) == 2
