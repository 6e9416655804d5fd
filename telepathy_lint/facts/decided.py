"""Decides whether a checkpoint's own settings decide how a loaded model generates, and where.

The answer comes from the uses of the object if these are all known, else from the texts of the file and of the modules
of its project that may get the object. Evidence removes a finding; lack of evidence never does.
"""

from __future__ import annotations

import ast
import os
import re
from functools import partial

from telepathy_lint.facts import named_models
from telepathy_lint.facts.another_load import is_of_another_load
from telepathy_lint.facts.branches import is_of_other_names
from telepathy_lint.facts.decoding import does_one_task, writes_from_an_encoder
from telepathy_lint.facts.generating import Generating, asks_for_sampling, generating, is_dropped
from telepathy_lint.facts.handled import LOOKERS, Use, handled
from telepathy_lint.facts.looked_at import (
    answers_whoever_asks,
    is_a_look,
    is_drawn_anyhow,
    is_only_printed,
    keeps_answers,
    only_answers,
    only_measures,
    only_shows,
)
from telepathy_lint.facts.out_of_use import is_bare, is_never_named
from telepathy_lint.facts.placement import is_at_work
from telepathy_lint.facts.reach import reach_of
from telepathy_lint.flow import same_object
from telepathy_lint.flow.calls import calls_at
from telepathy_lint.hints import NamedTuple
from telepathy_lint.knowledge import shipped_decoding
from telepathy_lint.knowledge.published import ids_in
from telepathy_lint.knowledge.shipped_decoding import ships_greedy, ships_penalty
from telepathy_lint.rule import line_name
from telepathy_lint.sites import Modules, Site
from telepathy_lint.source.occurs import occurs

#: Trainers that only compute losses, without options such as `predict_with_generate` (searched for in the
#: text).
_LOSS_TRAINERS = frozenset(
    {"Trainer", "SFTTrainer", "DPOTrainer", "KTOTrainer", "ORPOTrainer", "CPOTrainer", "RewardTrainer"}
)
#: Methods of a model that do not generate.
_PLAIN_METHODS = frozenset({
    "parameters", "named_parameters", "modules", "named_modules", "buffers", "state_dict", "load_state_dict", "zero_grad",
    "save_pretrained", "push_to_hub", "save_checkpoint", "resize_token_embeddings", "forward", "tie_weights",
    "get_input_embeddings", "get_output_embeddings", "num_parameters", "print_trainable_parameters", "enable_input_require_grads",
    "gradient_checkpointing_enable", "gradient_checkpointing_disable", "get_nb_trainable_parameters", "get_memory_footprint",
    "register_forward_hook", "named_children", "children", "set_input_embeddings", "get_submodule",
})  # fmt: skip
_PLAIN_ATTRIBUTES = frozenset({
    "config", "device", "dtype", "training", "hf_device_map", "is_parallelizable", "model_parallel", "lm_head", "model",
    "transformer", "layers", "embed_tokens", "gpt_neox", "h", "norm", "name_or_path", "is_quantized", "supports_gradient_checkpointing",
})  # fmt: skip
#: Parts of a model that code accesses for their weights or to add hooks.
_PARTS = frozenset({"lm_head", "transformer", "layers", "embed_tokens", "gpt_neox", "h", "norm"})
#: Ways in which a trainer generates with its model.
_GENERATES_ELSEWHERE = (
    r"predict_with_generate|rainer\.(?:generate|predict)"
    r"|rainer\.model\b(?!\.(?:save_pretrained|push_to_hub|config|state_dict|parameters|named_parameters|eval|train)\b)"
)
#: Code that uses a model without generating: losses, gradients, hidden states, probabilities.
_COMPUTES = r"\.backward\(|output_hidden_states|\.hidden_states\b|\.logits\b|\.loss\b|requires_grad|\.grad\b|register_forward_(?:pre_)?hook|Trainer\(|log_softmax|last_hidden_state|pooler_output|merge_and_unload"


