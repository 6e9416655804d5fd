"""The monitor on a CPU with tiny models: facts, findings, verdicts, the log and its comparison."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from telepathy_runtime.memory import Monitor, Workload, estimate, log
from telepathy_runtime.memory import devices as devices_module
from telepathy_runtime.memory import monitor as monitor_module
from telepathy_runtime.memory.devices import Measured, Sampler, device_names, measure
from telepathy_runtime.memory.findings import (
    device_findings,
    load_findings,
    training_findings,
    used_share,
    verdict,
)
from telepathy_runtime.models import registry

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

GIB = 2**30


def tiny(**changes: Any) -> Any:
    config = transformers.LlamaConfig(
        hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=200, max_position_embeddings=64, pad_token_id=0, tie_word_embeddings=True,
    )  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(config, **changes)
    model.config._name_or_path = "meta-llama/Meta-Llama-3.1-8B"
    return model


def backward(model: Any) -> None:
    ids = torch.ones(1, 8, dtype=torch.long)
    model(input_ids=ids, labels=ids).loss.backward()


def test_a_frozen_model_that_is_not_frozen_is_found() -> None:
    model = tiny().eval()
    bridge = torch.nn.Linear(4, 4)
    optimizer = torch.optim.AdamW(bridge.parameters())
    (before,) = training_findings(model, [optimizer], name="target")
    assert before.code == "unoptimized-gradients"
    assert "target: every parameter in no optimizer will take gradients" in before.message
    assert "eval mode, which freezes nothing" in before.message
    backward(model)
    (after,) = training_findings(model, [optimizer])
    held = sum(p.grad.numel() * 4 for p in model.parameters() if p.grad is not None)
    assert after.bytes == held == sum(p.numel() * 4 for p in model.parameters())
    assert "gradients are held by" in after.message


def test_a_truly_frozen_or_optimized_model_is_not_found() -> None:
    frozen = tiny().requires_grad_(False)
    trained = tiny()
    assert training_findings(frozen, []) == []
    assert training_findings(trained, [torch.optim.SGD(trained.parameters(), lr=1)]) == []
    half = torch.optim.SGD(list(trained.parameters())[:1], lr=1)
    (found,) = training_findings(trained, [half])
    assert f"{len(list(trained.parameters())) - 1} parameters in no optimizer" in found.message
    assert "eval" not in found.message


def test_a_load_other_than_requested_is_found() -> None:
    model = tiny(dtype=torch.float32, attn_implementation="eager")
    model.hf_device_map = {"model.layers.0": 0, "model.layers.1": "cpu", "lm_head": "disk"}
    codes = {f.code: f.message for f in load_findings(model, dtype="torch.bfloat16", attn="sdpa")}
    assert set(codes) == {"dtype-differs", "attention-differs", "spilled"}
    assert "bfloat16 was requested" in codes["dtype-differs"] and "in float32" in codes["dtype-differs"]
    assert "sdpa was requested, got eager" in codes["attention-differs"]
    assert "lm_head, model.layers.1" in codes["spilled"]
    assert (
        load_findings(tiny(dtype=torch.float32, attn_implementation="eager"), dtype="float32", attn="eager")
        == []
    )


def device(name: str, share: float, **fields: Any) -> Measured:
    return Measured(name, "card", 100 * GIB, int(100 * GIB * (1 - share)), **fields)


def test_devices_are_judged_one_by_one() -> None:
    full = device("cuda:0", 0.97, max_allocated=50 * GIB, max_reserved=60 * GIB, num_alloc_retries=3)
    idle = device("cuda:1", 0.10, max_allocated=10 * GIB, max_reserved=11 * GIB, num_alloc_retries=0)
    found = device_findings([full, idle])
    assert [(place, finding.code) for place, finding in found] == [
        ("cuda:0", "near-full"),
        ("cuda:0", "fragmented"),
        ("cuda:0", "allocation-retries"),
    ]
    assert "97% full while cuda:1 are less than half full" in found[0][1].message
    assert found[1][1].bytes == 10 * GIB
    assert device_findings([device("cuda:0", 0.6), device("cuda:1", 0.6)]) == []


def test_what_cannot_be_measured_is_none() -> None:
    assert used_share(Measured("cuda:0", "card")) is None
    assert used_share(Measured("mps", "Apple MPS", 100, reserved=40)) == 0.4
    assert verdict(None, 5) == verdict(5, None) == verdict(5, 0) == (None, "not_measured")
    assert verdict(90, 100) == (0.9, "under")
    assert verdict(95, 100) == (0.95, "ok")
    assert verdict(116, 100) == (1.16, "over")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CPU's record")
def test_a_cpu_record_has_nulls_and_not_zeros(tmp_path: Path) -> None:
    model = tiny(dtype=torch.bfloat16)
    path = tmp_path / "memory.jsonl"
    monitor = Monitor(path, estimate=estimate(registry.get("Qwen/Qwen2.5-3B"), Workload()))
    monitor.after_load(model, requested="meta-llama/Meta-Llama-3.1-8B", dtype="bfloat16")
    (record,) = [json.loads(line) for line in path.read_text().splitlines()]
    assert (record["schema"], record["event"], record["device"]) == (1, "after_load", "cpu")
    for key in (
        "allocated",
        "max_allocated",
        "reserved",
        "max_reserved",
        "free_bytes",
        "num_ooms",
        "grad_bytes",
    ):
        assert record[key] is None
    assert record["rss"] > 10**7 and record["max_rss"] >= record["rss"] * 0.9
    assert record["peak_kind"] == "rss"
    facts = record["model"]
    assert facts["id"] == "meta-llama/Llama-3.1-8B" and facts["requested"] == "meta-llama/Meta-Llama-3.1-8B"
    params = sum(p.numel() for p in model.parameters())
    assert facts["params"] == facts["trainable_params"] == params
    assert facts["dtypes"] == {"bfloat16": 2 * params}
    assert facts["bytes_on_device"] == facts["params_bytes"] + facts["buffer_bytes"]
    assert facts["tied"] is True
    assert record["estimate"]["bytes"] == facts["bytes_on_device"]
    assert (record["ratio"], record["verdict"], record["findings"]) == (None, "not_measured", [])
    assert record["versions"]["torch"] == torch.__version__ or record["versions"]["torch"]


def fake_cuda(monkeypatch: pytest.MonkeyPatch, readings: list[int]) -> None:
    """One device whose allocated bytes follow `readings`."""
    left = list(readings)

    def fake(name: str, sampler: Any = None) -> Measured:
        now = left.pop(0)
        return Measured(name, "fake", 80 * GIB, 70 * GIB, allocated=now, max_allocated=now, reserved=now,
                        max_reserved=now, num_alloc_retries=0, num_ooms=0, peak_kind="allocator")  # fmt: skip

    monkeypatch.setattr(monitor_module, "device_names", lambda: ("cpu",))
    monkeypatch.setattr(monitor_module, "measure", fake)


def test_a_verdict_comes_after_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    guess = estimate(registry.get("Qwen/Qwen2.5-3B"), Workload())
    peak = guess.peak_allocated
    fake_cuda(monkeypatch, [0, peak // 2, peak // 2, peak, peak * 2])
    model = tiny()
    optimizer = torch.optim.AdamW(model.parameters())
    monitor = Monitor(estimate=guess)
    for _ in range(4):
        with monitor.step(model, optimizer):
            backward(model)
            optimizer.step()
    verdicts = [record["verdict"] for record in monitor.records]
    assert verdicts == ["too_early", "over", "ok", "under"]
    last = monitor.records[-1]
    assert (last["step"], last["ratio"]) == (4, 0.5)
    assert [finding["code"] for finding in last["findings"]] == ["estimate-differs"]
    assert last["estimate"]["components"]["weights"] == guess.peak.weights
    held = sum(p.numel() * 4 for p in model.parameters())
    assert last["grad_bytes"] == held and last["grad_bytes_not_in_optimizer"] == 0
    assert last["opt_state_bytes"] == pytest.approx(2 * held, rel=0.01)


def test_a_model_over_several_devices_is_not_held_against_an_estimate_of_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guess = estimate(registry.get("Qwen/Qwen2.5-3B"), Workload())
    fake_cuda(monkeypatch, [0, GIB, GIB])
    model = tiny()
    model.lm_head = torch.nn.Linear(64, 200, device="meta")
    monitor = Monitor(estimate=guess)
    for _ in range(2):
        monitor.stepped()
    (record,) = monitor.after_step(model)
    assert (record["estimate"], record["ratio"], record["verdict"]) == (None, None, "not_measured")
    (record,) = monitor.after_step()
    assert record["verdict"] == "over"


def test_two_models_get_a_line_each_and_one_together(monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tiny(), tiny()
    size = monitor_module.model_facts(source)["bytes_by_device"]["cpu"]
    fake_cuda(monkeypatch, [0, size, 2 * size, 2 * size])
    monitor = Monitor()
    monitor.after_load(source, name="source")
    monitor.after_load(target, name="target")
    rows = [(r["event"], r["label"], r["delta_allocated"], r["verdict"]) for r in monitor.records]
    assert rows == [
        ("after_load", "source", size, "ok"),
        ("after_load", "target", size, "ok"),
        ("pair", "source + target", 0, "ok"),
    ]
    assert monitor.records[2]["estimate"]["bytes"] == 2 * size


def test_an_out_of_memory_error_is_recorded_and_raised(tmp_path: Path) -> None:
    monitor = Monitor(tmp_path / "memory.jsonl")
    with pytest.raises(RuntimeError, match="out of memory"), monitor.step():
        raise RuntimeError(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 4.00 GiB"
        )
    assert [(r["event"], r["oom"]["tried"], r["oom"]["free"]) for r in monitor.records] == [
        ("oom", 2 * GIB, None)
    ]
    with pytest.raises(ValueError, match="other"), monitor.step():
        raise ValueError("other")
    assert len(monitor.records) == 1


def test_comparing_a_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guess = estimate(registry.get("Qwen/Qwen2.5-3B"), Workload())
    peak = guess.peak_allocated
    fake_cuda(monkeypatch, [0, peak, int(peak * 0.99), int(peak / 0.97)])
    path = tmp_path / "memory.jsonl"
    monitor = Monitor(path, estimate=guess)
    for _ in range(3):
        with monitor.step():
            pass
    result = log.compare(path)
    assert [row.verdict for row in result.rows] == ["too_early", "ok", "ok"]
    assert result.ratios == (1.0101, 0.97)
    assert result.summary == {
        "measured": 2, "min": 0.97, "median": pytest.approx(0.99005), "max": 1.0101, "below_1": 0.5,
    }  # fmt: skip
    assert not result.bad


def test_a_broken_log_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "memory.jsonl"
    path.write_text('\n{"schema": 1, "device": "cpu", "event": "end", "step": 0}\nnot json\n')
    with pytest.raises(log.LogError, match=r"memory\.jsonl:3: not JSON"):
        log.compare(path)
    path.write_text('{"schema": 2}')
    with pytest.raises(log.LogError, match="memory record of schema 1"):
        log.compare(path)


def test_the_trainer_callback_records_load_steps_and_end(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    from telepathy_runtime.memory.callback import trainer_callback

    monitor = Monitor(tmp_path / "memory.jsonl")
    rows = [{"input_ids": torch.ones(8, dtype=torch.long), "labels": torch.ones(8, dtype=torch.long)}] * 5
    args = transformers.TrainingArguments(
        output_dir=str(tmp_path), max_steps=5, per_device_train_batch_size=1, report_to=[], save_strategy="no",
        disable_tqdm=True, use_cpu=True,
    )  # fmt: skip
    callback = trainer_callback(monitor, every=5)
    transformers.Trainer(model=tiny(), args=args, train_dataset=rows, callbacks=[callback]).train()
    events = [(record["event"], record["step"]) for record in monitor.records]
    assert events == [
        ("after_load", 0),
        ("after_step", 1),
        ("after_step", 2),
        ("after_step", 3),
        ("after_step", 5),
        ("end", 5),
    ]
    steps = [record for record in monitor.records if record["event"] == "after_step"]
    assert all(record["opt_state_bytes"] > 0 and record["findings"] == [] for record in steps)


def test_a_sampler_keeps_the_highest() -> None:
    sampler = Sampler()
    assert sampler.peak is None
    for size in (3, 9, 5):
        sampler.see(size)
    assert sampler.peak == 9


def test_mps_is_sampled_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mps:
        current_allocated_memory = staticmethod(lambda: 7)
        driver_allocated_memory = staticmethod(lambda: 20)
        recommended_max_memory = staticmethod(lambda: 100)

    monkeypatch.setattr(torch, "mps", Mps)
    sampler = Sampler()
    sampler.see(9)
    seen = measure("mps", sampler)
    assert (seen.allocated, seen.max_allocated, seen.reserved, seen.total_bytes) == (7, 9, 20, 100)
    assert seen.peak_kind == "sampled" and seen.rss
    assert measure("mps").max_allocated is None


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="a CPU only")
def test_a_machine_without_accelerator_reports_its_cpu() -> None:
    assert device_names() == ("cpu",)
    seen = measure("cpu")
    assert seen.total_bytes and seen.rss and seen.total_bytes > seen.rss
    devices_module.reset_peaks()  # raises on a CPU build of PyTorch when asked of torch.cuda


@pytest.mark.parametrize(
    ("work", "codes"),
    [
        (Workload(regime="full"), {"dtype-differs"}),
        (Workload(regime="full", dtype="float32"), set()),
        (Workload(regime="full", mixed_precision=True), set()),
        (Workload(regime="full", dtype="float32", optimizer="sgd"), {"optimizer-differs"}),
        (Workload(regime="lora", dtype="float32"), {"regime-differs"}),
    ],
    ids=["dtype", "as planned", "mixed", "optimizer", "regime"],
)
def test_a_run_that_is_not_the_planned_one_is_found(work: Workload, codes: set[str]) -> None:
    from telepathy_runtime.memory.held import held

    monitor = Monitor(estimate=held(registry.get("Qwen/Qwen2.5-3B"), work, "a test"))
    model = tiny()
    with monitor.step(model, torch.optim.AdamW(model.parameters())):
        pass
    found = {finding["code"] for record in monitor.records for finding in record["findings"]}
    assert found & {"dtype-differs", "regime-differs", "optimizer-differs"} == codes
