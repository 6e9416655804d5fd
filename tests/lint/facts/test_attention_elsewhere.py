"""Where a project chooses attention for the model of a load: only files that name it are read closely."""

from __future__ import annotations

from pathlib import Path

import pytest

from telepathy_lint.facts.attention_elsewhere import _choices, choices_naming
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


def test_the_choices_in_files_that_name_a_model_are_found(tmp_path: Path) -> None:
    project = project_of(tmp_path)
    found = {
        model_id: project.about(model_id, choices_naming) for model_id in ("org/one", "org/two", "org/no")
    }
    said = {model_id: [each.name for each in choices or ()] for model_id, choices in found.items()}
    assert said == {"org/one": ["sage"], "org/two": ["eager"], "org/no": []}
    every = project.once(_choices)
    assert every is not None and sorted(each.name for each in every) == ["eager", "flash_attention_2", "sage"]
    assert found == {name: tuple(each for each in every if name in each.named) for name in found}


def test_a_project_that_is_too_large_is_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_project, "_MOST_BYTES", 10)
    assert project_of(tmp_path).about("org/one", choices_naming) is None
