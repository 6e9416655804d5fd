"""The table of all model types: `python -m benchmarks.memory_types`."""

from __future__ import annotations

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
