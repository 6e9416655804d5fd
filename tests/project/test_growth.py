"""Generated files: twice the input takes about twice the work. Counts calls, because times on busy machines are unreliable."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from telepathy_lint import rules as registry
from telepathy_lint.rules import all_rules
from telepathy_lint.run.lint_file import lint_file
from telepathy_lint.run.options import Task
from telepathy_lint.run.selection import FilePlan
from telepathy_lint.settings import Settings

IMPORT = "from transformers import AutoModel\n"
CALL = 'AutoModel.from_pretrained("gpt2", device_map="cuda")'
LOAD = f"m = {CALL}\n"
UNUSED = Task(unused_noqa=True)
FIX = Task(fix=True, unsafe=True)


def calls(text: str, task: Task, path: str = "x.py") -> int:
    """The number of function calls in one run, including Python's own."""
    count = 0

    def counted(frame: object, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    plan = FilePlan(path, all_rules(), Settings(), task)
    sys.setprofile(counted)
    try:
        result = lint_file(plan, text.encode())
    finally:
        sys.setprofile(None)
    assert not result.failures and (result.violations or result.applied or result.comments)
    return count


def notebook(count: int) -> str:
    cells = [{"cell_type": "code", "source": IMPORT + LOAD} for _ in range(count)]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


@pytest.mark.parametrize(
    ("repeated", "task"),
    [
        pytest.param(lambda n: f"# telepathy-lint: disable=TLP101\n{LOAD}" * n, UNUSED, id="open ranges"),
        pytest.param(
            lambda n: "".join(f"# telepathy-lint: disable=TLP101,X{i}\n{LOAD}" for i in range(n)),
            UNUSED,
            id="ranges of other codes each",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            lambda n: f"# telepathy-lint: disable=TLP101\n# telepathy-lint: enable=TLP102\n{LOAD}" * n,
            UNUSED,
            id="ranges that nothing ends",
            marks=pytest.mark.slow,
        ),
        pytest.param(lambda n: f"# telepathy-lint: disable-file=TLP101\n{LOAD}" * n, UNUSED, id="whole file"),
        pytest.param(
            lambda n: f"m = {CALL}  # noqa: E501\n" * n, UNUSED, id="noqa of others", marks=pytest.mark.slow
        ),
        pytest.param(lambda n: f"m = {CALL}  # noqa: E501\n" * n, Task(add_noqa=True), id="noqa added"),
        pytest.param(lambda n: (IMPORT + LOAD) * n, FIX, id="imports"),
    ],
)
def test_a_file_of_six_times_the_size_costs_about_six_times_as_much(
    repeated: Callable[[int], str], task: Task
) -> None:
    calls(IMPORT + LOAD, task)  # what is imported once counts for neither
    small, large = (calls(IMPORT + LOAD + repeated(count), task) for count in (100, 600))
    assert large < 9 * small  # were each compared with all others, it would come near 36 times


@pytest.mark.slow
def test_a_notebook_that_imports_in_every_cell_is_fixed_at_a_cost_in_proportion() -> None:
    calls(notebook(1), FIX, "x.ipynb")
    small, large = (calls(notebook(count), FIX, "x.ipynb") for count in (100, 600))
    assert large < 9 * small


@pytest.mark.parametrize(("count", "reported"), [(256, True), (257, False)])
def test_what_can_be_hundreds_of_things_is_not_told_apart(count: int, reported: bool) -> None:
    places = ", ".join(f'"cuda:{index}"' for index in range(count))
    text = f'{IMPORT}for place in [{places}]:\n    AutoModel.from_pretrained("gpt2", device_map=place)\n'
    result = lint_file(FilePlan("x.py", registry.select(["TLP101"]), Settings()), text.encode())
    assert bool(result.violations) is reported


def test_loops_over_a_long_list_share_what_they_find_of_it() -> None:
    def text(count: int) -> str:
        loop = "for name in NAMES:\n    m = AutoModel.from_pretrained(name)\n"
        return IMPORT + "NAMES = [" + '"gpt2", ' * 400 + f"]\n{LOAD}" + loop * count

    calls(text(1), Task())
    small, large = (calls(text(count), Task()) for count in (40, 160))
    assert large < 6 * small  # beyond 128 loops each of them may have bound the name: 400 values for each
