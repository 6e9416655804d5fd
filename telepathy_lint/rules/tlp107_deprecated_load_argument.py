from __future__ import annotations

import ast

from telepathy_lint.facts.outdated import new_class, old_arguments, removed_task
from telepathy_lint.findings.change import Repair
from telepathy_lint.rule import Meta, Report, Rule, written
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site


class DeprecatedLoadArgument(Rule):
    """A load uses an argument, class or task that transformers renamed, removed or no longer looks at.

    Most were removed with transformers 5, where a model refuses them with a TypeError, while a tokenizer or config takes
    them silently (`use_auth_token` on a tokenizer: the token is not sent). What is reported depends on the lowest version
    that the project allows (`target-transformers`, else its requirement files): `torch_dtype` only from 4.56, where
    `dtype` is its new name; what only 5 refuses, only from 5. Without a version: what is deprecated whatever the version,
    and fixes that hold for both majors.

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

    def check(self, site: Site, settings: Settings) -> Report | None:
        found: list[tuple[ast.AST, str]] = []
        if (new := new_class(site)) is not None:
            instead = f"load {new[0]}" if new[0] else "load the Auto class of the model's kind"
            named = site.argument("model_class") if site.loader else None
            where = named.node if named is not None else site.call.func
            old_name = site.loaded[0].rpartition(".")[2]
            found.append((where, f"{old_name} is gone from transformers 5: {instead}"))
        if (task := removed_task(site, settings)) is not None:
            argument = site.arguments["task"]
            found.append((argument.node, f"transformers 5 has no task {task!r}"))
        for argument, old, status in old_arguments(site, settings):
            found.append((argument.node, f"{old.name} {status}: {old.advice_for(written(argument))}"))
        if not found:
            return None
        found.sort(key=lambda each: site.range_of(each[0]))
        node, detail = found[0]
        others = [text.partition(" ")[0] for _, text in found[1:]]
        return self.at(site, node, f"{detail}; also {', '.join(others)}" if others else detail)

    def repair(self, site: Site, settings: Settings) -> Repair | None:
        from telepathy_lint.fixes import old_arguments as replaced_arguments

        return replaced_arguments.repair(site, settings)
