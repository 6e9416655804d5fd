"""Describes the memory cost of a dtype, for models with known sizes."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from telepathy_lint.facts import named_models
from telepathy_lint.flow.bindings import dotted
from telepathy_lint.knowledge.published import hub_id, ids_in
from telepathy_lint.knowledge.small_models import (
    MOST_PARAMETERS,
    has_small_class,
    is_small,
    is_small_task,
    parameters_in,
)
from telepathy_lint.sites import Site
from telepathy_lint.sites.direct_loads import IDENTITY
from telepathy_lint.source.occurs import occurs

_QUANTIZED = ("quantization_config", "load_in_4bit", "load_in_8bit")


#: A listed model that generates has few parameters up to this number.
_FEW = 1_000_000_000


def cost_of_float32(site: Site) -> str | None:
    """`28.4 GiB instead of 14.2 for Qwen2.5-7B`; None if the model is unknown."""
    if not site.generative or site.opaque or site.argument(*_QUANTIZED) is not None:
        return None  # most weights of a quantized model are quantized
    found = _size_of(site)
    if found is None or site.model_id is None:
        return None
    params, size, _ = found
    float32 = 4 * params
    if size >= float32:
        return None  # the checkpoint itself is float32
    name = site.model_id.rpartition("/")[2]
    return f"{float32 / 2**30:.1f} GiB instead of {size / 2**30:.1f} for {name}"


#: A cast further away is not looked for.
_MOST_STATEMENTS = 12


def is_cast_afterwards(site: Site) -> bool:
    """Whether the call's result is cast to a dtype, at once or later in the same block, so that every release gives the same."""
    if not site.source.once(_has_casts):
        return False
    tree = site.context.scope.tree
    tree.context_of(site.call)  # sets the parents
    node: ast.AST = site.call
    while (call := _called_on(node, tree.parent)) is not None:
        if _casts(call):
            return True
        node = call
    assigned = tree.parent.get(node)
    if not isinstance(assigned, ast.Assign) or len(assigned.targets) != 1:
        return False
    name = dotted(assigned.targets[0])
    if name is None:
        return False
    for each in _behind(assigned, tree.parent.get(assigned)):
        if _casts_name(each, name):
            return True
        if _is_put_to_use(each, name):
            return False  # what was on the GPU, or was computed, was float32
    return False


def _has_casts(text: str) -> bool:
    return occurs(r"\.to\(|\.half\(|\.bfloat16\(|\.float\(", text)


