"""The tree of a linted file is freed, except in a short run whose process ends afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from telepathy_lint.discovery.config import Configs
from telepathy_lint.discovery.walk import Discovery
from telepathy_lint.flow.tree import Tree
from telepathy_lint.run import batch
from telepathy_lint.run.batch import check_files
from telepathy_lint.run.options import Task
from telepathy_lint.run.selection import Selection

CODE = "from transformers import AutoModel\nmodel = AutoModel.from_pretrained('gpt2', device_map='auto')\n"


@pytest.mark.parametrize(
    ("is_last", "most", "freed"),
    [(False, 100_000, True), (True, 100_000, False), (True, 10, True)],
    ids=["run that goes on", "short run", "long run"],
)
def test_trees_are_freed(
    is_last: bool, most: int, freed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.py").write_text(CODE, encoding="utf-8")
    released: list[str] = []
    monkeypatch.setattr(Tree, "release", lambda tree: released.append(tree.source.path))
    monkeypatch.setattr(batch, "_FREED", most)
    configs = Configs({"strict": True})
    found = Discovery(configs).find([str(tmp_path)])
    results = check_files(found, Selection(configs), Task(), jobs=1, is_last=is_last)
    assert [each.violations != () for each in results] == [True]
    assert released == ([str(tmp_path / "a.py")] if freed else [])
