"""What `plan` says is to be changed: each saving is the planner's own, and the options do what they promise."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from telepathy_runtime.commands.memory import main
from telepathy_runtime.memory import Workload, estimate, gpu, max_batch
from telepathy_runtime.memory.advice import Advice, advice, changes
from telepathy_runtime.models import registry

LLAMA = registry.get("meta-llama/Llama-3.1-8B")
CARD = gpu("A100-40GB")


def found(work: Workload) -> list[Advice]:
    return advice(work, lambda job: estimate(LLAMA, job), lambda job: max_batch(LLAMA, job, device=CARD))


@pytest.mark.parametrize("how", [{"regime": "full"}, {"regime": "lora"}, {"attn": "eager"}], ids=str)
def test_each_saving_is_what_the_planner_says_of_the_changed_job(how: dict[str, Any]) -> None:
    work = Workload(seq_len=2048, batch=2, **how)
    peak = estimate(LLAMA, work).peak_allocated
    total = peak
    assert found(work)
    for each in found(work):
        changed = work.but(**each.change.settings)
        assert each.peak == estimate(LLAMA, changed).peak_allocated == peak - each.saves < peak
        assert each.largest == max_batch(LLAMA, changed, device=CARD).batch
        assert each.together <= total
        total = each.together


def test_the_order_is_from_what_costs_nothing_to_more_devices() -> None:
    names = [change.options.split()[0] for change in changes(Workload(regime="full"))]
    assert names == [
        "--no-keep-outputs", "--loss", "--opt-impl", "--kernels", "--checkpointing", "--optimizer", "--opt-in-backward",
        "--regime", "--quantized", "--shard", "--shard", "--shard", "--offload",
    ]  # fmt: skip
    done = Workload(
        regime="lora", quantized="nf4_double", loss="linear", kernels="liger", checkpointing=True, keep_outputs=False,
        use_cache=False, shard="fsdp", ranks=2,
    )  # fmt: skip
    assert list(changes(done)) == []


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out + err


JOB = ("plan", LLAMA.id, "--regime", "full", "--seq-len", "2048", "--gpu", "A100-40GB")


@pytest.mark.parametrize(
    "job", [JOB, ("plan", "Qwen/Qwen2.5-7B", "--regime", "full", "--seq-len", "4096")], ids=str
)
def test_the_options_that_are_said_to_be_enough_are(
    job: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = run(capsys, *job)
    assert code == 1 and "what to change, at batch 1" in out
    options = [line.partition(": ")[2] for line in out.splitlines() if line.startswith("enough")]
    assert len(options) == 1
    code, out = run(capsys, *job, *shlex.split(options[0]))
    assert code == 0 and "what to change" not in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_enough_together_leaves_out_what_does_not_join(capsys: pytest.CaptureFixture[str]) -> None:
    job = ("plan", "meta-llama/Llama-3.1-8B", "--regime", "full", "--seq-len", "2048", "--gpu", "24GiB")
    code, out = run(capsys, *job, "--explain", "--batch", "8")
    assert code == 1
    line = next(line for line in out.splitlines() if line.startswith("enough"))
    assert line.count("--no-keep-outputs") <= 1
    code, data = run(capsys, "estimate", *job[1:], "--batch", "8", *shlex.split(line.partition(": ")[2]))
    assert code == 0, data


def test_a_job_that_fits_is_explained_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    job = ("plan", "Qwen/Qwen2.5-1.5B", "--regime", "lora", "--seq-len", "2048")
    assert "what to change" not in run(capsys, *job)[1]
    code, out = run(capsys, *job, "--explain", "--json")
    (data,) = json.loads(out)
    assert code == 0 and len(data["advice"]) > 4
    assert {each["saves_bytes"] > 0 for each in data["advice"]} == {True}


@pytest.mark.parametrize("more", [("--gpu", "all"), ("--context",), ("--target", "Qwen/Qwen2.5-3B")], ids=str)
def test_more_than_one_job_is_not_explained(
    more: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = run(capsys, "plan", "Qwen/Qwen2.5-1.5B", "--explain", *more)
    assert code == 2 and "--explain is for one model on one GPU" in out
