"""An argument that is renamed in a dict (TLP107) is renamed for every call that gets the dict, and for none twice."""

from __future__ import annotations

import pytest

from telepathy_lint import engine
from telepathy_lint.rules import select
from telepathy_lint.settings import Settings
from telepathy_lint.source.text import Source

BEGIN = (
    "from transformers import AutoModelForCausalLM\ndef load(more):\n    known = {'torch_dtype': 'auto'}\n"
)
LOAD = "    AutoModelForCausalLM.from_pretrained('a/b', **known{})\n"


def fixed(code: str) -> str:
    source = Source("script.py", (BEGIN + code).encode())
    return engine.fix(source, select(["TLP107"]), Settings(">=5.0", strict=True)).text


@pytest.mark.parametrize("other", ["", ", revision='x'"])
def test_a_key_is_renamed_where_all_calls_know_the_new_name(other: str) -> None:
    code = LOAD.format("") + LOAD.format(other)
    assert fixed(code) == (BEGIN + code).replace("torch_dtype", "dtype")


@pytest.mark.parametrize("other", [", dtype='float32'", ", **more"])
def test_a_key_stays_where_another_call_may_pass_the_new_name_too(other: str) -> None:
    code = LOAD.format("") + LOAD.format(other)
    assert fixed(code) == BEGIN + code
    code = LOAD.format(other) + LOAD.format("")
    assert fixed(code) == BEGIN + code
