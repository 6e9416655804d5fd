"""At some kinds of sites, findings only matter where nothing is known around the file; elsewhere, these are not looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from telepathy_lint import engine
from telepathy_lint.facts import out_of_use
from telepathy_lint.flow.project import Modules
from telepathy_lint.rules import all_rules, select
from telepathy_lint.run.lint_file import lint_file
from telepathy_lint.run.options import PLAIN
from telepathy_lint.run.selection import FilePlan
from telepathy_lint.settings import Settings

HEAD = "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
#: A finding of each rule with such kinds.
OF_A_RULE = {
    "TLP106": "m = AutoModelForCausalLM.from_pretrained('gpt2', device_map='auto')\nm.to('cuda')\n",
    "TLP108": "t = AutoTokenizer.from_pretrained('gpt2', torch_dtype='auto')\n",
    "TLP201": (
        "m = AutoModelForCausalLM.from_pretrained('gpt2')\nt = AutoTokenizer.from_pretrained('gpt2')\n"
        "m.generate(**t(['a'], padding=True))\n"
    ),
    "TLP203": "m = AutoModelForCausalLM.from_pretrained('Qwen/Qwen3-8B')\nprint(m.generate(ids))\n",
    "TLP304": "t = AutoTokenizer.from_pretrained('gpt2', cache_dir='/home/me/cache')\n",
}
#: Code with several of them.
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


def found(
    folder: Path, told: bool, strict: bool = False, modules: Modules | None = None, code: str = CODE
) -> set[str]:
    path = folder / "run.py"
    path.write_text(code, encoding="utf-8")
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


@pytest.mark.parametrize("rule", OF_A_RULE)
def test_each_rule_reports_only_where_nothing_is_known(rule: str, tmp_path: Path) -> None:
    code = HEAD + OF_A_RULE[rule]
    for name in ("alone", "project"):
        (tmp_path / name).mkdir()
    assert rule in found(tmp_path / "alone", told=False, code=code)
    assert rule not in found(tmp_path / "project", told=True, code=code)


def test_all_such_rules_are_tried() -> None:
    assert {rule.meta.code for rule in all_rules() if rule.meta.only_bare} == set(OF_A_RULE) == set(RULES)


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