class Decision(NamedTuple):
    """Whether something about decoding is left to the checkpoint."""

    settled: bool
    #: The place that generates without stating it: "line 12", "eval.py, line 3"; None if none is in sight.
    where: str | None = None
    #: The id of a model whose repetition penalty is all that is left.
    penalty: str | None = None
    #: Whether that place is in the file itself.
    here: bool = True


_SETTLED = Decision(True)


def samples_unasked(site: Site) -> bool:
    """Whether the file generates with a model that is known to sample, without stating how; a penalty in greedy decoding does not count."""
    if not ships_sampling(site):
        return False
    found = decision(site)
    if found.settled or found.where is None or not found.here:
        return False
    return found.penalty is None


def ships_sampling(site: Site) -> bool:
    """Whether the model is known to sample, or to ship a penalty, by its id or by the only one that the file names."""
    if site.model_id is not None and ships_penalty(site.model_id):
        return True
    model_id = named_models.written_id(site)
    ids = (model_id,) if model_id is not None else site.source.once(ids_in)
    # Of several ids, the load may use any, or none of them.
    return len(ids) == 1 and shipped_decoding.samples_unasked(ids[0])


def decision(site: Site) -> Decision:
    """Whether the checkpoint decides how the loaded model generates."""
    return site.file.remember(("decision", site), partial(_decision, site))


def _decision(site: Site) -> Decision:
    if _ships_what_fits(site):
        return _SETTLED
    if _nobody_keeps_answers(site):
        return _SETTLED
    places = _exact_places(site)
    if places is not None:
        return _judged(site, [(None, each) for each in places])
    found: list[tuple[str | None, Generating]] = [
        (None, each) for each in site.source.once(generating) if not _is_of_another_model(site, each)
    ]
    if any(not (each.states or each.spreads or each.own) for _, each in found):
        return _judged(site, found)
    wraps = site.source.once(_defines_generate)
    modules, alone = site.file.modules, True
    if modules is not None:
        connected = modules.connected(site.source.path)
        if connected is not None:
            alone = modules.is_alone(site.source.path)
        else:
            connected = _imported(site, modules)
            alone = not connected
        found += _in_the_project(site, modules, connected)
        wraps = wraps or any(modules.told(path, _defines_generate) for path in connected)
    if wraps:
        found = [(path, each) for path, each in found if not each.own]
    if found:
        return _judged(site, found)
    if not alone:
        return _SETTLED
    if site.source.once(_may_generate_unseen):
        return Decision(False)
    return _SETTLED if site.source.once(_computes) or _is_a_notebook_at_work(site) else Decision(False)


def _nobody_keeps_answers(site: Site) -> bool:
    """Whether a project's file prints answers, or talks to somebody, and neither it nor the modules that it is connected with keep any."""
    modules = site.file.modules
    if modules is None or is_bare(site):
        return False
    if not (site.source.once(only_answers) or site.source.once(answers_whoever_asks)):
        return False
    others = modules.connected(site.source.path) or ()
    return not any(modules.told(path, keeps_answers) for path in others)


def _defines_generate(text: str) -> bool:
    return "def generate(" in text


def _imported(site: Site, modules: Modules) -> tuple[str, ...]:
    """The modules beside a file in no project that it imports, if one of them uses a model."""
    symbols = [symbol for _, symbol in site.file.uses.imports()]
    paths = dict.fromkeys(path for symbol in symbols for path in modules.files(symbol, site.source.path))
    return tuple(paths) if any(modules.told(path, _computes) for path in paths) else ()


def _in_the_project(
    site: Site, modules: Modules, connected: tuple[str, ...]
) -> list[tuple[str | None, Generating]]:
    """The places of other modules: those of importers, and those in functions and classes that get the object.

    Such a function is one that this file, or a module that uses its load, mentions.
    """
    importers = modules.importers(site.source.path)
    known = frozenset(importers[1] if importers is not None else connected)
    reach = reach_of(site)
    users = reach.users if reach is not None else [modules.text(path) for path in connected]
    found: list[tuple[str | None, Generating]] = []
    for path in connected:
        for each in modules.told(path, generating):
            if each.loaded_here:
                continue  # another model
            if path in known or (
                each.around is not None
                and (
                    _mentions(site.source.text, each.around)
                    or any(_mentions(text, each.around) for text in users if text != modules.text(path))
                )
            ):
                found.append((path, each))
    return found


