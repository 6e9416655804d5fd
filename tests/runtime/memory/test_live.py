"""What a monitor shows of a run: the line on the terminal, the chart over steps, and a snapshot."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from telepathy_runtime.commands.memory import main
from telepathy_runtime.memory.devices import Measured
from telepathy_runtime.memory.live import Live, line

GIB = 2**30


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def card(allocated: int, peak: int) -> Measured:
    return Measured("cuda:0", "card", 80 * GIB, 70 * GIB, allocated=allocated, max_allocated=peak)


def test_the_line_is_rewritten_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    terminal = Terminal()
    live = Live(terminal)
    live.show(1, [card(GIB, 2 * GIB)], 3 * GIB)
    live.show(2, [card(GIB, 2 * GIB)], None)
    assert terminal.getvalue() == (
        "\r\x1b[Kstep 1  cuda:0 1.00 GiB of 80.00 GiB, peak 2.00 GiB (plan 3.00 GiB)"
        "\r\x1b[Kstep 2  cuda:0 1.00 GiB of 80.00 GiB, peak 2.00 GiB"
    )
    live.close()
    live.close()
    assert terminal.getvalue().endswith("peak 2.00 GiB\n")


def test_a_line_wider_than_the_terminal_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    terminal = Terminal()
    Live(terminal).show(1, [card(GIB, 2 * GIB)] * 8, 3 * GIB)
    shown = terminal.getvalue().removeprefix("\r\x1b[K")
    assert len(shown) == 39 and shown.endswith("...")


def test_nothing_is_written_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    live = Live(stream)
    live.show(1, [card(GIB, GIB)], None)
    live.close()
    assert stream.getvalue() == ""


def test_a_cpu_shows_what_is_resident() -> None:
    assert line(3, [Measured("cpu", "cpu", total_bytes=8 * GIB, rss=GIB)], GIB) == (
        "step 3  cpu 1.00 GiB resident of 8.00 GiB"
    )
    assert line(3, [Measured("cpu", "cpu")], None) == "step 3  cpu not measured resident"


def test_the_monitor_shows_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from telepathy_runtime.memory import Monitor, monitor

    terminal = Terminal()
    monkeypatch.setattr(monitor, "Live", lambda: Live(terminal))
    shown = Monitor(live=True)
    for _ in range(2):
        with shown.step():
            pass
    shown.end()
    assert [part[:6] for part in terminal.getvalue().split("\r\x1b[K")] == ["", "step 1", "step 2"]
    assert terminal.getvalue().endswith("\n")
    before = terminal.getvalue()
    with Monitor().step():
        pass
    assert terminal.getvalue() == before


def write_log(path: Path, **changes: Any) -> None:
    common = {
        "schema": 1,
        "device": "cuda:0",
        "event": "after_step",
        "findings": [],
        "ratio": None,
        "verdict": "ok",
    }
    records = [
        common
        | {"step": step, "rank": rank, "max_allocated": (step + rank) * GIB, "total_bytes": 8 * GIB}
        | {"estimate": {"bytes": 5 * GIB}}
        | changes
        for step in (1, 2, 3)
        for rank in (0, 1)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def test_the_chart_has_a_line_for_each_device_with_plan_and_capacity(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    log, picture = tmp_path / "memory.jsonl", tmp_path / "steps.svg"
    write_log(log)
    assert main(["compare", str(log), "--plot", str(picture)]) == 0
    from telepathy_runtime.memory import log as logs

    first, second = logs.lines(log)
    assert (first.device, second.device) == ("cuda:0", "rank 1 cuda:0")
    assert first.points == [(1, GIB), (2, 2 * GIB), (3, 3 * GIB)]
    assert first.limits == [(5 * GIB, "--", "planned"), (8 * GIB, "-", "capacity")]
    text = picture.read_text()
    assert text.startswith("<?xml")
    again = tmp_path / "again.svg"
    assert main(["compare", str(log), "--plot", str(again)]) == 0 and again.read_text() == text
    assert main(["compare", str(log), "--plot", str(tmp_path / "steps.png")]) == 0
    assert (tmp_path / "steps.png").read_bytes().startswith(b"\x89PNG")


def test_a_log_without_steps_has_no_chart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "memory.jsonl"
    write_log(log, event="end")
    assert main(["compare", str(log), "--plot", str(tmp_path / "steps.svg")]) == 2
    assert "no step was measured, so there is nothing to draw" in capsys.readouterr().err
    write_log(log)
    assert main(["compare", str(log), "--plot", str(tmp_path / "steps.pdf")]) == 2
    assert "a picture is .svg or .png, not '.pdf'" in capsys.readouterr().err


def test_a_snapshot_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from telepathy_runtime.memory import Monitor, UnknownOptionError

    monitor = Monitor(tmp_path / "memory.jsonl")
    if not torch.cuda.is_available():
        with pytest.raises(UnknownOptionError, match="needs a CUDA device"):
            monitor.snapshot()
    written: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda.memory, "_dump_snapshot", written.append)
    assert monitor.snapshot(tmp_path / "own.pickle") == tmp_path / "own.pickle"
    assert monitor.snapshot().parent == tmp_path
    assert written[0].endswith("own.pickle") and written[1].endswith(".pickle")
