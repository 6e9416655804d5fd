"""Decides whether a load is one of two that the script chooses between, of which the other one states its dtype."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping

from telepathy_lint.rule import literal
from telepathy_lint.sites import Site
from telepathy_lint.sites.direct_loads import IDENTITY
from telepathy_lint.source.occurs import occurs

_DTYPES = ("dtype", "torch_dtype", "quantization_config", "load_in_4bit", "load_in_8bit")
_SAYS_FLOAT32 = r"(?i)#[^\r\n]*(?:full[ -]precision|float ?32|\bfp32\b)"
_LINES_ABOVE = 2
#: An argument of a load, without a condition.
_STATES_A_DTYPE = r"\btorch_dtype\s*=(?![^,\r\n]*\bif\b)|(?:from_pretrained|load_model)\([^()]*\bdtype\s*=(?!\s*None\b|[^,\r\n]*\bif\b)|\bbf16\s*=\s*True"
_AUTOCAST = r"(?m)^[^#\r\n]*\bautocast\((?![^()\r\n]*enabled\s*=\s*False)"
_LOADING = ("from_pretrained", "pipeline")
#: What the loader is called where a fix has imported it: `load_model`, or an alias of it.
_OF_THE_LOADER = "load_model"


def is_the_other_arm(site: Site) -> bool:
    """Whether another arm of a condition around the load, or the attempt after which it runs, loads with a dtype.

    Then the script knows the setting: it leaves it out for the CPU, for another kind of model, or after an error.
    """
    parents = site.context.scope.tree.parent
    return any(_states_a_dtype(arm) for arm in _other_arms(site.node, parents))


def _other_arms(node: ast.AST | None, parents: Mapping[ast.AST, ast.AST]) -> Iterator[list[ast.stmt]]:
    while node is not None and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        above = parents.get(node)
        if isinstance(above, ast.If) and node is not above.test:
            yield above.body if node in above.orelse else above.orelse
        elif isinstance(above, ast.Try) and any(node is one or node in one.body for one in above.handlers):
            yield above.body
        node = above


def _states_a_dtype(arm: Iterable[ast.stmt]) -> bool:
    return any(
        isinstance(each, ast.Call) and is_loading(each.func) and any(map(_is_a_dtype, each.keywords))
        for stmt in arm
        for each in ast.walk(stmt)
    )


def is_loading(callee: ast.AST) -> bool:
    """Whether a function is one that loads, by its name: a method of transformers, or the loader's."""
    name = callee.attr if isinstance(callee, ast.Attribute) else getattr(callee, "id", "")
    return name in _LOADING or name.endswith(_OF_THE_LOADER)


def _is_a_dtype(keyword: ast.keyword) -> bool:
    # The loader's `dtype=None` leaves it to transformers.
    left = isinstance(keyword.value, ast.Constant) and keyword.value.value is None
    return keyword.arg in _DTYPES and not (keyword.arg == "dtype" and left)


def is_tried(site: Site) -> bool:
    """Whether the load is an attempt: if it fails, the script loads in another way."""
    parents = site.context.scope.tree.parent
    node: ast.AST | None = site.node
    while node is not None:
        above = parents.get(node)
        if isinstance(above, ast.Try) and node in above.body:
            handled = [each for one in above.handlers for stmt in one.body for each in ast.walk(stmt)]
            if any(isinstance(each, (ast.Attribute, ast.Name)) and is_loading(each) for each in handled):
                return True
        node = above
    return False


def is_read_back(site: Site) -> bool:
    """Whether the load reads what the file saves, in the dtype of its own loads, which state none."""
    identity = site.argument(IDENTITY)
    if identity is None or not isinstance(identity.node, ast.expr):
        return False
    start, end = site.range_of(identity.node)
    written, text = re.escape(site.source.text[start:end]), site.source.text
    if re.search(rf"save_pretrained\(\s*{written}\s*[,)]", text[:start]) is not None:
        return True
    if not isinstance(identity.node, (ast.Name, ast.Attribute)) or occurs(_STATES_A_DTYPE, text):
        return False
    saves = rf"(?:\boutput_dir\s*=\s*|\b(?:save_pretrained|save_model)\(\s*){written}\s*[,)]"
    return re.search(saves, text[:start] + text[end:]) is not None


def runs_under_autocast(text: str) -> bool:
    """Whether a file runs models in mixed precision, for which their weights stay float32."""
    return occurs(_AUTOCAST, text)


def is_meant_to_be_float32(site: Site) -> bool:
    """Whether a comment at the load, or above it, speaks of full precision."""
    text = site.source.text
    line = site.source.line_of(site.start) - 1
    start = site.source.line_starts[max(line - _LINES_ABOVE, 0)]
    return re.search(_SAYS_FLOAT32, text[start : site.end]) is not None


def is_copied(text: str) -> bool:
    """Whether a file gives a model to TransformerLens, which copies its weights in a dtype of its own."""
    return (
        "hf_model" in text
        and ("HookedTransformer" in text or "transformer_lens" in text)
        and occurs(r"(?m)^[^#\r\n]*\bhf_model\s*=(?!=)", text)
    )


def is_measured(site: Site) -> bool:
    """Whether the load, or a call in its file, asks for hidden states or attentions, whose values another precision would change."""
    asked = [site.argument(each) for each in ("output_hidden_states", "output_attentions")]
    return any(each is not None and literal(each) is True for each in asked) or bool(
        site.source.once(_asks_for_states)
    )


def _asks_for_states(text: str) -> bool:
    return "output_" in text and occurs(
        r"(?m)^[^#\r\n]*\boutput_(?:hidden_states|attentions)\s*=\s*True", text
    )


def is_dropped(site: Site) -> bool:
    """Whether the loaded object is not kept, or its name not read: the load only fills the cache of the hub."""
    tree = site.context.scope.tree
    above = tree.parent.get(site.node)
    if isinstance(above, ast.Expr):
        return True
    if not isinstance(above, ast.Assign) or len(above.targets) != 1 or not site.context.scope.is_function:
        return False
    target = above.targets[0]
    if not isinstance(target, ast.Name) or re.search(r"\b(?:locals|vars|eval|exec)\(", tree.text):
        return False
    node: ast.AST | None = above
    while node is not None and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        node = tree.parent.get(node)
    return node is not None and not any(
        isinstance(each, ast.Name) and each.id == target.id and not isinstance(each.ctx, ast.Store)
        for each in ast.walk(node)
    )
