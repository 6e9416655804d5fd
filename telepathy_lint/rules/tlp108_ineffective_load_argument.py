from __future__ import annotations

import ast
from dataclasses import dataclass

from telepathy_lint import load_arguments as table
from telepathy_lint.change import Change, Name, Repair
from telepathy_lint.rule import Meta, Report, Rule, literal, value_text, written
from telepathy_lint.scan import Argument, Site
from telepathy_lint.settings import Settings
from telepathy_lint.violation import Safety

#: A file with these registers attention functions of its own.
_REGISTERS = ("AttentionInterface", "ALL_ATTENTION_FUNCTIONS", "ALL_MASK_ATTENTION_FUNCTIONS")
#: A file with these may compute in half precision although it loads float32.
_HALVES = (
    "autocast", "Trainer", "mixed_precision", "bf16", "fp16", "Accelerator", "deepspeed", "ightning", ".half()",
    "bfloat16", "float16", "dtype=",
)  # fmt: skip
_FLASH = ("flash_attention_2", "flash_attention_3", "flash_attention_4")


@dataclass(frozen=True)
class _Problem:
    """One argument that does not do what it says; what a fix removes or replaces, or moves into `model_kwargs`."""

    argument: Argument
    detail: str
    change: Change | None = None
    moved: str = ""
    safety: Safety = "safe"


class IneffectiveLoadArgument(Rule):
    """An argument is accepted and then ignored, or makes the load or the first call fail.

    A tokenizer takes a model's arguments without a word; `pipeline` keeps `attn_implementation` and `load_in_8bit` to
    itself, loads the model without them and raises when it generates (they belong into `model_kwargs`); `max_memory` means
    nothing without a `device_map`; `"bf16"`, `"torch.bfloat16"` and `"flash_attn"` are no names of dtypes and attention
    implementations; `output_attentions=True` selects eager attention, and raises next to another; FlashAttention cannot
    compute in float32.

    Bad:

        from transformers import pipeline

        ask = pipeline("text-generation", model="gpt2", attn_implementation="sdpa")

    Good:

        from transformers import pipeline

        ask = pipeline("text-generation", model="gpt2", model_kwargs={"attn_implementation": "sdpa"})

    Fix safety: what is taken out had no effect, and a dtype's name that raised is replaced by the one it stands for; such
    fixes are safe. What a pipeline gets through `model_kwargs` takes effect from then on (another attention, a quantized
    model), and an attention's name is taken to mean the nearest one: these fixes are unsafe.
    """

    meta = Meta(
        code="TLP108",
        name="ineffective-load-argument",
        message="misleading argument",
        since="0.1.0",
        kinds=("model", "tokenizer", "pipeline"),
        fix="unsafe",
    )

    def check(self, site: Site, settings: Settings) -> Report | None:
        problems = _problems(site)
        if not problems:
            return None
        first = problems[0]
        others = [problem.argument.name for problem in problems[1:]]
        also = f"; also {', '.join(others)}" if others else ""
        return self.at(site, first.argument.node, f"{first.argument.name} {first.detail}{also}")

    def repair(self, site: Site, settings: Settings) -> Repair | None:
        change = Change()
        fixed = [
            problem
            for problem in _problems(site)
            if problem.argument.how == "keyword" and (problem.change is not None or problem.moved)
        ]
        if not fixed:
            return None
        for problem in fixed:
            change |= problem.change or Change()
        moved = {problem.argument.name: problem.moved for problem in fixed if problem.moved}
        if moved:
            into = _into_model_kwargs(site, moved)
            if into is None:
                return None
            change |= into
        unsafe = any(problem.safety == "unsafe" for problem in fixed)
        names = ", ".join(problem.argument.name for problem in fixed)
        return Repair("unsafe" if unsafe else "safe", f"correct {names}", change)


def _problems(site: Site) -> list[_Problem]:
    """All problems of a call, in reading order."""
    if site.loader:
        return []
    found = [_judged(site, argument) for argument in site.arguments.values()]
    problems = [problem for problem in found if problem is not None]
    return sorted(problems, key=lambda problem: site.range_of(problem.argument.node))


def _judged(site: Site, argument: Argument) -> _Problem | None:
    name = argument.name
    if name in site.inherited or argument.how == "positional":
        return None
    if site.kind == "tokenizer":
        if name in table.MODEL_ARGUMENTS and not _may_know_more(site):
            return _Problem(
                argument, "is a model's argument: a tokenizer ignores it", Change(removed=(name,))
            )
        return None
    if site.kind == "pipeline" and argument.how != "model_kwargs" and name in table.PIPELINE_ARGUMENTS:
        return _kept_by_pipeline(site, argument)
    if name in ("dtype", "torch_dtype"):
        return _wrong_dtype(site, argument)
    if name == "attn_implementation":
        return _wrong_attention(site, argument)
    if site.kind != "model" or site.opaque or "config" in site.arguments:
        return None
    if name == "max_memory" and not _placed(site) and literal(argument) is not None:
        detail = "means nothing without a device_map"
        return _Problem(argument, detail, Change(removed=(name,)))
    if name == "output_attentions" and literal(argument) is True and not _may_know_more(site):
        return _eager(site, argument)
    return None


def _may_know_more(site: Site) -> bool:
    """Whether code that is not transformers' own may take the argument: a local class, or the checkpoint's."""
    remote = site.argument("trust_remote_code")
    local = any(not name.startswith("transformers.") for name in site.classes)
    return local or (remote is not None and literal(remote) is not False)