def _mentions(text: str, name: str) -> bool:
    return name in text and re.search(rf"\b{name}\b", text) is not None


def _judged(site: Site, places: list[tuple[str | None, Generating]]) -> Decision:
    """The decision if these are all the places that may generate with the model, each with its file."""
    ships = partial(ships_greedy, piped=any(each.piped for _, each in places))
    greedy = site.kind == "model" and (
        ships(site.model_id) if site.model_id is not None else named_models.are_all(site, ships)
    )
    for path, each in places:
        if each.built and not each.states and not is_bare(site):
            continue  # whoever calls the pipeline may say how to decode
        left_open = not each.states and not greedy and not (each.spreads and _states_elsewhere(site))
        if left_open and not (ships_sampling(site) and (each.warm or site.source.once(asks_for_sampling))):
            if path is None and (_only_shown(site, each) or (not is_bare(site) and is_drawn_anyhow(site))):
                continue
            where = _where(site, path, each) if not each.built else None
            return Decision(False, where, here=path is None)
    with_one = _id_with_penalty(site)
    if with_one is not None:
        for path, each in places:
            if each.greedy and not each.penalty and not (path is None and _only_shown(site, each)):
                return Decision(False, _where(site, path, each), with_one, path is None)
    return _SETTLED


def _only_shown(site: Site, place: Generating) -> bool:
    """Whether what a place of the file generates is only looked at or measured, or the place is of another model or never runs."""
    return (
        is_of_other_names(site, place.offset)
        or site.source.once(only_shows)
        or (place.around is not None and is_never_named(site, place.around))
        or is_a_look(site, place)
        or is_only_printed(site, place)
        or (site.source.once(only_measures) and not is_bare(site))
    )


def _where(site: Site, path: str | None, place: Generating) -> str:
    offset = place.offset
    if path is None:
        return line_name(site.source, site.source.line_of(offset))
    modules = site.file.modules
    if path.endswith(".ipynb") or modules is None:
        return os.path.basename(path)
    line = modules.text(path).count("\n", 0, offset) + 1
    return f"{os.path.basename(path)}, line {line}"


def _id_with_penalty(site: Site) -> str | None:
    """The id of the model, or the first that the file names, if all of these ship a repetition penalty."""
    if site.model_id is not None:
        return site.model_id if ships_penalty(site.model_id) else None
    ids = site.source.once(ids_in)
    return ids[0] if ids and all(map(ships_penalty, ids)) else None


def _states_elsewhere(site: Site) -> bool:
    """Whether settings that a call gets as a dict may come from a module that writes how to sample."""
    modules = site.file.modules
    paths = (modules.connected(site.source.path) or ()) if modules is not None else ()
    return modules is not None and any(modules.told(path, _samples) for path in paths)


def _samples(text: str) -> bool:
    return "do_sample" in text


def _is_of_another_model(site: Site, place: Generating) -> bool:
    """Whether a call of the file certainly generates with a model from another load."""
    tree, source = site.context.scope.tree, site.source
    if place.built:
        return False
    for node in calls_at(tree, place.offset):
        start, end = source.start_of(node.func), source.end_of(node.func)
        if place.piped and isinstance(node.func, ast.Name) and start == place.offset:
            return is_of_another_load(site, node.func)
        if (
            isinstance(node.func, ast.Attribute)
            and node.func.attr == "generate"
            and start <= place.offset + 1 <= end
        ):
            return is_of_another_load(site, node.func.value)
    return False


# ---- the uses of one object


def _exact_places(site: Site) -> list[Generating] | None:
    """The places that generate with the object, if its uses are all known and show a purpose."""
    uses = handled(site, partial(_stays, site.kind), scoped=True)
    if not uses:
        return None
    generates = [
        use for use in uses if _generates(use, site.kind) and not is_of_another_load(site, _object_of(use))
    ]
    if generates:
        return [place for use in generates if (place := _place_of(use, site)) is not None]
    if (
        site.kind == "pipeline"
        or site.source.once(_generates_elsewhere)
        or not any(map(_tells_a_purpose, uses))
    ):
        return None
    return []


