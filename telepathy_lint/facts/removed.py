"""What a site passes or reads that a later release has removed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from telepathy_lint.facts.versions_told_apart import depends_on_release
from telepathy_lint.flow.arguments import Argument
from telepathy_lint.flow.objects import IS_ADAPTED, SURELY_IS, Policy
from telepathy_lint.knowledge.migration import Removed, removed_arguments
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site
from telepathy_lint.source.occurs import occurs


def passed(site: Site, settings: Settings) -> Iterator[tuple[Argument, Removed]]:
    """Yield the arguments that a call certainly passes and that a release which the project may get has removed.

    There are none if the file tells releases apart there.
    """
    if site.classes[0].startswith("trl.") and _takes_old_arguments(site):
        return
    gone = removed_arguments(site.classes[0])
    for argument in site.arguments.values():
        removed = gone.get(argument.name)
        if removed is None or argument.optional or not settings.reaches(removed.version, removed.package):
            continue
        if not depends_on_release(site):
            yield argument, removed


def adapted_twice(site: Site) -> Argument | None:
    """The `peft_config` of a trainer of trl whose model certainly has an adapter already."""
    argument = site.argument("peft_config")
    if argument is None or argument.optional or not site.classes[0].startswith("trl."):
        return None
    if not isinstance(argument.node, ast.keyword) or _takes_old_arguments(site) or depends_on_release(site):
        return None
    given = site.argument("model")
    model = given.node.value if given is not None and isinstance(given.node, ast.keyword) else None
    if model is None and site.call.args and not isinstance(site.call.args[0], ast.Starred):
        model = site.call.args[0]
    if model is None or not _comes_from_peft(site, model, IS_ADAPTED, _ADAPTING):
        return None
    return argument if _comes_from_peft(site, argument.node.value, SURELY_IS, r"\w+Config") else None


#: What gives a model with an adapter, below peft.
_ADAPTING = r"(?:\w+\.)*(?:get_peft_model|(?:Auto)?Peft\w*Model\w*\.from_pretrained)"


def _comes_from_peft(site: Site, node: ast.expr, policy: Policy, pattern: str) -> bool:
    """Whether an object is surely made by calls of these functions or classes of peft."""
    makers = site.file.objects.makers(node, site.context, policy)
    if any(value.kind == "const" for value in site.file.values.evaluate(node, site.context)):
        return False
    for maker in makers:
        if not isinstance(maker, ast.Call):
            return False
        values = site.file.values.evaluate(maker.func, site.file.tree.context_of(maker))
        for value in values:
            symbol = str(value.data) if value.kind == "symbol" else ""
            if re.fullmatch(rf"peft\.{pattern}", symbol) is None:
                return False
    return bool(makers)


def _takes_old_arguments(site: Site) -> bool:
    """Whether the file speaks of unsloth, which changes the trainers and configs of trl to take old arguments."""
    return site.source.once(_speaks_of_unsloth)


def _speaks_of_unsloth(text: str) -> bool:
    return occurs(r"(?i)unsloth(?![/-])", text)  # not of its models: "unsloth/Qwen3-4B", "unsloth-llama-3"


def read(site: Site, settings: Settings) -> Iterator[tuple[ast.Attribute, Removed]]:
    """The same for the attribute that a site reads."""
    node = site.node
    if isinstance(node, ast.Attribute):
        removed = removed_arguments(site.classes[0]).get(node.attr)
        if (
            removed is not None
            and settings.reaches(removed.version, removed.package)
            and not depends_on_release(site)
        ):
            yield node, removed
