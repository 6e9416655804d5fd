"""A fixed override of a trainer's method means what it meant: no name is hidden, none stands twice."""

from __future__ import annotations

import ast

import pytest

from telepathy_lint import engine
from telepathy_lint.rules import select
from telepathy_lint.settings import Settings
from telepathy_lint.source.text import Source


def fixed(method: str, before: str = "", unsafe: bool = False) -> str:
    begin = f"from transformers import Trainer\n{before}class Own(Trainer):\n"
    source = Source("script.py", (begin + method).encode())
    text = engine.fix(source, select(["TLP409"]), Settings(">=4.46", strict=True), unsafe=unsafe).text
    ast.parse(text)
    return text.removeprefix(begin)


@pytest.mark.parametrize(
    ("before", "method"),
    [
        ("start_time = 1\n", "    def log(self, logs):\n        print(start_time)\n"),
        ("", "    def log(self, start_time):\n        print(start_time)\n"),
        ("", "    def log(self, logs):\n        global start_time\n        start_time = 1\n"),
        ("", "    def log(self, logs):\n        return lambda start_time: logs\n"),
        (
            "train_dataset = load()\n",
            "    def _get_train_sampler(self):\n        return Sampler(train_dataset)\n",
        ),
    ],
)
def test_a_name_that_the_method_uses_is_not_taken_from_it(before: str, method: str) -> None:
    assert fixed(method, before, unsafe=True) == method


@pytest.mark.parametrize(
    ("before", "after", "safe"),
    [
        (
            "    def log(self, logs): print(logs)\n",
            "    def log(self, logs, start_time=None): print(logs)\n",
            True,
        ),
        (
            "    def _get_train_sampler(self): return Sampler(self.train_dataset)\n",
            "    def _get_train_sampler(self, train_dataset=None): return Sampler(self.train_dataset)\n",
            True,
        ),
        # Without the number of items, the loss of several batches is scaled in another way.
        (
            "    def training_step(self, model, inputs): return super().training_step(model, inputs)\n",
            "    def training_step(self, model, inputs, num_items_in_batch=None): return super().training_step(model, inputs)\n",
            False,
        ),
    ],
)
def test_other_overrides_take_what_they_are_passed(before: str, after: str, safe: bool) -> None:
    assert fixed(before, unsafe=True) == after
    assert fixed(before) == (after if safe else before)
