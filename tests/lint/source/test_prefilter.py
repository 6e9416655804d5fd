"""Which files are parsed: those whose code may use what a rule looks for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from telepathy_lint import knowledge
from telepathy_lint.source.prefilter import (
    MIGRATION_STEMS,
    PRETRAINED_GONE,
    CodeWords,
    may_matter,
    may_migrate,
)

TABLES = [*Path(knowledge.__path__[0]).glob("*names.py"), *Path(knowledge.__path__[0]).glob("*_table.py")]


def test_names_that_are_gone_open_a_file() -> None:
    """Names of models are no sign of a trainer, but those that are gone are looked for themselves."""
    gone = {
        name
        for table in TABLES
        if table.name != "transformers_names.py"
        for name in re.findall(r"\w*PreTrain\w*", table.read_text(encoding="utf-8"))
    }
    assert len(gone) > 20
    for name in sorted(gone):
        code = f"from transformers import {name}\n"
        assert may_matter(code.encode()) and may_migrate(CodeWords(code)), name


@pytest.mark.parametrize(
    ("code", "matters"),
    [
        ("from transformers import PreTrainedModel\nclass M(PreTrainedModel): pass\n", False),
        ("from transformers import PreTrainedModel, Trainer\n", True),
        ("import transformers\nTrain = 1\n", True),
        ("import transformers\nPreTrain = Train = 1\n", True),
        ("from transformers import TrainingArguments\n", True),
        ("Train = 1\n", False),
        *((f"import transformers\nx = {stem!r}\n", True) for stem in MIGRATION_STEMS),
        *((f"import transformers\nx = {stem!r}\n", True) for stem in PRETRAINED_GONE),
    ],
)
def test_bytes_that_may_matter(code: str, matters: bool) -> None:
    assert may_matter(code.encode()) == matters


@pytest.mark.parametrize(
    ("code", "migrates"),
    [
        ("from transformers import Trainer\n", True),
        ("import transformers  # Trainer\n", False),
        ("import transformers\n'''A Trainer of a PreTrainedModel.'''\n", False),
        ("from transformers import PreTrainedModel  # a Trainer trains it\n", False),
        ("from transformers import PreTrainedModel as Pre\nTrain = Pre\n", True),
        ("import transformers\nf'{Trainer}'\n", True),
        ("import transformers\nx.apply_chat_template(y)\n", True),
        ("import transformers\n# x.apply_chat_template(y)\n", False),
        ("Trainer = 1\n", False),
    ],
)
def test_words_in_strings_and_comments_do_not_count(code: str, migrates: bool) -> None:
    assert may_migrate(CodeWords(code)) == migrates
