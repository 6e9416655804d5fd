"""What names a script of a project: only the lines with its name are searched."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from telepathy_lint.facts import not_reached
from telepathy_lint.facts.not_reached import is_named_elsewhere
from telepathy_lint.flow.project import read_bytes
from telepathy_lint.flow.whole_project import Project

#: Code before and behind the line in question, with the name in other words.
AROUND = "import retrain_all\nx = train_all_models\r\n"
NAMING = [
    "from scripts.train_all import main", "import os, train_all", 'run("scripts/train_all.py")', "train_all.main()", "scripts.train_all", 'load("train_all")',
    "from scripts import (\n    first,\n    train_all,\n)", "\ttrain_all as script,  # the script", "train_all",
]  # fmt: skip
OTHERS = [
    "train_all = 1", "import os; train_all()", "call(train_all)", "from scripts import main\nuse(train_all)", '"train_all of them"',
    "import retrain_all",
]  # fmt: skip


def named(folder: Path, text: str) -> bool:
    script = folder / "train_all.py"
    script.write_text("import train_all\n", encoding="utf-8")
    (folder / "other.py").write_text(text, encoding="utf-8", newline="")
    return is_named_elsewhere(str(script), Project(str(folder), read_bytes))


@pytest.mark.parametrize("ending", ["\n", "\r\n", ""])
@pytest.mark.parametrize(("text", "expected"), [*((e, True) for e in NAMING), *((e, False) for e in OTHERS)])
def test_a_script_is_named_in_a_line_between_others(
    text: str, expected: bool, ending: str, tmp_path: Path
) -> None:
    # Before "\r\n", a name on a line of its own is no import.
    alone = text == "train_all" or text.startswith("\ttrain_all")
    expected = expected and not (alone and ending == "\r\n" and "#" not in text)
    assert named(tmp_path, f"{AROUND}{text}{ending}{AROUND if ending else ''}") is expected


def test_the_lines_without_its_name_are_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searched = 0

    class Counting:
        """`re` with a `search` that counts."""

        def __getattr__(self, name: str) -> object:
            return getattr(re, name)

        def search(self, pattern: bytes, data: bytes, flags: int = 0) -> object:
            nonlocal searched
            searched += len(data)
            return re.search(pattern, data, flags)

    monkeypatch.setattr(not_reached, "re", Counting())
    assert not named(tmp_path, "from os import path\n" * 1000 + "use(train_all)\n" + "import os\n" * 1000)
    assert searched == len("use(")  # what stands before the name