def _generates(use: Use, kind: str) -> bool:
    return (
        use.how == "call" if kind == "pipeline" else use.how == "method" and use.name in ("generate", "chat")
    )


def _object_of(use: Use) -> ast.expr:
    """The expression that generates: the model of `model.generate(...)`, the pipeline of `pipe(...)`."""
    assert isinstance(use.node, ast.expr)
    return use.node.value if isinstance(use.node, ast.Attribute) and use.how == "method" else use.node


def _place_of(use: Use, site: Site) -> Generating | None:
    """The place of a use that generates; None if its text is not read."""
    call, source = use.call, site.source
    assert call is not None
    begin, behind = site.range_of(call)
    if is_dropped(source.text, begin, source.text[source.end_of(call.func) : behind]):
        return None
    start, end = source.start_of(call.func), source.end_of(call.func)
    for each in source.once(generating):
        if start <= each.offset <= end:
            return each
    stated = use.keyword("do_sample") is not None or use.keyword("generation_config") is not None
    stated = stated or site.argument("do_sample") is not None
    penalty = use.keyword("repetition_penalty") is not None or use.spreads
    return Generating(start, stated, use.spreads, penalty, False, None, False, False)


def _stays(kind: str, use: Use) -> bool:
    """Whether a use generates in plain sight, or certainly does not generate and hands the object to nothing else."""
    if _generates(use, kind):
        return True
    if use.how == "argument":
        return use.name in _LOSS_TRAINERS | LOOKERS or (
            use.call is not None and same_object.gives_back(use.call)
        )
    if use.how == "method":
        return use.name in _PLAIN_METHODS
    return use.how in ("call", "store") or use.name in _PLAIN_ATTRIBUTES


def _tells_a_purpose(use: Use) -> bool:
    """Whether the use shows the purpose of the model, rather than its preparation."""
    if use.how == "argument":
        return use.name in _LOSS_TRAINERS
    if use.how == "attribute":
        return use.name in _PARTS
    return use.how == "call" or (use.how == "method" and use.name in _PLAIN_METHODS)


# ---- the text of the file


def _is_a_notebook_at_work(site: Site) -> bool:
    """Whether a notebook uses a model: nothing imports a notebook, so that it shows all uses."""
    return site.source.path.endswith(".ipynb") and bool(site.source.once(is_at_work))


def _computes(text: str) -> bool:
    return occurs(_COMPUTES, text)


def _generates_elsewhere(text: str) -> bool:
    return occurs(_GENERATES_ELSEWHERE, text)


def _may_generate_unseen(text: str) -> bool:
    """Whether the file calls something that says "generate" by its name, and that it does not define."""
    names = set(re.findall(r"(?<!\.)\b(\w{0,80}generate\w{0,80})\(", text)) if "generate" in text else set()
    return any(f"def {name}(" not in text for name in names)


def _ships_what_fits(site: Site) -> bool:
    """Whether the checkpoint's decoding belongs to the model: encoder-decoders ship beams and do not sample."""
    names = (*site.loaded, site.model_id or "")
    task = site.argument("task")
    tasks = [str(value.data) for value in task.values] if task is not None else []
    return (
        any(map(does_one_task, names))
        or all(occurs(_SHIPS_NO_SAMPLING, name) for name in site.loaded)
        or writes_from_an_encoder(site)
        or (bool(tasks) and all(re.fullmatch(_ONE_TASK_PIPELINES, each) for each in tasks))
    )


#: Classes for images and text whose published checkpoints ship no sampling settings.
_SHIPS_NO_SAMPLING = r"PaliGemmaFor\w+$|LlavaFor\w+$|LlavaNextFor\w+$|LlavaOnevisionFor\w+$"
_ONE_TASK_PIPELINES = (
    r"summarization|translation\w*|text2text-generation|image-to-text|automatic-speech-recognition"
)