def _called_on(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> ast.Call | None:
    """The method call on the value of an expression."""
    holder = parents.get(node)
    call = parents.get(holder) if isinstance(holder, ast.Attribute) else None
    return call if isinstance(call, ast.Call) and call.func is holder else None


def _casts(call: ast.Call) -> bool:
    assert isinstance(call.func, ast.Attribute)
    given = [*call.args, *(each.value for each in call.keywords)]
    return call.func.attr in ("float", "half", "bfloat16") or (
        call.func.attr == "to"
        and any(re.search(r"(?:float\d+|(?i:dtype))$", dotted(each) or "") is not None for each in given)
    )


def _behind(stmt: ast.stmt, block: ast.AST | None) -> list[ast.stmt]:
    """The next statements behind another one in its block."""
    for field in ("body", "orelse", "finalbody"):
        within = getattr(block, field, None)
        if isinstance(within, list) and stmt in within:
            first = within.index(stmt) + 1
            return within[first : first + _MOST_STATEMENTS]
    return []


def _casts_name(stmt: ast.stmt, name: str) -> bool:
    return any(
        isinstance(each, ast.Call)
        and isinstance(each.func, ast.Attribute)
        and dotted(each.func.value) == name
        and _casts(each)
        for each in ast.walk(stmt)
    )


def _is_put_to_use(stmt: ast.stmt, name: str) -> bool:
    return any(
        isinstance(each, ast.Call)
        and (
            dotted(each.func) == name
            or (
                isinstance(each.func, ast.Attribute)
                and each.func.attr in ("to", "cuda", "generate", "forward")
                and dotted(each.func.value) == name
            )
        )
        for each in ast.walk(stmt)
    )


def is_own_model(site: Site) -> bool:
    """Whether the loaded class is the project's own and derives from `PreTrainedModel`, so that its author chose the dtype."""
    func = site.call.func
    if not isinstance(func, ast.Attribute) or any(name.startswith("transformers.") for name in site.loaded):
        return False
    values = site.file.values.evaluate(func.value, site.context)
    return bool(values) and all(
        isinstance(value.node, ast.ClassDef)
        and any((dotted(base) or "").endswith("PreTrainedModel") for base in value.node.bases)
        for value in values
    )


#: Models whose own code picks half precision if no dtype is given.
_PICKS_A_DTYPE = r"(?i)(?:^|[/\"'])(?:qwen-(?:vl|audio|\d)|chatglm|cogvlm|internlm-xcomposer)"


def picks_its_own_dtype(site: Site) -> bool:
    """Whether the checkpoint's code picks the dtype, or the class only exists in transformers 5, which follows the checkpoint."""
    remote = site.argument("trust_remote_code") is not None
    # If the id is not known, it may be any that the file speaks of.
    names = site.model_id if site.model_id is not None else site.source.text
    own = remote and re.search(_PICKS_A_DTYPE, names) is not None
    return own or any(name.endswith("ForMultimodalLM") for name in site.loaded)


def ships_bfloat16(site: Site) -> bool:
    """Whether the checkpoint is known to be in bfloat16, so that its own dtype is the one that is asked for."""
    found = _size_of(site)
    return found is not None and found[2] == "bfloat16"


def is_light(site: Site) -> bool:
    """Whether the model is small in any dtype, by its id, class or task, or by the only ids that the file names."""
    if has_small_class(site.loaded):
        return True
    task = site.argument("task")
    if task is not None and all(is_small_task(str(value.data)) for value in task.values):
        return True
    model_id = named_models.written_id(site)
    found = _listed(model_id) if model_id is not None else None
    if found is not None:
        return found[0] <= MOST_PARAMETERS
    if model_id is not None and is_small(hub_id(model_id)):
        return True
    if _reads_texts(site) or _is_an_image_encoder(site):
        return True
    return model_id is None and named_models.are_all(site, _is_light_in_any_release)


#: A model with this number of parameters takes 5.6 GiB more in float32 than in bfloat16.
_MANY = 3_000_000_000
#: Checkpoints whose weights are stored in a quantized form.
_STORED_QUANTIZED = r"(?i)(?:^|[^a-z])(?:[2-8][ _-]?bits?|int[48]|awq|gptq|bnb|nf4|fp[48]|gguf|exl2|w[48]a\d+|mxfp4|hqq|aqlm)(?![a-z])|gpt-oss"

#: Large checkpoints that are float32 themselves.
_STORED_FLOAT32 = (
    r"(?i)(?:^|/)(?:(?:flan-|fastchat-|unifiedqa-(?:v2-)?|m|u)?t5-|t0|gpt-j|gpt-neo-|nllb-|paligemma-)"
)


def is_heavy(site: Site) -> bool:
    """Whether the model is known to have billions of parameters, by its id or by the only id that the file names."""
    model_id = named_models.written_id(site)
    ids = (hub_id(model_id),) if model_id is not None else site.source.once(ids_in)
    if len(ids) != 1 or not _is_heavy(ids[0]):
        return False
    return model_id is not None or site.generative or not named_models.is_given_to_another(site, ids[0])


def _is_heavy(model_id: str) -> bool:
    if re.search(_STORED_QUANTIZED, model_id) or re.search(_STORED_FLOAT32, model_id):
        return False
    found = _listed(model_id)
    if found is not None:
        return found[0] >= _MANY and found[2] != "float32"
    return (parameters_in(model_id.rpartition("/")[2]) or 0) >= _MANY


def _is_light_in_any_release(model_id: str) -> bool:
    """Whether a model is small, and not known to be in another dtype than float32, which transformers 5 would follow."""
    found = _listed(model_id)
    return found[0] <= MOST_PARAMETERS and found[2] == "float32" if found is not None else is_small(model_id)


def _reads_texts(site: Site) -> bool:
    """Whether the model classifies or embeds texts, in a file that names no larger model. Remote code may be of any size."""
    task = site.argument("task")
    tasks = [str(value.data) for value in task.values] if task is not None else []
    by_class = all(name.endswith("ForSequenceClassification") for name in site.loaded)
    by_class = by_class or (
        all(name.endswith(".AutoModel") for name in site.loaded) and bool(site.source.once(_pools))
    )
    if not by_class and not (tasks and set(tasks) <= {"text-classification", "sentiment-analysis"}):
        return False
    remote = site.argument("trust_remote_code") is not None
    return (
        not remote
        and parameters_in(site.model_id or "") is None
        and all(map(is_small, site.source.once(ids_in)))
    )


#: Code that makes one vector of a text's hidden states.
_POOLS = (
    r"pooler_output|(?i:mean_pool)|last_hidden_state\[:, ?0|attention_mask\.unsqueeze\(-1\)|\.mean\(dim=1\)"
)


def _pools(text: str) -> bool:
    return re.search(_POOLS, text) is not None


def _is_an_image_encoder(site: Site) -> bool:
    """Whether the file loads a processor for images or sound alone from the same id, which language models do not have."""
    identity = site.argument(IDENTITY)
    if identity is None or site.generative or not isinstance(identity.node, ast.expr):
        return False
    start, end = site.range_of(identity.node)
    given = rf"\.from_pretrained\(\s*{re.escape(site.source.text[start:end])}\s*[,)]"
    return occurs(rf"ImageProcessor{given}|FeatureExtractor{given}", site.source.text)


def _size_of(site: Site) -> tuple[int, int, str] | None:
    """The parameters, the bytes and the dtype of a listed model's checkpoint."""
    return _listed(site.model_id) if site.model_id is not None else None


def _listed(model_id: str) -> tuple[int, int, str] | None:
    if "/" not in model_id:
        return None  # small models, which the id shows, and folders
    from telepathy_runtime.models.sizes import size_of  # only where there is a finding

    return size_of(model_id)
