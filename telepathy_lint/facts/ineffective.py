"""Finds arguments of a loading call that have no effect or make the call fail."""

from __future__ import annotations

import ast
import re

from telepathy_lint.facts.out_of_use import is_bare
from telepathy_lint.facts.outdated import may_know_more
from telepathy_lint.facts.weight_sizes import is_light
from telepathy_lint.findings.change import Change, Name, slot
from telepathy_lint.findings.violation import Safety
from telepathy_lint.hints import NamedTuple
from telepathy_lint.knowledge import load_arguments as table
from telepathy_lint.rule import line_name, literal, value_text, written
from telepathy_lint.sites import Argument, Site
from telepathy_lint.sites.loads import loads
from telepathy_lint.source.occurs import occurs

#: Names in files that register their own attention functions.
_REGISTERS = ("AttentionInterface", "ALL_ATTENTION_FUNCTIONS", "ALL_MASK_ATTENTION_FUNCTIONS")
#: Names in files that may compute in half precision although they load float32.
_HALVES = (
    "autocast", "Trainer", "mixed_precision", "bf16", "fp16", "Accelerator", "deepspeed", "ightning", ".half()",
    "bfloat16", "float16", "dtype=",
)  # fmt: skip
#: Arguments that only say where a model's weights lie while it is loaded, or afterwards.
_WHERE_WEIGHTS_LIE = ("device_map", "device", "low_cpu_mem_usage", "max_memory", "offload_folder")
#: A call that moves a model, behind its name or its load.
_MOVED = r"\s*(?:\.eval\(\)\s*)?\.(?:to|cuda)\("
_FLASH = ("flash_attention_2", "flash_attention_3", "flash_attention_4")


class Problem(NamedTuple):
    """An argument that does not work, and its fix: a removal, a replacement, or a move into `model_kwargs`."""

    argument: Argument
    detail: str
    change: Change | None = None
    moved: str = ""
    safety: Safety = "safe"


def problems_of(site: Site) -> list[Problem]:
    """All problems of a call, in reading order."""
    if site.kind == "object_pipeline":
        found = [_given_with_a_model(site, argument) for argument in site.arguments.values()]
    else:
        found = [_judged(site, argument) for argument in site.arguments.values()]
    problems = [problem for problem in found if problem is not None]
    return sorted(problems, key=lambda problem: site.range_of(problem.argument.node))


def is_harmless(site: Site, problem: Problem) -> bool:
    """Whether an argument without effect asks only for what the model has already, so that nothing is missed."""
    name = problem.argument.name
    if site.kind == "tokenizer":
        models = [load for load in site.file.fact(loads) if load.kind == "model"]
        return name in _WHERE_WEIGHTS_LIE or any(
            load.argument(*_synonyms(name)) is not None for load in models
        )
    if name == "use_auth_token":
        return not any(value.data for value in problem.argument.values)  # no token, or an empty one
    if name == "max_memory":
        return not is_bare(site)  # the model fits without the limit, which no run had
    if name == "output_attentions":
        return problem.change is not None  # eager attention returns the weights that the script asks for
    if site.kind != "object_pipeline":
        return False
    if not is_bare(site) and _is_said_at_a_load(site, problem.argument):
        return True
    if not site.about:
        return False
    in_project = not is_bare(site)
    if name == "device_map":
        # The pipeline itself moves a model that was not placed to the first GPU, where only a small one certainly fits.
        return all(_is_placed(load, site) or (in_project and _takes_little(load)) for load in site.about)
    if name in ("dtype", "torch_dtype"):
        return all(
            _has_the_same(load, problem.argument) or (in_project and (_has_some(load) or _takes_little(load)))
            for load in site.about
        )
    return False


def _takes_little(load: Site) -> bool:
    """Whether the weights are few or quantized."""
    from telepathy_lint.facts.relevance import is_quantized  # few files pass settings of a load to a pipeline

    return is_light(load) or is_quantized(load)


#: What a pipeline does of itself with the texts that it gives.
_DONE_ANYWAY = ("skip_special_tokens",)


def _is_said_at_a_load(site: Site, argument: Argument) -> bool:
    """Whether a load of the file states the same, as written, so that an argument of a pipeline only repeats it."""
    if not isinstance(argument.node, ast.keyword):
        return False
    given, rest = argument.node.value, _rest(site)
    stated = {argument.name: given}
    if isinstance(given, ast.Dict):
        stated = {
            str(key.value): value
            for key, value in zip(given.keys, given.values, strict=True)
            if isinstance(key, ast.Constant) and key.value not in _DONE_ANYWAY
        }
    before = r"(?:from_pretrained|load_model)\((?:[^()]|\([^()]*\)){0,2000}\b"
    return bool(stated) and all(
        any(
            occurs(rf"{before}{each}\s*=\s*{_as_written(site, value)}\s*[,)]", rest)
            for each in _synonyms(name)
        )
        for name, value in stated.items()
    )


def _as_written(site: Site, value: ast.expr) -> str:
    """A pattern for the text of an expression, with either kind of quotes."""
    start, end = site.range_of(value)
    return re.sub("[\"']", "[\"']", re.escape(site.source.text[start:end]))


