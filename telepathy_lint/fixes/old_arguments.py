"""What to write instead of what transformers left behind; imported where something was reported."""

from __future__ import annotations

import ast

from telepathy_lint.facts.outdated import allows, is_remote, may_miss, new_class, old_arguments
from telepathy_lint.findings.change import Change, Name, Repair, slot
from telepathy_lint.fixes.dict_keys import key_places
from telepathy_lint.knowledge import load_arguments as table
from telepathy_lint.rule import literal, value_text, written
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Argument, Site


def repair(site: Site, settings: Settings) -> Repair | None:
    """All that can be replaced in one change, None where everything is for a person to decide."""
    change, done = Change(), []
    for argument, old, _ in old_arguments(site, settings):
        part = _in_call(site, argument, old) if argument.how == "keyword" else _in_dict(site, argument, old)
        if part is not None:
            change |= part
            done.append(old.name)
    # In the loader's call the class is an argument, for a person to change.
    new = None if site.loader else new_class(site)
    if new is not None and new[0] and allows(settings, new[1]) and not is_remote(site):
        func, needs = f"{slot(new[0])}.from_pretrained", (Name("transformers", new[0]),)
        change |= Change(func, needs=needs)
        done.append(site.class_name)
    if not done:
        return None
    # What the call gets unseen may hold the new name already.
    unsafe = (site.unseen and bool(change.renamed)) or (change.func is not None and may_miss(site, settings))
    return Repair("unsafe" if unsafe else "safe", f"replace {', '.join(done)}", change)


def _in_call(site: Site, argument: Argument, old: table.Old) -> Change | None:
    name, value = old.name, written(argument)
    if old.how == "remove" or (old.how == "remove-false" and value is False):
        # A framework other than PyTorch was a choice that has nothing to take its place.
        return Change(removed=(name,)) if name != "framework" or value in ("pt", None) else None
    if old.how == "rename":
        if old.new not in site.arguments:
            return Change(renamed=((name, old.new),))
        return Change(removed=(name,)) if old.new == "dtype" else None  # given both, dtype wins
    if old.how == "attention":
        return _attention(site, argument)
    return _quantized(site, argument) if old.how == "quantization" else None


def _in_dict(site: Site, argument: Argument, old: table.Old) -> Change | None:
    """The argument renamed in the dict that brings it in."""
    if old.how != "rename" or old.new in site.arguments:
        return None
    texts = key_places(site, argument, old.new)
    return Change(texts=texts) if texts else None


def _attention(site: Site, flag: Argument) -> Change | None:
    """`use_flash_attention_2=...` as an attention implementation."""
    given, value = site.argument("attn_implementation"), written(flag)
    if value is False or (value is True and given is not None and literal(given) == "flash_attention_2"):
        return Change(removed=(flag.name,))
    new = _conditional('"flash_attention_2"', site, [flag])
    if given is not None or new is None:
        return None
    return Change(renamed=((flag.name, "attn_implementation"),), replaced=((flag.name, new),))


def _quantized(site: Site, flag: Argument) -> Change | None:
    """`load_in_8bit=...` and what belongs to it as a quantization config."""
    flags = [each for name in ("load_in_8bit", "load_in_4bit") if (each := site.arguments.get(name))]
    on = [each for each in flags if written(each) is not False]
    if flag not in on:
        return Change(removed=(flag.name,)) if all(each.how == "keyword" for each in flags) else None
    options = [each for name, each in site.arguments.items() if name.startswith(table.QUANTIZATION_PREFIXES)]
    if "quantization_config" in site.arguments or any(each.how != "keyword" for each in (*flags, *options)):
        return None
    if flag is not on[0]:
        return Change(removed=(flag.name,)) if _conditional("", site, on) is not None else None
    values = {
        each.name: "True" if len(on) == 1 or written(each) is True else f"bool({value_text(site, each)})"
        for each in on
    }
    values |= {each.name: value_text(site, each) for each in options}
    inside = ", ".join(f"{name}={value}" for name, value in values.items())
    new = _conditional(f"{slot('BitsAndBytesConfig')}({inside})", site, on)
    if new is None:
        return None
    return Change(
        removed=tuple(each.name for each in options),
        renamed=((flag.name, "quantization_config"),),
        replaced=((flag.name, new),),
        needs=(Name("transformers", "BitsAndBytesConfig"),),
    )


def _conditional(text: str, site: Site, flags: list[Argument]) -> str | None:
    """The text where one of the flags is on, None elsewhere; None where a flag is more than a name to look at."""
    tests = []
    for flag in flags:
        assert isinstance(flag.node, ast.keyword)
        if written(flag) is True:
            return text if len(flags) == 1 else None
        if not isinstance(flag.node.value, (ast.Name, ast.Attribute)):
            return None
        tests.append(value_text(site, flag))
    return f"{text} if {' or '.join(tests)} else None"
