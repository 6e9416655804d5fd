"""What `benchmarks/migration_facts.py --newest` says of a release: what the one before accepted and it does not."""

from __future__ import annotations

import json

from benchmarks.migration_facts import RELEASES, SEEN, lost, number
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
