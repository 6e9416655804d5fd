from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.facts import removed as removed_names
from telepathy_lint.facts.versions_told_apart import depends_on_release
from telepathy_lint.findings.change import Change, Repair
from telepathy_lint.findings.finding import Finding
from telepathy_lint.knowledge.migration import OLD_VALUES, Removed, named
from telepathy_lint.rule import Meta, Rule, literal, written
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Argument, Site


class RemovedTrainingArgument(Rule):
    """A training config gets an argument that its class no longer takes.

    `TrainingArguments`, `Seq2SeqTrainingArguments` and the configs of trl are dataclasses: an argument that they no longer
    have raises a TypeError before anything is trained. Transformers 5 removed 25 arguments of `TrainingArguments` at once and
    more in its later releases; trl removes some in nearly every release. The message names the release and what took the
    argument's place, and reading it from the parsed arguments raises an AttributeError. What says the default (`no_cuda=False`) can be left out.

    `optim="adamw_hf"` raises a ValueError since 4.50.

    The rule is on by default where the project's requirements allow transformers 5. A call is not reported if the code asks
    for the release around it, or catches the TypeError.
    Unless strict, neither is what a later release removed than the requirements allow (`transformers==5.3.0`), nor anything where they take
    transformers from a commit, which does not tell its release.
    Unless strict, what is in a file of older libraries is left out, as by TLP107; what trl and peft removed is not.
    Where only another requirement leaves out transformers 5 (`huggingface-hub<1.0`), what transformers 4, trl and peft removed is reported
    still, up to the release that the requirements allow (`trl==0.12.0`).

    Bad:

        from transformers import TrainingArguments

        args = TrainingArguments("out", evaluation_strategy="steps", no_cuda=True, save_safetensors=True)

    Good:

        from transformers import TrainingArguments

        args = TrainingArguments("out", eval_strategy="steps", use_cpu=True)

    Fix safety: leaving an argument out is unsafe if another file of the project reads it, and `logging_dir` if the training may log
    to TensorBoard. Renaming one is unsafe if something that may be the config is read by the old name. Reading `eval_strategy` in
    the place of `evaluation_strategy` is unsafe below 4.51 if the file does not pass it: the old attribute is None then.
    """

    meta = Meta(
        code="TLP401",
        name="removed-training-argument",
        message="removed argument",
        since="0.1.0",
        kinds=("training_config", "training_read"),
        fix="safe",
        five=("others", "admits", "needs"),
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        if site.kind == "training_read":
            for node, removed in removed_names.read(site, settings):
                yield self.of_read(site, node, removed, settings)
            return
        for argument, removed in removed_names.passed(site, settings):
            said = f"{site.class_name} has no {argument.name} since {removed.release}, and raises a TypeError"
            advice = f": {removed.advice}" if removed.advice else ""
            yield site.at(argument, said + advice, fix=self.repair(site, argument, removed, settings))
        if not depends_on_release(site):
            yield from self.of_values(site, settings)

    def of_values(self, site: Site, settings: Settings) -> Iterator[Finding]:
        for (name, value), (version, new) in OLD_VALUES.items():
            argument = site.argument(name)
            if (
                argument is None
                or argument.optional
                or literal(argument) != value
                or not settings.reaches(version)
            ):
                continue
            change = Change(replaced=((name, f'"{new}"'),))
            own = argument.how == "keyword" and written(argument) == value
            fix = Repair("unsafe", f"pass {new}", change) if own else None
            said = f"{name}={value!r} raises a ValueError since transformers {named(version)}"
            yield site.at(argument, f"{said}: {new} is nearest", fix=fix)

    def of_read(self, site: Site, node: ast.Attribute, removed: Removed, settings: Settings) -> Finding:
        from telepathy_lint.fixes.migration import read_repair

        said = f"TrainingArguments has no {removed.name} since {removed.release}: reading it raises an AttributeError"
        advice = f"; {removed.advice}" if removed.how == "rename" else ""
        return site.at(node, said + advice, fix=read_repair(site, node, removed, settings))

    def repair(self, site: Site, argument: Argument, removed: Removed, settings: Settings) -> Repair | None:
        from telepathy_lint.fixes.migration import argument_repair

        return argument_repair(site, argument, removed, settings)
