"""The table of all model types: `python -m benchmarks.memory_types`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from benchmarks import memory_types


def test_types_are_counted_and_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert memory_types.main(["gpt2", "bert", "no_such_type"]) == 0
    said = capsys.readouterr()
    assert said.err == "gpt2\tclosed form\t\nbert\tbuilt\t\nno_such_type\tnot built: ValueError\t\n"
    assert "| counted in closed form, equal to the build | 1 |" in said.out


def test_a_step_is_compared_with_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    assert memory_types.main(["--steps", "gpt2"]) == 0
    said = capsys.readouterr()
    assert said.err == "gpt2\tclosed form\tclosed form, within 0.5 % of its trace\n"
    assert "| closed form, within 0.5 % of its trace | 1 |" in said.out


@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere, a process starts without what a test replaced"
)
def test_a_type_that_takes_too_long_is_said_and_recorded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    record = tmp_path / "types.jsonl"
    monkeypatch.setattr(memory_types, "step", lambda _: time.sleep(60))
    arguments = ["--steps", "--seconds", "10", "--record", str(record), "gpt2"]
    assert memory_types.main(arguments) == 0
    assert capsys.readouterr().err == "gpt2\tclosed form\tnot within 10 s\n"
    assert record.read_text() == '["gpt2", "closed form", "not within 10 s"]\n'
    monkeypatch.setattr(memory_types, "counted", lambda _: "nothing is asked again")
    assert memory_types.main(arguments) == 0
    assert capsys.readouterr().err == "gpt2\tclosed form\tnot within 10 s\n"


@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere, a process starts without what a test replaced"
)
def test_a_count_that_is_not_the_build_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read = memory_types.spec_from_config

    def wrong(config: dict[str, Any], model_id: str) -> Any:
        return _More(read(config, model_id).params + 1)

    monkeypatch.setattr(memory_types, "spec_from_config", wrong)
    assert memory_types.main(["gpt2"]) == 1
    assert "counted in closed form, not equal to the build | 1 |" in capsys.readouterr().out


class _More(NamedTuple):
    params: int
