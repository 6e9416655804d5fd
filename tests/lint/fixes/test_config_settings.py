"""Settings of generation that move from a model's config (TLP406): safe only where nothing reads them from the config."""

from __future__ import annotations

import pytest

from telepathy_lint import engine
from telepathy_lint.rules import select
from telepathy_lint.settings import Settings
from telepathy_lint.source.text import Source

BEGIN = """from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained("gpt2")
model.config.max_length = 64
"""


@pytest.mark.parametrize(
    ("use", "safe"),
    [
        ("model.generate(x)\n", True),
        ("print(model.generation_config.max_length)\n", True),
        ("print(model.config.max_lengths)\n", True),
        ("print(model.config.max_length)\n", False),
        ("config = model.config\ntokenizer(x, max_length=config.max_length)\n", False),
        ("assert model.config.max_length == 64\n", False),
    ],
)
def test_a_setting_that_is_read_from_the_config_is_no_safe_move(use: str, safe: bool) -> None:
    source, how = Source("script.py", (BEGIN + use).encode()), Settings(">=5.0", strict=True)
    moved = BEGIN.replace("model.config", "model.generation_config") + use
    rules = select(["TLP406"])
    assert engine.fix(source, rules, how, unsafe=False).text == (moved if safe else BEGIN + use)
    assert engine.fix(source, rules, how, unsafe=True).text == moved
