"""What `benchmarks/migration_facts.py --newest` says of a release: what the one before accepted and it does not."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest

from benchmarks.migration_facts import RELEASES, SEEN, Release, alive, lost, number
from telepathy_lint.knowledge import migration_table, migration_trl


def test_what_is_gone_is_named_by_its_owner_in_order() -> None:
    before = {"Trainer": ["tokenizer", "model", "args"], "names": ["AdamW"], "tasks": ["ner"]}
    now = {"Trainer": ["model", "processing_class"], "names": ["AdamW", "More"], "tasks": ["ner"]}
    assert lost(before, now) == ["Trainer lost args, tokenizer"]


def test_an_owner_that_is_gone_lost_everything() -> None:
    assert lost({"trl.PPOConfig": ["b", "a"]}, {}) == ["trl.PPOConfig lost a, b"]


def test_more_is_no_loss() -> None:
    assert lost({"names": []}, {"names": ["A"], "tasks": ["x"]}) == []
    assert lost({}, {"names": ["A"]}) == []


def test_every_part_of_what_was_seen_is_compared() -> None:
    seen = json.loads(SEEN.read_text(encoding="utf-8"))
    assert lost(seen, seen) == []
    for owner, names in seen.items():
        if names:
            assert lost(seen, {**seen, owner: names[1:]}) == [f"{owner} lost {names[0]}"]


def test_all_that_the_tables_are_about_is_compared() -> None:
    seen = json.loads(SEEN.read_text(encoding="utf-8"))
    parts = {
        "TrainingArguments",
        "Trainer",
        "Trainer.compute_loss",
        "tokenizers",
        "tasks",
        "names",
        "parts",
        "modules",
    }
    parts |= {"trl", "trl modules", "trl.SFTConfig", "trl.SFTTrainer", "peft", "peft.LoraConfig"}
    assert {part for part in parts if seen.get(part)} == parts
    assert "get_peft_model" in seen["peft"]
    assert "SFTTrainer" in seen["trl"]


def test_the_tables_say_which_releases_they_are_from() -> None:
    read = json.loads(RELEASES.read_text(encoding="utf-8"))
    for releases in read.values():
        assert [number(each) for each in releases] == sorted(set(map(number, releases)))
    for table in (migration_table, migration_trl):
        for package in ("transformers", "trl"):
            assert f"{package} {read[package][0]} to {read[package][-1]}" in " ".join(
                (table.__doc__ or "").split()
            )


def wheel(folder: Path, package: str, version: str, modules: dict[str, str]) -> Release:
    """A release with these files, without their .py."""
    path = folder / f"{package}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as written:
        for name, text in modules.items():
            written.writestr(f"{package}/{name}.py", text)
    return Release(path)


def test_a_trainer_that_hands_on_what_it_gets_takes_what_the_other_takes(tmp_path: Path) -> None:
    outer = "class KTOTrainer(_KTOTrainer):\n    def __init__(self, *args, **kwargs): ...\n"
    inner = "class KTOTrainer(_BaseTrainer):\n    def __init__(self, model, args=None): ...\n"
    own = "class OwnTrainer(Trainer):\n    def __init__(self, **kwargs): ...\n"
    files = {"trainer/kto_trainer": outer, "trainer/own_trainer": own, "experimental/kto/kto_trainer": inner}
    release = wheel(tmp_path, "trl", "1.4.0", files)
    assert release.parameters("KTOTrainer") == ["model", "args"]
    assert release.parameters("OwnTrainer") is None


@pytest.mark.parametrize(("makes_its_table", "more"), [(False, set()), (True, {"MT5Stack"})])
def test_public_names_are_those_of_the_table(tmp_path: Path, makes_its_table: bool, more: set[str]) -> None:
    table = (
        '_import_structure = {"models.mt5": ["MT5Model"]}\n_import_structure["trainer"].append("Trainer")\n'
        'for name in ():\n    def alias(name):\n        return name.endswith("Fast")\n'
    )
    if makes_its_table:
        table += 'define_import_structure("models/")\n'
    files = {
        "__init__": table,
        "models/mt5/modeling_mt5": '__all__ = ["MT5Model", "MT5Stack"]\n',
        "integrations/hub_kernels": '__all__ = ["use_kernels"]\n',
    }
    release = wheel(tmp_path, "transformers", "4.51.3", files)
    found = {"MT5Model", "MT5Stack", "Trainer", "Fast", "use_kernels"} & release.public
    assert found == {"MT5Model", "Trainer"} | more


def test_a_lazy_module_has_nothing_of_what_it_uses_itself(tmp_path: Path) -> None:
    text = (
        "from ..utils import is_tf_available\nif TYPE_CHECKING:\n    from .utils import generate\n"
        "if is_sagemaker_mp_enabled():\n    from .parallel import gather\n"
    )
    lazy = text + "sys.modules[__name__] = _LazyModule(__name__)\n"
    release = wheel(tmp_path, "transformers", "4.57.6", {"generation": lazy, "trainer": text})
    asked = {"generate", "is_tf_available", "gather"}
    assert asked & release.defines("transformers.generation") == {"generate"}
    assert asked & release.defines("transformers.trainer") == {"generate", "is_tf_available"}


def test_what_needs_another_package_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "transformers"
    folder.mkdir()
    (folder / "__init__.py").write_text("__version__ = '5.24.0'\nhere = 1\n", encoding="utf-8")
    (folder / "fast.py").write_text("import a_package_that_is_not_installed\n", encoding="utf-8")
    (folder / "broken.py").write_text("raise RuntimeError\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", ""))))
    names = [f"transformers.{name}" for name in ("here", "fast", "broken", "fast.part", "gone", "gone.part")]
    assert alive(names, "5.24.0") >= set(names[:3])
    assert not alive(names, "5.24.0") & set(names[4:])
