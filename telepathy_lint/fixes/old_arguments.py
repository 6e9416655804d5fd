"""Replacements for outdated arguments and classes; only imported if there is a finding."""

from __future__ import annotations

import ast

from telepathy_lint.facts.outdated import allows, is_remote, may_miss, new_class
from telepathy_lint.findings.change import Change, Name, Repair, slot
from telepathy_lint.fixes.dict_keys import key_places
from telepathy_lint.knowledge import load_arguments as table
from telepathy_lint.rule import literal, value_text, written
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Argument, Site


def repair(site: Site, argument: Argument, old: table.Old) -> Repair | None:
    """The replacement of an outdated argument; None if a person has to decide."""
    change = _in_call(site, argument, old) if argument.how == "keyword" else _in_dict(site, argument, old)
    if change is None:
        return None
    # Unknown arguments of the call may already include the new name.
    unsafe = site.unseen and bool(change.renamed or change.texts)
    return Repair("unsafe" if unsafe else "safe", f"replace {old.name}", change)


def class_repair(site: Site, settings: Settings) -> Repair | None:
    """Replace the old class with the new one; not in the loader's call, where it is an argument."""
    new = None if site.loader else new_class(site)
    if new is None or not new[0] or not allows(settings, new[1]) or is_remote(site):
        return None
    change = Change(f"{slot(new[0])}.from_pretrained", needs=(Name("transformers", new[0]),))
    return Repair("unsafe" if may_miss(site, settings) else "safe", f"replace {site.class_name}", change)


def _in_call(site: Site, argument: Argument, old: table.Old) -> Change | None:
    name, value = old.name, written(argument)
    if old.how == "remove" or (old.how == "remove-false" and value is False):
        # The argument selected a framework other than PyTorch, which has no replacement.
        return Change(removed=(name,)) if name != "framework" or value in ("pt", None) else None
    if old.how == "rename":
        if old.new not in site.arguments:
            return Change(renamed=((name, old.new),))
        return Change(removed=(name,)) if old.new == "dtype" else None  # with both, dtype takes precedence
    if old.how == "attention":
        return _attention(site, argument)
    return _quantized(site, argument) if old.how == "quantization" else None


def _in_dict(site: Site, argument: Argument, old: table.Old) -> Change | None:
    """Rename the argument in the dict that contains it."""
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
    """`load_in_8bit=...` and related arguments as a quantization config."""
    flags = [each for name in ("load_in_8bit", "load_in_4bit") if (each := site.arguments.get(name))]
    on = [each for each in flags if written(each) is not False]
    if flag not in on:
        return Change(removed=(flag.name,)) if all(each.how == "keyword" for each in flags) else None
    options = [each for name, each in site.arguments.items() if name.startswith(table.QUANTIZATION_PREFIXES)]
    if "quantization_config" in site.arguments or any(each.how != "keyword" for each in (*flags, *options)):
        return None
    values = {
        each.name: "True" if len(on) == 1 or written(each) is True else f"bool({value_text(site, each)})"
        for each in on
    }
    values |= {each.name: value_text(site, each) for each in options}
    inside = ", ".join(f"{name}={value}" for name, value in values.items())
    new = _conditional(f"{slot('BitsAndBytesConfig')}({inside})", site, on)
    if new is None:
        return None
    # Several arguments become one, so the fix of each includes the whole change.
    first, *others = on
    return Change(
        removed=tuple(each.name for each in (*options, *others)),
        renamed=((first.name, "quantization_config"),),
        replaced=((first.name, new),),
        needs=(Name("transformers", "BitsAndBytesConfig"),),
    )


def _conditional(text: str, site: Site, flags: list[Argument]) -> str | None:
    """The text as a conditional expression: used if a flag is true, else None. None if a flag is not a plain name."""
    tests = []
    for flag in flags:
        assert isinstance(flag.node, ast.keyword)
        if written(flag) is True:
            return text if len(flags) == 1 else None
        if not isinstance(flag.node.value, (ast.Name, ast.Attribute)):
            return None
        tests.append(value_text(site, flag))
    return f"{text} if {' or '.join(tests)} else None"
