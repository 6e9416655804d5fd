"""Where a project chooses attention is searched for by the id of a model, until all choices are wanted anyway."""

from __future__ import annotations

from pathlib import Path

import pytest

from telepathy_lint.facts import attention_elsewhere
from telepathy_lint.facts.attention_elsewhere import choices_naming
from telepathy_lint.flow import whole_project
from telepathy_lint.flow.project import read_bytes
from telepathy_lint.flow.whole_project import Project

LOAD = "model = AutoModel.from_pretrained('{id}', attn_implementation='{choice}')\n"


def project_of(folder: Path) -> Project:
    (folder / "a.py").write_text(LOAD.format(id="org/one", choice="sage"), encoding="utf-8")
    (folder / "b.py").write_text(LOAD.format(id="org/two", choice="eager"), encoding="utf-8")
    (folder / "c.py").write_text("# org/one\nuse_flash_attention_2 = True\n", encoding="utf-8")
    (folder / "d.py").write_text("name = 'org/one'\n", encoding="utf-8")
    return Project(str(folder), read_bytes)


def test_a_search_for_one_id_finds_what_all_choices_say_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = project_of(tmp_path)
    found = {model_id: few.about(model_id, choices_naming) for model_id in ("org/one", "org/two", "org/no")}
    monkeypatch.setattr(attention_elsewhere, "_FEW_IDS", 0)
    many = project_of(tmp_path)
    assert found == {model_id: many.about(model_id, choices_naming) for model_id in found}
    said = {model_id: [each.name for each in choices or ()] for model_id, choices in found.items()}
    assert said == {"org/one": ["sage"], "org/two": ["eager"], "org/no": []}


@pytest.mark.parametrize("few", [0, 2])
def test_a_project_that_is_too_large_is_not_searched(
    few: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_project, "_MOST_BYTES", 10)
    monkeypatch.setattr(attention_elsewhere, "_FEW_IDS", few)
    assert project_of(tmp_path).about("org/one", choices_naming) is None