def _placed(site: Site) -> bool:
    """Whether something other than max_memory may say where the weights go."""
    return any(
        site.argument(name) is not None
        for name in ("device_map", "quantization_config", "load_in_8bit", "load_in_4bit", "tp_plan")
    )


def _kept_by_pipeline(site: Site, argument: Argument) -> _Problem | None:
    name, value = argument.name, literal(argument)
    if value is None or argument.optional:
        return None  # None is as if it were not there
    how, detail = table.PIPELINE_ARGUMENTS[name], "does not reach the model: it belongs into model_kwargs"
    if how == "remove":
        return _Problem(argument, "does not reach the model and is not needed", Change(removed=(name,)))
    if how == "rename":
        new = None if "token" in site.arguments else Change(renamed=((name, "token"),))
        return _Problem(argument, "does not reach the hub: the name is token", new)
    if argument.how != "keyword":
        return _Problem(argument, detail)
    if how == "model_kwargs":
        return _Problem(argument, detail, moved=f'"{name}": {value_text(site, argument)}', safety="unsafe")
    value = written(argument)
    if value is False:
        return _Problem(argument, "does not reach the model and is the default", Change(removed=(name,)))
    if value is not True:
        return _Problem(argument, detail)
    if how == "attention":
        return _Problem(argument, detail, moved='"attn_implementation": "flash_attention_2"', safety="unsafe")
    if {"load_in_8bit", "load_in_4bit", "quantization_config"} & set(site.arguments) != {name}:
        return _Problem(argument, detail)
    needs = Change(needs=(Name("transformers", "BitsAndBytesConfig"),))
    moved = f'"quantization_config": {{BitsAndBytesConfig}}({name}=True)'
    return _Problem(argument, detail, needs, moved, "unsafe")


def _into_model_kwargs(site: Site, moved: dict[str, str]) -> Change | None:
    """Arguments as entries of the pipeline's `model_kwargs`; None where these are not written out in the call."""
    given, (first, *others) = site.arguments.get("model_kwargs"), moved
    entries = list(moved.values())
    if given is None:
        # The dict takes the place of the first argument that moves into it.
        new = ((first, f"{{{', '.join(entries)}}}"),)
        change = Change(removed=tuple(others), renamed=((first, "model_kwargs"),), replaced=new)
        return None if site.opaque else change
    if given.how != "keyword" or not isinstance(given.node, ast.keyword):
        return None
    text = value_text(site, given)
    if not isinstance(given.node.value, ast.Dict) or "#" in text or "\n" in text:
        return None
    inside = text[1:-1].strip().rstrip(",")
    whole = ", ".join([inside, *entries] if inside else entries)
    return Change(removed=tuple(moved), replaced=(("model_kwargs", f"{{{whole}}}"),))


def _wrong_dtype(site: Site, argument: Argument) -> _Problem | None:
    for value in argument.values:
        meant = table.DTYPE_NAMES.get(value.data) if value.kind == "const" else None
        if meant is None:
            continue
        written = (
            isinstance(argument.node, ast.keyword)
            and value.node is argument.node.value
            and argument.how == "keyword"
        )
        torch = _has_torch(site)
        new = f"torch.{meant}" if torch else f'"{meant}"'
        change = Change(replaced=((argument.name, new),)) if written else None
        return _Problem(argument, f"has no value {value.data!r}: write {new}", change)
    return None


def _wrong_attention(site: Site, argument: Argument) -> _Problem | None:
    value = literal(argument)
    if value in table.ATTENTION_NAMES:
        if _may_know_more(site) or site.source.once(_registers):
            return None
        meant = table.ATTENTION_NAMES[str(value)]
        if not meant:
            return _Problem(argument, f"has no value {value!r}")
        written = argument.how == "keyword" and value_text(site, argument)[1:-1] == value
        change = Change(replaced=((argument.name, f'"{meant}"'),)) if written else None
        return _Problem(argument, f"has no value {value!r}: write {meant!r}", change, safety="unsafe")
    if value in _FLASH and _float32(site) and not any(word in _rest(site) for word in _HALVES):
        return _Problem(argument, f"{value!r} computes in float16 and bfloat16 only, the model is float32")
    return None


def _registers(text: str) -> bool:
    return any(word in text for word in _REGISTERS)


def _float32(site: Site) -> bool:
    argument = site.argument("dtype", "torch_dtype")
    return (
        argument is not None
        and not argument.optional
        and all(
            (value.kind == "symbol" and value.data in ("torch.float32", "torch.float"))
            or (value.kind == "const" and value.data == "float32")
            for value in argument.values
        )
    )


def _rest(site: Site) -> str:
    """The file without the call."""
    return site.source.text[: site.start] + site.source.text[site.end :]


def _eager(site: Site, argument: Argument) -> _Problem | None:
    given = site.argument("attn_implementation")
    if given is None:
        detail = "silently selects eager attention: say so"
        return _Problem(argument, detail, Change(added=(("attn_implementation", '"eager"'),)))
    value = literal(given)
    if isinstance(value, str) and value != "eager" and value not in table.ATTENTION_NAMES:
        return _Problem(argument, f"raises with {value!r}: only eager attention gives the weights")
    return None


def _has_torch(site: Site) -> bool:
    """Whether `torch` is the module of that name at the call."""
    bindings = site.context.scope.tree.top.bindings.get("torch", [])
    return bool(bindings) and all(each.kind == "import" and each.symbol == "torch" for each in bindings)
