"""At some kinds of sites, findings only matter where nothing is known around the file; elsewhere, these are not looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from telepathy_lint import engine
from telepathy_lint.facts import out_of_use
from telepathy_lint.flow.project import Modules
from telepathy_lint.rules import select
from telepathy_lint.run.lint_file import lint_file
from telepathy_lint.run.options import PLAIN
from telepathy_lint.run.selection import FilePlan
from telepathy_lint.settings import Settings

#: A finding of each rule with such kinds.
CODE = """\
import os
from transformers import AutoModelForCausalLM, AutoTokenizer

os.environ["HF_HOME"] = "/home/me/models"
tokenizer = AutoTokenizer.from_pretrained("gpt2", cache_dir="/home/me/cache", return_dict=True)
model = AutoModelForCausalLM.from_pretrained("gpt2", device_map="auto")
model.to("cuda")
texts = model.generate(**tokenizer(["a", "bc"], padding=True, return_tensors="pt"))
"""
RULES = ("TLP106", "TLP108", "TLP201", "TLP203", "TLP304")


def found(folder: Path, told: bool, strict: bool = False, modules: Modules | None = None) -> set[str]:
    path = folder / "run.py"
    path.write_text(CODE, encoding="utf-8")
    (folder / "setup.py").write_text("", encoding="utf-8")
    if told:
        (folder / "README.md").write_text("# Runs\n\n```\npython run.py\n```\n", encoding="utf-8")
    plan = FilePlan(str(path), select(RULES), Settings(strict=strict), PLAIN)
    return {each.code for each in lint_file(plan, path.read_bytes(), modules or Modules()).violations}


def test_the_rules_report_only_where_nothing_is_known_unless_strict(tmp_path: Path) -> None:
    for name in ("alone", "project", "strict"):
        (tmp_path / name).mkdir()
    alone = found(tmp_path / "alone", told=False)
    assert alone >= {"TLP106", "TLP201"}
    assert found(tmp_path / "project", told=True) == set()
    assert found(tmp_path / "strict", told=True, strict=True) >= alone


def test_a_result_without_findings_depends_on_what_is_known(tmp_path: Path) -> None:
    modules = Modules()
    assert found(tmp_path, told=True, modules=modules) == set()
    assert ("is_told_of",) in set(modules.questions(str(tmp_path / "run.py")))


@pytest.mark.parametrize("told", [True, False])
def test_the_kinds_are_only_looked_for_where_they_matter(
    told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[frozenset[str]] = []

    def kinds(*given: object) -> frozenset[str]:
        looked.append(kinds_that_matter(*given))  # type: ignore[arg-type]
        return looked[-1]

    kinds_that_matter = out_of_use.kinds_that_matter
    monkeypatch.setattr(engine, "kinds_that_matter", kinds)
    found(tmp_path, told)
    assert [{"move", "path", "generate"} <= each for each in looked] == [not told]
    assert all("model" in each for each in looked)
