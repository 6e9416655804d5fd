"""Finds arguments, classes and tasks of a loading call that transformers has renamed or removed."""

from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint.facts.out_of_use import is_bare
from telepathy_lint.knowledge import load_arguments as table
from telepathy_lint.knowledge.transformers_names import last
from telepathy_lint.rule import literal
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Argument, Site
from telepathy_lint.source.occurs import occurs

#: A login, and a token of the environment, which every call finds.
_LOGS_IN = r"""(?:environ\[|environ\.get\(|getenv\()\s*["'](?:HF_TOKEN|HUGGING_FACE_HUB_TOKEN)["']"""
_CALLS_LOGIN = r"(?m)^(?![^#\r\n]*\bdef\b)[^#\r\n]*(?<![\w.])(?:huggingface_hub\.|hf_hub\.)?login\("
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


def old_arguments(site: Site, settings: Settings) -> Iterator[tuple[Argument, table.Old, str]]:
    """The outdated arguments of the call for the project's version, with the consequence."""
    elsewhere = site.unseen or "config" in site.arguments or may_know_more(site)
    for old in table.OLD:
        argument = site.arguments.get(old.name)
        if argument is None or argument.name in site.inherited or argument.how == "positional":
            continue
        if site.loader and argument.name == "torch_dtype":
            continue  # the loader accepts both names
        outcomes = old.outcome(table.place_of(site.kind, argument.how))
        if outcomes is None or not table.fits(old, settings.target_version) or _is_of_its_time(old, settings):
            continue
        if outcomes[0] == "ignored" and settings.is_below(table.OLDEST):
            continue  # it had an effect once
        if (old.known_elsewhere and elsewhere) or (old.generative and not _decoder(site)):
            continue
        yield argument, old, _STATUS[outcomes]


def _is_of_its_time(old: table.Old, settings: Settings) -> bool:
    """Whether the project is pinned to a release that does not know the new name yet."""
    target = settings.target_version
    return (
        old.known_since is not None and target is not None and target < old.known_since and not settings.five
    )


#: What only breaks in transformers 5; a project that is pinned below it has time.
_ONLY_FIVE_REJECTS = {("warns", "error"), ("warns", "ignored"), ("works", "error"), ("works", "ignored")}


def is_harmless(site: Site, settings: Settings, argument: Argument, old: table.Old) -> bool:
    """Whether an outdated argument changes nothing, and asks for nothing that the script does not get.

    It has no effect in any release that the project allows, and no release rejects it or warns. `use_fast=False`
    asks for a tokenizer that transformers 5 does not have, and `mirror` for a server that is not asked.
    """
    outcomes = old.outcome(table.place_of(site.kind, argument.how))
    if outcomes is None or old.name == "mirror":
        return False
    if old.name == "torch_dtype" and settings.five == "needs" and _is_of_one_class(site):
        return True
    four, five = outcomes
    if settings.is_before_5:
        # A lower bound that leaves out 5 is nearly always that of a pin.
        target = settings.target_version
        is_old = (target is not None and target < (4, 53)) or settings.is_below((4, 53))
        before = four == "error" and is_old
        if before or (four, five) in _ONLY_FIVE_REJECTS:
            return True
    if (
        old.name == "use_auth_token"
        and five == "ignored"
        and not is_bare(site)
        and (_is_of_the_login(argument) or site.source.once(_logs_in))
    ):
        return True
    admitted = {four} if not allows(settings, (5, 0)) else set()
    if not settings.is_before_5:
        admitted.add(five)
    if admitted != {"ignored"}:
        return False
    asked = {value.data for value in argument.values if value.kind == "const"}
    if old.name == "use_fast":
        return False not in asked
    return four == "ignored" or asked == {False}


def _is_of_the_login(argument: Argument) -> bool:
    """Whether a token is the one of the stored login, if any, which every release sends anyway, or was blanked out."""
    return all(value.kind == "const" and value.data in (True, False, None, "") for value in argument.values)


def _logs_in(text: str) -> bool:
    """Whether a file logs in, or takes its token from where huggingface_hub looks for one: it is sent in every release."""
    return occurs(_LOGS_IN, text) or ("huggingface_hub" in text and occurs(_CALLS_LOGIN, text))


def _is_of_one_class(site: Site) -> bool:
    """Whether the class is written: transformers 5 takes `torch_dtype` there without a warning, but not in Auto classes."""
    return site.kind == "model" and not any(last(name).startswith("Auto") for name in site.loaded)


def is_only_renamed(site: Site, old: table.Old) -> bool:
    """Whether every release still takes the old name, at most with a warning."""
    outcomes = old.outcome(table.place_of(site.kind, "keyword"))
    return outcomes is not None and set(outcomes) <= {"works", "warns"}


def new_class(site: Site) -> tuple[str, table.Version] | None:
    """The replacement of the loaded class, if there is exactly one."""
    if len(site.classes) != 1 or site.kind != "model" or site.indirect or len(site.loaded) != 1:
        return None
    return table.OLD_CLASSES.get(last(site.loaded[0]))


def may_miss(site: Site, settings: Settings) -> bool:
    """Whether the new class may not support the model: in transformers 4 it lacks two families of video models."""
    return not allows(settings, (5, 0)) and (site.model_id is None or "video" in site.model_id.lower())


def removed_task(site: Site, settings: Settings) -> str | None:
    task = site.argument("task")
    value = literal(task) if task is not None and site.kind == "pipeline" else None
    if not isinstance(value, str) or not allows(settings, (5, 0)):
        return None
    if value in table.TASKS_REMOVED_LATER and not settings.reaches(table.TASKS_REMOVED_LATER_IN):
        return None
    return value if value in table.REMOVED_TASKS or value.startswith("translation_") else None


def allows(settings: Settings, since: table.Version) -> bool:
    return settings.target_version is not None and settings.target_version >= since


def may_know_more(site: Site) -> bool:
    """Whether code outside transformers may accept the argument: a local class, or the checkpoint's code."""
    return is_remote(site) or any(not name.startswith("transformers.") for name in site.loaded)


def is_remote(site: Site) -> bool:
    """Whether the checkpoint may have its own code, which knows the Auto classes by their old names."""
    remote = site.argument("trust_remote_code")
    return remote is not None and literal(remote) is not False


def _decoder(site: Site) -> bool:
    """Whether the class never accepted generation parameters."""
    return all(last(name).endswith(("ForCausalLM", "LMHeadModel")) for name in site.loaded)
