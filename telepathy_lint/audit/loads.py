"""Reads the settings of a load: as written, and as the value under which they are counted."""

from __future__ import annotations

import ast

from telepathy_lint import facts
from telepathy_lint.audit.consistency import ABSENT, CALLER, COMPUTED, HIDDEN, LOADER, OR, SET, SHIPPED
from telepathy_lint.audit.data import Setting
from telepathy_lint.knowledge import transformers_names as catalog
from telepathy_lint.rule import shown
from telepathy_lint.sites import Argument, Known, Site, Value

#: Settings that the companion loader chooses if a call omits them.
_LOADER_CHOOSES = ("dtype", "device_map", "attn_implementation")
#: Synonyms of dtypes.
_DTYPES = {
    "half": "float16", "fp16": "float16", "bf16": "bfloat16", "float": "float32", "fp32": "float32", "double": "float64",
}  # fmt: skip
ONE_DEVICE = "one device for everything"


def settings_of(site: Site) -> tuple[tuple[str, Setting], ...]:
    if site.kind == "tokenizer":
        found = {
            "pad token": _pad_token(site),
            "padding side": _value(site, "padding_side"),
            "revision": _revision(site),
        }
    else:
        found = {
            "dtype": _value(site, "dtype", "torch_dtype"),
            "device_map": _value(site, "device_map"),
            "attention": _attention(site),
            "generation config": _generation(site),
            "quantization": _value(site, "quantization_config", "load_in_4bit", "load_in_8bit"),
            "revision": _revision(site),
        }
    return tuple(found.items())


def _value(site: Site, *names: str) -> Setting:
    argument = site.argument(*names)
    if argument is None:
        if site.loader:
            # The caller has corrected `opaque` for the loader's calls.
            text = HIDDEN if site.opaque else LOADER if names[0] in _LOADER_CHOOSES else ABSENT
        else:
            text = HIDDEN if site.opaque else ABSENT
        return Setting(text, text)
    text = " or ".join(dict.fromkeys(_shown(value) for value in argument.values))
    groups = {_group(value, names[0]) for value in argument.values}
    if argument.optional:
        groups.add(ABSENT)
        text = f"{text} or {ABSENT}"
    # Sorted, because `float16 if gpu else float32` and its reverse are the same choice.
    return Setting(text, OR.join(sorted(groups, key=lambda group: (group == ABSENT, group))))


def _shown(value: Value) -> str:
    if value.kind == "const":
        return repr(value.data) if isinstance(value.data, str) else str(value.data)
    if value.kind == "symbol":
        return str(value.data).removeprefix("torch.")
    return shown(value)


def _group(value: Value, name: str) -> str:
    if value.kind in ("const", "symbol"):
        if value.is_none or (value.data is False and name == "quantization_config"):
            return ABSENT  # transformers treats it as a missing argument
        if name == "dtype":
            plain = str(value.data).removeprefix("torch.")
            return _DTYPES.get(plain, plain)
        return _shown(value)
    if value.kind == "dict":
        node = value.node
        if isinstance(node, ast.Dict) and len(node.keys) == 1:
            key = node.keys[0]
            if isinstance(key, ast.Constant) and key.value == "":
                return ONE_DEVICE
        return "a dict"
    if value.kind == "param":
        return CALLER
    if value.kind == "call":
        return f"{catalog.last(str(value.data))}(...)" if value.data else COMPUTED
    return CALLER if value.kind in ("attribute", "choice") else COMPUTED


def _attention(site: Site) -> Setting:
    setting = _value(site, "attn_implementation", "_attn_implementation")
    old = site.argument("use_flash_attention_2")
    if setting.group == ABSENT and old is not None and _is_true(old):
        return Setting("use_flash_attention_2=True", "'flash_attention_2'")
    if setting.group == ABSENT and facts.config_attention(site) is Known.YES:
        return Setting("in its config", "in its config")
    return setting


def _is_true(argument: Argument) -> bool:
    return any(value.kind == "const" and value.data is True for value in argument.values)


def _generation(site: Site) -> Setting:
    if not site.generative:
        return Setting("does not generate", "does not generate")
    if site.loader and site.argument("generation_config") is None:
        return Setting(LOADER, LOADER)
    text = {Known.YES: SET, Known.NO: "not set", Known.UNDECIDED: HIDDEN}[facts.generation_config(site)]
    return Setting(text, text)


def _pad_token(site: Site) -> Setting:
    if site.argument("pad_token") is not None:
        return Setting("passed to the load", SET)
    text = {Known.YES: SET, Known.NO: "not set", Known.UNDECIDED: HIDDEN}[facts.pad_token(site)]
    if text == "not set" and site.model_id is not None and catalog.ships_pad_token(site.model_id):
        return Setting(SHIPPED, SHIPPED)
    return Setting(text, text)


def _revision(site: Site) -> Setting:
    setting = _value(site, "revision")
    groups = {
        ABSENT if part in (ABSENT, "'main'") else "pinned" if part.startswith("'") else CALLER
        for part in ([] if setting.group in (HIDDEN, LOADER) else setting.group.split(OR))
    }
    return Setting(setting.text, OR.join(sorted(groups, reverse=True)) or setting.group)