def _synonyms(name: str) -> tuple[str, ...]:
    return ("dtype", "torch_dtype") if name in ("dtype", "torch_dtype") else (name,)


def _is_placed(load: Site, pipeline: Site) -> bool:
    """Whether a model was placed by its own load, or is moved somewhere."""
    if load.loader or (load.argument("device_map") is not None and not load.lacks("device_map")):
        return True
    text = load.source.text
    if re.match(_MOVED, text[load.end :]):
        return True
    given = pipeline.argument("model")
    node = getattr(given.node, "value", given.node) if given is not None else None
    name = ast.unparse(node) if isinstance(node, (ast.Name, ast.Attribute)) else ""
    return bool(name) and re.search(rf"(?<![\w.]){re.escape(name)}{_MOVED}", text) is not None


def _has_some(load: Site) -> bool:
    """Whether a load states a dtype, which is then the one that its author has chosen."""
    given = load.argument("dtype", "torch_dtype")
    return given is not None and not given.optional and not any(value.is_none for value in given.values)


def _has_the_same(load: Site, argument: Argument) -> bool:
    """Whether a load states the same value, as written or where it comes from."""
    other = load.argument("dtype", "torch_dtype")
    if other is None or other.optional or argument.optional:
        return False
    return [ast.dump(value.node) for value in other.values] == [
        ast.dump(value.node) for value in argument.values
    ]


def _judged(site: Site, argument: Argument) -> Problem | None:
    name = argument.name
    if name in site.inherited or argument.how == "positional":
        return None
    if site.kind == "tokenizer":
        if name in table.MODEL_ARGUMENTS and not may_know_more(site):
            return Problem(
                argument, "is an argument of models; a tokenizer ignores it", Change(removed=(name,))
            )
        return None
    if site.kind == "pipeline" and argument.how != "model_kwargs":
        if name in table.PIPELINE_ARGUMENTS:
            return _kept_by_pipeline(site, argument)
        if (conflict := _conflict(site, argument)) is not None:
            return conflict
    if name in ("dtype", "torch_dtype"):
        return _wrong_dtype(site, argument)
    if name == "attn_implementation":
        return _wrong_attention(site, argument)
    if site.kind != "model" or site.unseen or "config" in site.arguments:
        return None
    if name == "max_memory" and not _placed(site) and literal(argument) is not None:
        detail = "has no effect without a device_map"
        return Problem(argument, detail, Change(removed=(name,)))
    if name == "output_attentions" and literal(argument) is True and not may_know_more(site):
        return _eager(site, argument)
    return None


def _placed(site: Site) -> bool:
    """Whether something other than max_memory may place the weights."""
    if site.loader and not site.lacks("device_map"):
        return True  # the loader's default
    return any(
        site.argument(name) is not None and not site.lacks(name)
        for name in ("device_map", "quantization_config", "load_in_8bit", "load_in_4bit", "tp_plan")
    )


def _kept_by_pipeline(site: Site, argument: Argument) -> Problem | None:
    name, value = argument.name, literal(argument)
    if value is None or argument.optional:
        return None  # None is the same as no argument
    how, detail = table.PIPELINE_ARGUMENTS[name], "is not passed to the model; put it into model_kwargs"
    if how == "remove":
        return Problem(argument, "is not passed to the model and is not needed", Change(removed=(name,)))
    if how == "rename":
        new = None if "token" in site.arguments else Change(renamed=((name, "token"),))
        return Problem(argument, "is not passed to the hub; use token", new)
    if argument.how != "keyword":
        return Problem(argument, detail)
    if how == "model_kwargs":
        return Problem(argument, detail, moved=f'"{name}": {value_text(site, argument)}', safety="unsafe")
    value = written(argument)
    if value is False:
        return Problem(
            argument, "is not passed to the model and has the default value", Change(removed=(name,))
        )
    if value is not True:
        return Problem(argument, detail)
    if how == "attention":
        return Problem(argument, detail, moved='"attn_implementation": "flash_attention_2"', safety="unsafe")
    if {"load_in_8bit", "load_in_4bit", "quantization_config"} & set(site.arguments) != {name}:
        return Problem(argument, detail)
    needs = Change(needs=(Name("transformers", "BitsAndBytesConfig"),))
    moved = f'"quantization_config": {slot("BitsAndBytesConfig")}({name}=True)'
    return Problem(argument, detail, needs, moved, "unsafe")


def _conflict(site: Site, argument: Argument) -> Problem | None:
    """An argument of a pipeline that conflicts with another one: the call raises, or one is ignored."""
    name = argument.name
    if name in ("dtype", "torch_dtype"):
        inner = next((each for each in ("dtype", "torch_dtype") if each in _inside_model_kwargs(site)), None)
        known = all(value.kind in ("const", "symbol") and not value.is_none for value in argument.values)
        if inner is None or argument.how != "keyword" or not known:
            return None
        detail = f'is an error together with model_kwargs["{inner}"]; pass it once'
        return Problem(argument, detail, Change(removed=(name,)), safety="unsafe")
    placed = site.argument("device_map")
    if name != "device" or argument.how != "keyword" or placed is None or placed.optional:
        return None
    if not all(value.kind == "const" and not value.is_none for value in (*argument.values, *placed.values)):
        return None
    detail = (
        "conflicts with device_map: transformers 4 raises an error, 5 moves the whole model to the device"
    )
    return Problem(argument, detail, Change(removed=(name,)), safety="unsafe")


