from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint import load_arguments as table
from telepathy_lint.change import Change, Name, Repair
from telepathy_lint.rule import Meta, Report, Rule, literal, value_text, written
from telepathy_lint.scan import Argument, Site
from telepathy_lint.scan.catalog import last
from telepathy_lint.settings import Settings
from telepathy_lint.spreads import key_places

_STATUS = {
    ("warns", "warns"): "is deprecated",
    ("warns", "error"): "is deprecated in transformers 4 and an error in 5",
    ("warns", "ignored"): "is deprecated in transformers 4 and silently ignored by 5",
    ("error", "error"): "is an error since transformers 4.53",
    ("ignored", "ignored"): "has no effect",
    ("ignored", "error"): "has no effect in transformers 4 and is an error in 5",
    ("works", "error"): "is an error in transformers 5",
    ("works", "ignored"): "is silently ignored by transformers 5",
}


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
        if (new := _new_class(site)) is not None:
            instead = f"load {new[0]}" if new[0] else "load the Auto class of the model's kind"
            found.append((site.call.func, f"{site.class_name} is gone from transformers 5: {instead}"))
        if (task := _removed_task(site, settings)) is not None:
            argument = site.arguments["task"]
            found.append((argument.node, f"transformers 5 has no task {task!r}"))
        for argument, old, status in old_arguments(site, settings):
            found.append((argument.node, f"{old.name} {status}: {old.advice}"))
        if not found:
            return None
        found.sort(key=lambda each: site.range_of(each[0]))
        node, detail = found[0]
        others = [text.partition(" ")[0] for _, text in found[1:]]
        return self.at(site, node, f"{detail}; also {', '.join(others)}" if others else detail)

    def repair(self, site: Site, settings: Settings) -> Repair | None:
        change, done = Change(), []
        for argument, old, _ in old_arguments(site, settings):
            part = (
                _repaired(site, argument, old) if argument.how == "keyword" else _in_dict(site, argument, old)
            )
            if part is not None:
                change |= part
                done.append(old.name)
        if (
            (new := _new_class(site)) is not None
            and new[0]
            and _allows(settings, new[1])
            and not _is_remote(site)
        ):
            func, needs = f"{{{new[0]}}}.from_pretrained", (Name("transformers", new[0]),)
            change |= Change(func, needs=needs)
            done.append(site.class_name)
        if not done:
            return None
        # What the call gets unseen may hold the new name already.
        unsafe = (site.opaque and bool(change.renamed)) or (
            change.func is not None and _may_miss(site, settings)
        )
        return Repair("unsafe" if unsafe else "safe", f"replace {', '.join(done)}", change)


def old_arguments(site: Site, settings: Settings) -> Iterator[tuple[Argument, table.Old, str]]:
    """The call's arguments that are old for the project's version, and what becomes of them."""
    if site.loader:
        return  # the loader has its own contract
    elsewhere = _may_know_more(site)
    for old in table.OLD:
        argument = site.arguments.get(old.name)
        if argument is None or argument.name in site.inherited or argument.how == "positional":
            continue
        outcomes = old.outcome(table.place_of(site.kind, argument.how))
        if outcomes is None or not table.fits(old, settings.target_version):
            continue
        if (old.known_elsewhere and elsewhere) or (old.generative and not _decoder(site)):
            continue
        yield argument, old, _STATUS[outcomes]


def _repaired(site: Site, argument: Argument, old: table.Old) -> Change | None:
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
    new = _conditional(f"{{BitsAndBytesConfig}}({inside})", site, on)
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


def _new_class(site: Site) -> tuple[str, table.Version] | None:
    """The successor of the one class that is loaded."""
    if len(site.classes) != 1 or site.kind != "model" or site.indirect or site.loader:
        return None
    return table.OLD_CLASSES.get(last(site.classes[0]))


def _may_miss(site: Site, settings: Settings) -> bool:
    """Whether the new class may not know the model: in transformers 4 two families of video models are left out."""
    return not _allows(settings, (5, 0)) and (site.model_id is None or "video" in site.model_id.lower())


def _allows(settings: Settings, since: table.Version) -> bool:
    return settings.target_version is not None and settings.target_version >= since


def _removed_task(site: Site, settings: Settings) -> str | None:
    task = site.argument("task")
    value = literal(task) if task is not None and site.kind == "pipeline" else None
    if not isinstance(value, str) or not _allows(settings, (5, 0)):
        return None
    return value if value in table.REMOVED_TASKS or value.startswith("translation_") else None


def _may_know_more(site: Site) -> bool:
    """Whether code that is not transformers' own may take the argument: a local class, or the checkpoint's."""
    return (
        site.opaque
        or _is_remote(site)
        or any(not name.startswith("transformers.") for name in site.classes)
        or "config" in site.arguments
    )


def _is_remote(site: Site) -> bool:
    """Whether the checkpoint may bring its own code, which knows the Auto classes by their old names."""
    remote = site.argument("trust_remote_code")
    return remote is not None and literal(remote) is not False


def _decoder(site: Site) -> bool:
    """Whether the class is one that never had the generation parameters as settings of its own."""
    return all(last(name).endswith(("ForCausalLM", "LMHeadModel")) for name in site.classes)
