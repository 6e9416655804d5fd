"""Finds `.numpy()` on tensors that a model in the file certainly computed, if nothing changes their dtype before."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from telepathy_lint.flow.file import File
from telepathy_lint.flow.tree import Context
from telepathy_lint.sites.loads import surely
from telepathy_lint.sites.site import Site
from telepathy_lint.source.occurs import occurs

#: Methods of floating-point tensors that keep the dtype.
_KEEP = frozenset({
    "cpu", "detach", "squeeze", "unsqueeze", "mean", "sum", "flatten", "view", "reshape", "transpose", "permute",
    "contiguous", "clone", "cuda",
})  # fmt: skip
#: Attributes of a model's output that have the dtype of its weights.
_OUTPUTS = frozenset({"last_hidden_state", "hidden_states", "pooler_output", "image_embeds", "text_embeds"})
#: Words of code that may change the dtype of the model or its output.
_OTHERWISE = r"\.half\(|\.double\(|autocast|set_default_dtype|\.to\(\s*(?:dtype\s*=\s*)?(?:torch\.float|torch\.half|dtype)|\.type\("


def find(file: File) -> Iterator[Site]:
    """Yield the calls of `numpy`; `about` are the models that computed the tensor."""
    tree, words = file.tree, file.words
    offsets = words.find(".numpy(", whole=False)
    if not offsets or "bfloat16" not in tree.text or occurs(_OTHERWISE, tree.text):
        return
    for node, method in file.uses.method_calls("numpy"):
        if node.args or node.keywords:
            continue
        context = tree.context_of(node)
        model = _computed_by(file, method.value, context, False)
        if model is None:
            continue
        about = surely(file, model[0].func, model[1], "model")
        if not about or _is_cast(file, model[0].func):
            continue
        yield Site(
            kind="array",
            file=file,
            node=node,
            context=context,
            classes=("numpy",),
            arguments={},
            opaque=False,
            model_id=about[0].model_id,
            about=about,
        )


def _computed_by(
    file: File, node: ast.expr, context: Context, output: bool, depth: int = 0
) -> tuple[ast.Call, Context] | None:
    """The model call that computed the tensor, if its dtype is unchanged."""
    if depth > 20:
        return None
    if isinstance(node, ast.Subscript):
        return _computed_by(file, node.value, context, output, depth + 1)
    if isinstance(node, ast.Attribute):
        taken = node.attr in _OUTPUTS
        return _computed_by(file, node.value, context, True, depth + 1) if taken else None
    if isinstance(node, ast.Name):
        values = file.values.evaluate(node, context)
        if len(values) != 1 or not isinstance(values[0].node, ast.expr) or values[0].node is node:
            return None
        return _computed_by(file, values[0].node, values[0].context, output, depth + 1)
    if not isinstance(node, ast.Call):
        return None
    if isinstance(node.func, ast.Attribute) and node.func.attr in _KEEP:
        kept = not any(keyword.arg == "dtype" for keyword in node.keywords)
        return _computed_by(file, node.func.value, context, output, depth + 1) if kept else None
    return (node, context) if output and isinstance(node.func, (ast.Name, ast.Attribute)) else None


def _is_cast(file: File, model: ast.expr) -> bool:
    """Whether the file casts something with the model's name to float32."""
    return re.search(rf"\b{re.escape(ast.unparse(model))}(?:\.\w+\(\))*\.float\(", file.tree.text) is not None