def _inside_model_kwargs(site: Site) -> set[str]:
    """The keys of a `model_kwargs` that is a literal in the call."""
    given = site.argument("model_kwargs")
    node = given.node.value if given is not None and isinstance(given.node, ast.keyword) else None
    if not isinstance(node, ast.Dict):
        return set()
    return {str(key.value) for key in node.keys if isinstance(key, ast.Constant)}


def _given_with_a_model(site: Site, argument: Argument) -> Problem | None:
    """An argument for loading in a pipeline that gets a loaded model."""
    name = argument.name
    if argument.how != "keyword" or argument.optional or any(value.is_none for value in argument.values):
        return None
    if name in table.LOADING_ARGUMENTS:
        inside = _inside_model_kwargs(site)
        ignored = bool(inside) and inside <= {*table.MODEL_ARGUMENTS}
        if name == "model_kwargs" and not ignored and not _has_its_tokenizer(site):
            return None  # the pipeline also passes them to the tokenizer or processor that it loads
        return Problem(argument, "has no effect: the model is already loaded", Change(removed=(name,)))
    if name != "device" or not site.about or not all(value.kind == "const" for value in argument.values):
        return None
    if all(_is_spread(load) for load in site.about):
        line = line_name(site.about[0].source, site.about[0].call.lineno)
        detail = f"cannot move the model: the device_map on {line} has placed it"
        return Problem(argument, detail, Change(removed=(name,)), safety="unsafe")
    return None


#: What a pipeline loads beside its model where it gets an id, or nothing.
_BESIDE_THE_MODEL = ("tokenizer", "processor", "image_processor", "feature_extractor")


def _has_its_tokenizer(site: Site) -> bool:
    """Whether a pipeline gets a loaded tokenizer, and no processor by its id."""
    given = [each for name in _BESIDE_THE_MODEL if (each := site.argument(name)) is not None]
    return site.argument("tokenizer") is not None and all(
        value.kind == "call" or value.is_none for each in given for value in each.values
    )


def _is_spread(load: Site) -> bool:
    argument = load.argument("device_map")
    return (
        argument is not None
        and not argument.optional
        and all(value.kind == "const" and value.data in table.SPREADING_MAPS for value in argument.values)
    )


def into_model_kwargs(site: Site, moved: dict[str, str]) -> Change | None:
    """Move arguments into the pipeline's `model_kwargs`; None if it is not a literal in the call."""
    given, (first, *others) = site.arguments.get("model_kwargs"), moved
    entries = list(moved.values())
    if given is None:
        # The dict replaces the first argument that moves into it.
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


def _wrong_dtype(site: Site, argument: Argument) -> Problem | None:
    for value in argument.values:
        meant = table.DTYPE_NAMES.get(value.data) if value.kind == "const" else None
        if meant is None:
            continue
        written = (
            isinstance(argument.node, ast.keyword)
            and value.node is argument.node.value
            and argument.how == "keyword"
        )
        torch = site.has_torch
        new = f"torch.{meant}" if torch else f'"{meant}"'
        change = Change(replaced=((argument.name, new),)) if written else None
        return Problem(argument, f"cannot be {value.data!r}; use {new}", change)
    return None


def _wrong_attention(site: Site, argument: Argument) -> Problem | None:
    value = literal(argument)
    if value in table.ATTENTION_NAMES:
        if may_know_more(site) or site.source.once(_registers):
            return None
        meant = table.ATTENTION_NAMES[str(value)]
        if not meant:
            return Problem(argument, f"cannot be {value!r}")
        written = argument.how == "keyword" and value_text(site, argument)[1:-1] == value
        change = Change(replaced=((argument.name, f'"{meant}"'),)) if written else None
        return Problem(argument, f"cannot be {value!r}; use {meant!r}", change, safety="unsafe")
    if value in _FLASH and _float32(site) and not any(word in _rest(site) for word in _HALVES):
        return Problem(argument, f"{value!r} only supports float16 and bfloat16, but the model is float32")
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
    """The text of the file without the call."""
    return site.source.text[: site.start] + site.source.text[site.end :]


def _eager(site: Site, argument: Argument) -> Problem | None:
    given = site.argument("attn_implementation")
    if given is None or site.lacks("attn_implementation"):
        detail = "silently selects eager attention; set attn_implementation"
        said = (("attn_implementation", '"eager"'),)
        return Problem(argument, detail, Change(added=said) if given is None else Change(replaced=said))
    value = literal(given)
    if isinstance(value, str) and value != "eager" and value not in table.ATTENTION_NAMES:
        return Problem(
            argument, f"is an error with {value!r}: only eager attention returns attention weights"
        )
    return None
