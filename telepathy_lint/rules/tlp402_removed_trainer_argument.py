from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.facts import removed as removed_names
from telepathy_lint.findings.change import Repair
from telepathy_lint.findings.finding import Finding
from telepathy_lint.knowledge.migration import ADAPTED_TWICE, Removed, named
from telepathy_lint.rule import Meta, Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Argument, Site


class RemovedTrainerArgument(Rule):
    """A trainer gets an argument that it no longer takes.

    `Trainer` takes `processing_class` in the place of `tokenizer` since transformers 4.46 and raises a TypeError for the old
    name in 5, and has no attribute of it; the trainers of trl did the same in 0.14 to 0.16. Most of what trl's trainers took themselves (`max_seq_length`,
    `dataset_text_field`, `packing`, `beta` ...) belongs into their config since 0.13. The fix moves a constant into the config
    if the trainer surely gets a config that is built in the file. `TrainingArguments` that only one `SFTTrainer` gets become an
    `SFTConfig`, which also says what it has another default for.

    Since 0.27, trl's trainers raise a ValueError for `peft_config` together with a model that has an adapter already
    (`get_peft_model`, `PeftModel.from_pretrained`). Before, they merged that adapter into the model, or ignored `peft_config`.

    The rule is on by default where the project's requirements allow transformers 5. A call is not reported if the code asks
    for the release around it, or catches the TypeError.
    Unless strict, neither is what a later release removed than the requirements allow (`transformers==5.3.0`).
    Unless strict, what is in a file of older libraries is left out, as by TLP107; what trl and peft removed is not.
    Where only another requirement leaves out transformers 5 (`huggingface-hub<1.0`), what transformers 4, trl and peft removed is reported
    still, up to the release that the requirements allow (`trl==0.12.0`).

    Bad:

        from transformers import Trainer

        trainer = Trainer(model, args, train_dataset=data, tokenizer=tokenizer)

    Good:

        from transformers import Trainer

        trainer = Trainer(model, args, train_dataset=data, processing_class=tokenizer)
    """

    meta = Meta(
        code="TLP402",
        name="removed-trainer-argument",
        message="removed argument",
        since="0.1.0",
        kinds=("trainer", "trainer_read"),
        fix="safe",
        five=("others", "admits", "needs"),
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        if site.kind == "trainer_read":
            for node, removed in removed_names.read(site, settings):
                yield self.of_read(site, node, removed, settings)
            return
        for argument, removed in removed_names.passed(site, settings):
            said = (
                f"{site.class_name} takes no {argument.name} since {removed.release}, and raises a TypeError"
            )
            advice = f": {removed.advice}" if removed.advice else ""
            yield site.at(argument, said + advice, fix=self.repair(site, argument, removed, settings))
        adapted = removed_names.adapted_twice(site)
        if adapted is not None and settings.reaches(ADAPTED_TWICE, "trl"):
            said = f"{site.class_name} takes no peft_config for a model that has an adapter since trl {named(ADAPTED_TWICE)}"
            yield site.at(adapted, f"{said}, and raises a ValueError: pass either of the two")

    def of_read(self, site: Site, node: ast.Attribute, removed: Removed, settings: Settings) -> Finding:
        from telepathy_lint.fixes.migration import read_repair

        said = f"{site.class_name} has no {removed.name} since {removed.release}: reading it raises an AttributeError"
        return site.at(node, f"{said}; {removed.advice}", fix=read_repair(site, node, removed, settings))

    def repair(self, site: Site, argument: Argument, removed: Removed, settings: Settings) -> Repair | None:
        from telepathy_lint.fixes.migration import argument_repair

        return argument_repair(site, argument, removed, settings)
