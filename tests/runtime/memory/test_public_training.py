"""Peaks of training that others measured, held against the closed form; every row that can be said in our terms."""

from __future__ import annotations

from typing import Any

import pytest

from telepathy_runtime.memory import estimate
from tests.runtime.memory.fms_acceleration import Row, rows

ROWS = rows()


def _name(row: Row) -> str:
    work = row.work
    return f"{row.spec.id.partition('/')[2]}-{row.configuration}-{work.regime}-{work.ranks}x{work.batch}"


@pytest.mark.parametrize("row", ROWS, ids=_name)
def test_the_measured_peak(row: Row) -> None:
    ratio = estimate(row.spec, row.work).peak_allocated / row.peak
    # On one GPU, what is missing are workspaces of cuBLAS, 17 to 19 MB each time.
    assert (0.988 if row.work.ranks > 1 else 0.9985) < ratio < (1.006 if row.work.ranks > 1 else 1)


def test_what_lies_between_two_steps() -> None:
    """On one GPU, where nothing is gathered: weights, adapters and states, to some megabytes of workspaces."""
    single = [row for row in ROWS if row.work.ranks == 1]
    missing = [row.steady - estimate(row.spec, row.work).steady for row in single]
    assert len(single) > 60
    assert min(missing) > 16e6 and max(missing) < 30e6


def test_all_rows_are_here() -> None:
    assert len(ROWS) == 171
    off = [abs(estimate(row.spec, row.work).peak_allocated / row.peak - 1) for row in ROWS]
    assert sum(off) / len(off) < 0.001
    assert sum(each < 0.005 for each in off) >= 167


#: A setting less, and how many of the rows with adapters are then off by more than so many percent; none is with all.
MOVED: tuple[tuple[dict[str, Any], int, int], ...] = (
    ({"autocast": False}, 2, 30),
    ({"reentrant": False}, 2, 70),
    ({"lora_dropout": False}, 2, 60),
    ({"kernels": "norms"}, 1, 25),
    ({"loss": "fused"}, 2, 30),
)


@pytest.mark.parametrize(("change", "percent", "least"), MOVED, ids=lambda each: str(each))
def test_each_setting_that_the_rows_ran_with_is_needed(
    change: dict[str, Any], percent: int, least: int
) -> None:
    lora = [row for row in ROWS if row.work.regime == "lora"]
    off = [abs(estimate(row.spec, row.work.but(**change)).peak_allocated / row.peak - 1) for row in lora]
    assert sum(each > percent / 100 for each in off) >= least
