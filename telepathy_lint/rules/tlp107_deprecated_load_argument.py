from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.facts.in_tests import is_of_a_test
from telepathy_lint.facts.out_of_use import fails_anyway, is_bare
from telepathy_lint.facts.outdated import is_harmless, is_only_renamed, new_class, old_arguments, removed_task
from telepathy_lint.findings.change import Repair
from telepathy_lint.findings.finding import Finding
from telepathy_lint.knowledge.load_arguments import OLDEST, Old
from telepathy_lint.rule import Meta, Rule, written
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Argument, Site


class DeprecatedLoadArgument(Rule):
    """A load uses an argument, class or task that transformers renamed, removed or ignores.

    Most were removed in transformers 5: a model rejects them with a TypeError, but a tokenizer or config silently ignores
    them (with `use_auth_token` on a tokenizer, the token is not sent). What is reported depends on the lowest version
    that the project allows (`target-transformers`, else a release that the file itself installs, as with `!pip install transformers==4.30.2`, else the
    requirement files, else a `pip install` in the README or another file that says how to install the project, or the release that it checks out with git).
    An old release in the instructions of a part of the project comes before a requirement above it that allows transformers 5, and a requirement that
    transformers 5 cannot meet (`huggingface-hub<1.0`, or `torch==2.2.0` in a requirement file or the README) leaves it out, as do libraries whose metadata does
    (`sentence-transformers==3.0`, `datasets==2.14`, `unbabel-comet`). A commit of transformers in the requirements does not tell its release: unless strict, nothing is reported. `torch_dtype` is reported from 4.56 on,
    where it was renamed to `dtype`, and arguments that only 5 rejects are reported from 5 on. If the version is unknown, the
    rule reports what is deprecated in every version, and its fixes work in both 4 and 5.

    Unless strict, the rule leaves out arguments that change nothing: no release that the project allows warns about them or
    rejects them, and what they ask for happens anyway, as with `low_cpu_mem_usage=True` or, on transformers 5, with `torch_dtype` where the class
    is no Auto class and
    `use_fast=True`. In tests, in a project, and where a release is pinned, it leaves out names that every release still takes (`torch_dtype`), in a project also `use_fast=False`, `use_auth_token` where it is ignored, if it is True or the file logs in or reads `HF_TOKEN` (the token is sent anyway), or if it was blanked out (`""`), arguments that only some runs pass, by a dict that is filled or emptied under a condition, and
    attempts, after whose failure the script loads in another way. It also leaves out a file that fails in every release, because it imports a module
    that the project's own package no longer has, or one of a package `utils` that the project does not have, and a file of a project that imports, itself or by a module of the project, what
    peft, trl or transformers lacked before transformers 5 came (`prepare_model_for_int8_training`), or a library that leaves out transformers 5 (`import flair`): it fails there, or has older releases. The same holds for a module if all programs that import it install an older transformers (`pip_install("transformers==4.44.2")` of a Modal image). A project that cannot get transformers 5, because of its requirements or because its environment is made with Python 3.9 or older, is not told of what only breaks there.
    Nor is one whose releases are all older than 4.36, the oldest that the rule knows (`transformers==3.3.1`): even strictly, an argument
    that has no effect now may have one there.
    Even strictly, `use_auth_token` is right in a project that is pinned below 4.31, which does not know `token`.

    Bad:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("gpt2", load_in_8bit=True, use_auth_token=True)

    Good:

        from transformers import AutoModelForCausalLM, BitsAndBytesConfig

        model = AutoModelForCausalLM.from_pretrained(
            "gpt2",
            quantization_config=BitsAndBytesConfig(load_in_8bit=True),
            token=True,
        )
    """

    meta = Meta(
        code="TLP107",
        name="deprecated-load-argument",
        message="out of date",
        since="0.1.0",
        kinds=("model", "tokenizer", "pipeline", "config", "processor", "generation_config"),
        fix="safe",
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        if (new := new_class(site)) is not None:
            instead = f"use {new[0]}" if new[0] else "use the Auto class for the kind of model"
            named = site.argument("model_class") if site.loader else None
            old_name = site.loaded[0].rpartition(".")[2]
            detail = f"{old_name} was removed in transformers 5; {instead}"
            yield site.at(named or site.call.func, detail, fix=self.repair(site, settings, None))
        if (task := removed_task(site, settings)) is not None:
            yield site.at(site.arguments["task"], f"transformers 5 has no task {task!r}")
        for argument, old, status in _found(site, settings):
            if not (settings.strict or _is_worth_it(site, settings, argument, old)):
                continue
            detail = f"{old.name} {status}: {old.advice_for(written(argument))}"
            yield site.at(argument, detail, fix=self.repair(site, settings, (argument, old)))

    def matters(self, site: Site, settings: Settings) -> bool:
        if settings.is_below(OLDEST) or fails_anyway(site):
            return False
        from telepathy_lint.facts.alternatives import is_tried
        from telepathy_lint.facts.old_libraries import is_of_old_libraries

        if not is_bare(site) and (is_tried(site) or is_of_old_libraries(site)):
            return False
        if removed_task(site, settings) is not None:
            return True
        if new_class(site) is not None and not settings.is_before_5:
            return True
        return any(_is_worth_it(site, settings, *found[:2]) for found in _found(site, settings))

    def repair(self, site: Site, settings: Settings, old: tuple[Argument, Old] | None) -> Repair | None:
        """The replacement of an argument or of the class."""
        from telepathy_lint.fixes import old_arguments as replaced_arguments

        if old is None:
            return replaced_arguments.class_repair(site, settings)
        return replaced_arguments.repair(site, *old)


def _found(site: Site, settings: Settings) -> Iterator[tuple[Argument, Old, str]]:
    for found in old_arguments(site, settings):
        if not (found[1].new and _is_second_try(site)):
            yield found


def _is_worth_it(site: Site, settings: Settings, argument: Argument, old: Old) -> bool:
    """Whether an outdated argument certainly gets to the call of a project, and does not only change nothing."""
    if is_harmless(site, settings, argument, old):
        return False
    if is_only_renamed(site, old) and (not is_bare(site) or is_of_a_test(site) or settings.is_pinned):
        return False
    if old.name == "use_auth_token" and site.kind == "tokenizer" and not is_bare(site):
        from telepathy_lint.facts.tokenizers import is_saved_by_a_script

        if is_saved_by_a_script(site):
            return False  # it is ignored, and no token is needed
    # With `use_fast=False`, transformers 5 loads the same tokenizer in its only implementation.
    return is_bare(site) or not (argument.optional or old.name == "use_fast")


def _is_second_try(site: Site) -> bool:
    """Whether the call runs after a first load has failed, in an older release that needs the old name."""
    tree = site.context.scope.tree
    node: ast.AST | None = site.call
    while node is not None:
        above = tree.parent.get(node)
        if isinstance(above, ast.Try) and any(node is one or node in one.body for one in above.handlers):
            tried = map(ast.unparse, above.body)
            return any("from_pretrained" in text or "load_model(" in text for text in tried)
        node = above
    return False
