"""Whether decoding arguments have the effect that transformers gives them, and only where the file shows it."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable

from telepathy_lint.facts.outdated import is_remote, may_know_more
from telepathy_lint.sites import Site
from telepathy_lint.source.occurs import occurs

#: Classes that define their own `generate`.
_OWN_GENERATE = (
    r"(?i)Speech|Whisper|Audio|Musicgen|Voice|Bark|Seamless|Moshi|Omni|Rag(?:Seq|Tok)|Dia(?:Model|For)|Csm"
)
#: Classes whose own `generate` samples when it gets a temperature, whatever `do_sample` says.
_BY_TEMPERATURE = r"(?i)Speech|Whisper"
#: Code that puts something else in the place of `generate`.
_REPLACED = r"\.generate\s*=(?!=)|setattr\([^()]*[\"']generate[\"']"
_BEAMS_SET = (
    r"\.num_beams\s*=(?!=)|[\"']num_beams[\"']\s*(?:\]\s*=(?!=)|,)|\bupdate\(\s*(?:[^()]*\b)?num_beams\s*="
)


def runs_as_known(site: Site) -> bool:
    """Whether a `generate` call certainly runs transformers' own `generate` of a model that the file loads."""
    return (
        bool(site.about)
        and site.argument("custom_generate") is None
        and not any(
            may_know_more(load) or any(occurs(_OWN_GENERATE, name) for name in _names_of(load))
            for load in site.about
        )
        and not (".generate" in site.source.text and occurs(_REPLACED, site.source.text))
    )


def _names_of(load: Site) -> tuple[str, ...]:
    """The classes of a load; for `AutoModel`, which may be any of them, the model's id as well."""
    if load.model_id is None or not any(name.endswith("AutoModel") for name in load.loaded):
        return load.loaded
    return (*load.loaded, load.model_id)


def samples_by_temperature(site: Site) -> bool:
    """Whether a temperature may decide that the model samples: Whisper tries one after the other."""
    return any(
        occurs(_BY_TEMPERATURE, name) for load in site.about for name in (*load.loaded, load.model_id or "")
    )


def may_use_beams(load: Site) -> bool:
    """Whether a load, or code of its file, sets a number of beams for calls that pass none."""
    return load.argument("num_beams") is not None or load.source.once(_sets_beams)


def _sets_beams(text: str) -> bool:
    return "num_beams" in text and occurs(_BEAMS_SET, text)


def has_effect_in_sight(site: Site, overriding: str) -> bool:
    """Whether all that gets a call's decoding arguments is in sight, and no call overrides them by passing `overriding`.

    A `GenerationConfig` that is read, saved, changed or given to something else may be used in another way, and so may a
    pipeline that another file calls.
    """
    if site.kind == "generate":
        return runs_as_known(site)
    if site.kind == "pipeline":
        return not is_remote(site) and _is_only(site, lambda node: _called(site, node, overriding))
    return _is_only(site, lambda node: _decodes(site, node, overriding))


def _is_only(site: Site, is_it: Callable[[ast.AST], bool]) -> bool:
    """Whether what a call gives is only used in a way: the call itself, or the name that it is assigned to."""
    tree = site.file.tree
    if is_it(site.call):
        return True
    made = tree.parent.get(site.call)
    target = made.targets[0] if isinstance(made, ast.Assign) and len(made.targets) == 1 else None
    if not isinstance(target, ast.Name):
        return False
    uses = [
        node
        for node in tree.visit(tree.lines_of(site.file.words.find(target.id)))
        if isinstance(node, ast.Name) and node.id == target.id and node is not target
    ]
    if not all(isinstance(node.ctx, ast.Load) and is_it(node) for node in uses):
        return False
    from telepathy_lint.facts.replaced import is_taken

    return site.context.scope.is_function or not is_taken(
        site.file, os.path.abspath(site.source.path), target.id
    )


def _decodes(site: Site, node: ast.AST, overriding: str) -> bool:
    """Whether something is the generation config of a `generate` call that does not override it."""
    keyword = site.file.tree.parent.get(node)
    if not isinstance(keyword, ast.keyword) or keyword.arg != "generation_config":
        return False
    call = site.file.tree.parent.get(keyword)
    return (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "generate"
        and not _passes(site, call, overriding)
    )


def _called(site: Site, node: ast.AST, overriding: str) -> bool:
    """Whether something is a pipeline that is called, or whose tokenizer is read."""
    above = site.file.tree.parent.get(node)
    if isinstance(above, ast.Attribute):
        return above.attr == "tokenizer"
    return isinstance(above, ast.Call) and above.func is node and not _passes(site, above, overriding)


def _passes(site: Site, call: ast.Call, name: str) -> bool:
    """Whether a call may pass an argument: by name, or in a dict that is not known to lack it."""
    context = site.file.tree.context_of(call)
    arguments, opaque = site.file.arguments.read(call, context, ())
    return opaque or name in arguments
