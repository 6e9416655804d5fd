from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.facts.versions_told_apart import depends_on_release
from telepathy_lint.findings.change import Change, Repair
from telepathy_lint.findings.finding import Finding
from telepathy_lint.knowledge.migration import CHECKPOINT_METRICS, OVERRIDES, Override, named
from telepathy_lint.rule import Meta, Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site


class OutdatedOverride(Rule):
    """A subclass of `Trainer` writes a method anew that does not take what `Trainer` passes to it.

    `Trainer` calls its methods with more arguments than it did: `compute_loss` and `training_step` get `num_items_in_batch` since
    4.46, `log` gets `start_time` since 4.47, `_get_train_sampler` gets the dataset since 4.52. An override without them raises a
    TypeError at the first step, or at the first log. The other way round, `_save_checkpoint` takes no `metrics` since 4.47.

    The rule is on by default where the project's requirements allow transformers 5. A method that takes `*args` or `**kwargs` is
    not reported.
    Unless strict, what is in a file of older libraries is left out, as by TLP107. Where only another requirement leaves out transformers 5
    (`huggingface-hub<1.0`), what a release of transformers 4 passes is reported still.

    Bad:

        from transformers import Trainer

        class Weighted(Trainer):
            def log(self, logs):
                super().log({"step": self.state.global_step, **logs})

    Good:

        from transformers import Trainer

        class Weighted(Trainer):
            def log(self, logs, start_time=None):
                super().log({"step": self.state.global_step, **logs})

    Fix safety: the fixes of `compute_loss` and `training_step` are unsafe. Since 4.46, `Trainer` does not divide the loss by
    `gradient_accumulation_steps` for models that do so themselves with `num_items_in_batch`. An override that ignores it trains with a
    gradient that is larger by that factor, unless it sets `self.model_accepts_loss_kwargs = False`. A method that uses the name of the
    new parameter already is not fixed.
    """

    meta = Meta(
        code="TLP409",
        name="outdated-override",
        message="outdated override",
        since="0.1.0",
        kinds=("trainer_override",),
        fix="safe",
        five=("others", "admits", "needs"),
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        if depends_on_release(site):
            return
        if isinstance(site.node, ast.Call):
            if _passes_metrics(site.node) and settings.reaches(CHECKPOINT_METRICS):
                detail = f"_save_checkpoint takes no metrics since {named(CHECKPOINT_METRICS)}, and raises a TypeError"
                yield site.at(site.node.func, f"{detail}: leave them out", fix=self.repair(site, settings))
            return
        assert isinstance(site.node, ast.FunctionDef)
        override = OVERRIDES[site.node.name]
        if not settings.reaches(override.since):
            return
        if override.added and not _takes(site.node, override) and not _is_reached_by_own_code(site):
            name = site.node.name
            start = site.source.text.index(name, site.source.start_of(site.node))
            detail = f"Trainer passes {override.added} to {name} since {named(override.since)}, and this one takes none: a TypeError"
            yield site.at((start, start + len(name)), detail, fix=self.repair(site, settings))

    def repair(self, site: Site, settings: Settings) -> Repair | None:
        source = site.source
        if isinstance(site.node, ast.Call):
            # Before, the metrics decided which checkpoint was the best.
            if settings.target_version is None or settings.target_version < CHECKPOINT_METRICS:
                return None
            if len(site.node.args) != 3 or site.node.keywords:
                return None
            start, end = source.end_of(site.node.args[1]), source.end_of(site.node.args[2])
            return Repair("safe", "leave metrics out", Change(texts=((start, end, ""),)))
        assert isinstance(site.node, ast.FunctionDef)
        given = site.node.args
        if given.vararg or given.kwonlyargs or given.kwarg or not given.args:
            return None
        override = OVERRIDES[site.node.name]
        if not override.by_name and len(given.args) != override.before:
            return None
        if _names(site.node, override.added):
            return None
        end = max(source.end_of(each) for each in (*given.args[-1:], *given.defaults[-1:]))  # type: ignore[arg-type]
        safety = "unsafe" if site.node.name in _GIVE_THE_LOSS else "safe"
        change = Change(texts=((end, end, f", {override.added}=None"),))
        return Repair(safety, f"take {override.added}", change)  # type: ignore[arg-type]


#: Methods in which ignoring `num_items_in_batch` changes how the loss of several batches is scaled.
_GIVE_THE_LOSS = ("compute_loss", "training_step")


def _names(method: ast.FunctionDef, name: str) -> bool:
    """Whether a method speaks of a name: a parameter of it would hide a global, or be there twice."""
    return any(
        (isinstance(node, ast.Name) and node.id == name)
        or (isinstance(node, ast.arg) and node.arg == name)
        or (isinstance(node, (ast.Global, ast.Nonlocal)) and name in node.names)
        for node in ast.walk(method)
    )


def _passes_metrics(call: ast.Call) -> bool:
    assert isinstance(call.func, ast.Attribute)
    if call.func.attr != "_save_checkpoint" or any(isinstance(each, ast.Starred) for each in call.args):
        return False
    return len(call.args) > 2 or any(each.arg == "metrics" for each in call.keywords)


def _takes(method: ast.FunctionDef, override: Override) -> bool:
    """Whether a method takes what it is passed, by position or by name."""
    given = method.args
    names = [each.arg for each in (*given.posonlyargs, *given.args)]
    if override.by_name:
        return given.kwarg is not None or override.added in (*names, *(each.arg for each in given.kwonlyargs))
    return given.vararg is not None or len(names) > override.before or bool(method.decorator_list)


def _is_reached_by_own_code(site: Site) -> bool:
    """Whether the class also replaces what calls the method."""
    assert isinstance(site.node, ast.FunctionDef)
    scope = site.context.scope
    definition = scope.node if scope.is_class else (scope.parent.node if scope.parent is not None else None)
    if not isinstance(definition, ast.ClassDef):
        return True
    own = {each.name for each in definition.body if isinstance(each, ast.FunctionDef)}
    return not own.isdisjoint(OVERRIDES[site.node.name].callers)
