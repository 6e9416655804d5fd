"""How `benchmarks/migration_rows.py` judges what the releases answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return pytest.importorskip("migration_rows")


def answers(*given: Any) -> dict[str, Any]:
    return {f"1.{number}.0": answer for number, answer in enumerate(given)}


@pytest.mark.parametrize(
    ("given", "held", "wrong"),
    [
        ((True, True, False, False), 4, []),
        ((False, True, False, False), 4, []),
        ((None, True, False, None), 2, []),
        ((True, False, False, False), 3, ["old: 1.1.0 lacks it"]),
        ((False, False, False, False), 3, ["old: 1.1.0 lacks it", "old: no release had it"]),
        ((True, False, True, False), 2, ["old: 1.1.0 lacks it", "old: 1.2.0 has it"]),
        ((True, True, False, True), 3, ["old: 1.3.0 has it"]),
    ],
)
def test_an_old_form_is_there_until_it_is_gone(
    rows: Any, given: tuple[Any, ...], held: int, wrong: list[str]
) -> None:
    found = rows.judged(rows.Row("old", ("has", "x"), gone=(1, 2)), answers(*given))
    assert (found.held, found.wrong, found.unasked) == (held, wrong, [])


def test_a_new_form_is_there_since_its_release(rows: Any) -> None:
    row = rows.Row("new", ("has", "x"), since=(1, 2), exact=False)
    assert rows.judged(row, answers(True, False, True, True)).held == 2
    assert rows.judged(row, answers(True, False, True, False)).wrong == ["new: 1.3.0 lacks it"]
    exact = row._replace(exact=True)
    assert rows.judged(exact, answers(True, False, True, True)).wrong == ["new: 1.0.0 has it"]


def test_what_could_not_be_asked_is_said(rows: Any) -> None:
    found = rows.judged(
        rows.Row("old", ("has", "x"), gone=(1, 1)), answers("cannot be imported here: why", False)
    )
    assert (found.held, found.wrong) == (1, [])
    assert found.unasked == ["old in 1.0.0: cannot be imported here: why"]


def test_every_table_is_asked(rows: Any) -> None:
    asked = {package: [row.question[0] for row in rows.rows(package)] for package in rows.VERSIONS}
    assert {"takes", "has", "value", "parameter", "tokenizer", "task"} == {*asked["transformers"]}
    assert {"takes", "has", "refuses"} == {*asked["trl"]}
    assert asked["peft"] == ["has"] * len(asked["peft"])
    assert min(map(len, asked.values())) > 5
