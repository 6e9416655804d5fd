from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.findings.change import TARGET, Change, Name, Repair, slot
from telepathy_lint.findings.finding import Finding
from telepathy_lint.flow.evaluate import Evaluator
from telepathy_lint.rule import Meta, Rule, origin, value_text
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Argument, Site, Value

#: Arguments with which the script itself sets where generation stops.
_STOPS = ("eos_token_id", "stop_strings")


class ReplacedGenerationConfig(Rule):
    """A new GenerationConfig passed to `from_pretrained` replaces the checkpoint's generation config.

    The two are not merged. The checkpoint's stop, pad and begin ids are lost, and a greedy generation that used to end at
    the end-of-turn token runs to the maximum length. `generate(generation_config=...)` fills in missing values from the
    model, and so does the loader. A config that sets its stop ids, or that comes from `GenerationConfig.from_pretrained`, is
    not reported.

    Bad:

        from transformers import AutoModelForCausalLM, GenerationConfig

        greedy = GenerationConfig(do_sample=False, max_new_tokens=64)
        model = AutoModelForCausalLM.from_pretrained("gpt2", generation_config=greedy)

    Good:

        from transformers import AutoModelForCausalLM, GenerationConfig
        from telepathy_runtime import apply_generation_config

        greedy = GenerationConfig(do_sample=False, max_new_tokens=64)
        model = AutoModelForCausalLM.from_pretrained("gpt2")
        apply_generation_config(model, greedy)

    Fix safety: the config is merged into the checkpoint's. Generation stops at the checkpoint's stop tokens, so texts
    get shorter, and fields that the config does not set come from the checkpoint.
    """

    meta = Meta(
        code="TLP109",
        name="replaced-generation-config",
        message="the checkpoint's generation config is replaced, including its stop ids",
        since="0.1.0",
        kinds=("model",),
        fix="unsafe",
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        argument = site.argument("generation_config")
        if site.loader or argument is None or argument.name in site.inherited:
            return
        given = [value for value in argument.values if not value.is_none]
        if not given or not all(_is_new(value, site) for value in given):
            return
        detail = "a dict raises here" if given[0].kind == "dict" else ""
        detail = f"{detail}{origin(given[0], site)}".removeprefix(", ")
        yield site.at(argument, detail, fix=self.repair(site, argument, settings))

    def repair(self, site: Site, argument: Argument, settings: Settings) -> Repair | None:
        if argument.how != "keyword" or any(value.kind == "dict" for value in argument.values):
            return None
        apply = settings.loader.apply_generation_config
        statement = f"{slot(apply)}({TARGET}, {value_text(site, argument)})"
        needs = (Name(settings.loader.module, apply),)
        change = Change(removed=(argument.name,), after=(statement,), needs=needs)
        return Repair("unsafe", "merge the generation config instead of replacing the shipped one", change)


def _is_new(value: Value, site: Site) -> bool:
    """Whether the value is a newly created config without stop ids."""
    if value.kind == "dict":
        return True  # AttributeError: 'dict' object has no attribute 'to_dict'
    call = value.node
    if not isinstance(call, ast.Call) or any(keyword.arg is None for keyword in call.keywords):
        return False
    if any(keyword.arg in _STOPS for keyword in call.keywords) or _is_completed(value, site):
        return False
    return all(
        each.kind == "symbol"
        and str(each.data).startswith("transformers.")
        and _name(each) == "GenerationConfig"
        for each in _classes(call, value)
    )


def _classes(call: ast.Call, value: Value) -> list[Value]:
    evaluator = Evaluator(value.context.scope.tree)
    return list(evaluator.evaluate(call.func, value.context))


def _name(value: Value) -> str:
    return str(value.data).rpartition(".")[2]


def _is_completed(value: Value, site: Site) -> bool:
    """Whether the config's stop ids are set later: `config.eos_token_id = ...`."""
    name = value.via[0] if value.via is not None else None
    if name is None:
        return False
    text = site.source.text
    return any(f"{name}.{stop}" in text for stop in _STOPS) or f"{name}.update(" in text
