"""benchmarks/memory_gpu.py needs a GPU: here its rows are planned, a small one runs, and its time is limited."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from benchmarks import memory_gpu
from benchmarks.memory_families import Shape, config_of
from telepathy_runtime.memory.gpus import gpu

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")


def test_the_rows_of_the_gpu_script_can_be_planned_and_run() -> None:
    """The script itself needs a GPU: here each row has an estimate, and the steps of a small one run on the CPU."""
    from telepathy_runtime.memory.standard_step import build_step

    assert len(memory_gpu.ROWS) == 10
    for row in memory_gpu.ROWS:
        plan = memory_gpu.planned(row)
        assert plan.whole and plan.peak_allocated < 40 * 2**30
        assert (
            memory_gpu.line(row, {"loaded": plan.after_load, "peak": plan.peak_allocated}, plan).count(
                "1.000"
            )
            == 2
        )
    seen: list[Any] = []
    small = config_of("llama", Shape(2, 64, 128, 4, 2, 100))
    step = build_step(small, memory_gpu.ROWS[3].work.but(batch=1, seq_len=16), on_model=seen.append)()
    for _ in range(memory_gpu.STEPS):
        step()
    (model,) = seen
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def run(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr("sys.argv", ["memory_gpu", *options])
    return memory_gpu.main()


def test_the_plan_needs_no_gpu(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--plan") == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert len(rows) == 10
    assert all(row.count("|") == 6 and 0 < float(row.split("|")[4]) < 24 for row in rows)


def test_without_a_gpu_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert run(monkeypatch, "--rows", "1") == 2
    assert capsys.readouterr().err == "needs a CUDA device; --plan prints the estimates without one\n"


def test_all_rows_end_within_eight_minutes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows that hang are ended, and those after them are left out."""
    now = [1000.0]
    given: list[float] = []

    def hangs(command: list[str], *, timeout: float, **_: Any) -> Any:
        given.append(timeout)
        now[0] += timeout
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(memory_gpu, "gpu", lambda _: gpu("H100-80GB"))
    monkeypatch.setattr(memory_gpu.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(memory_gpu.subprocess, "run", hangs)
    assert memory_gpu.table(range(10)) == [memory_gpu.HEADER]
    assert sum(given) <= 8 * 60 and len(given) == 4
    error = capsys.readouterr().err
    assert error.count("failed") == 4 and error.count("left out") == 6
