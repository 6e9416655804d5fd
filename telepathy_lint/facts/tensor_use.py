"""What is made of the result of `apply_chat_template`: a tensor, as transformers 4 gives it, or a mapping, as 5 does."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.onward import onward
from telepathy_lint.sites import Site

#: Attributes that tensors have and encodings have not.
_OF_TENSORS = frozenset(
    {
        "shape",
        "size",
        "dim",
        "ndim",
        "numel",
        "unsqueeze",
        "squeeze",
        "repeat",
        "tolist",
        "cuda",
        "view",
        "expand",
        "norm",
        "detach",
        "cpu",
        "numpy",
        "float",
    }
)
_OF_ENCODINGS = frozenset(
    {"input_ids", "attention_mask", "items", "keys", "values", "data", "get", "pop", "update"}
)
#: Functions that get ids: the length of an encoding is the number of its keys.
_OF_IDS = frozenset({"generate", "decode", "batch_decode", "convert_ids_to_tokens"})
#: Functions by which code tells apart what it got.
_TELL_APART = frozenset({"hasattr", "isinstance", "getattr"})
#: Methods that give back the same.
_SAME = frozenset({"to"})


def used_as_tensor(site: Site) -> bool:
    """Whether a result is surely used as a tensor or list of ids, and nowhere as a mapping."""
    uses = set(_uses(site.call, site, 0))
    return True in uses and False not in uses


def _uses(node: ast.expr, site: Site, depth: int) -> Iterator[bool | None]:
    """For each use: True for a tensor's, False for a mapping's or for a test of what it is, None where it fits both or cannot be told."""
    tree = site.file.tree
    step = onward(node, tree.parent)
    if step.how == "method" and isinstance(step.holder, ast.Attribute) and step.call is not None:
        if step.holder.attr in _SAME:
            yield from _uses(step.call, site, depth)
        else:
            yield _attribute(step.holder.attr)
    elif step.how == "attribute" and isinstance(step.holder, ast.Attribute):
        yield _attribute(step.holder.attr)
    elif step.how == "opened" and isinstance(step.holder, ast.Subscript):
        index = step.holder.slice
        yield not (isinstance(index, ast.Constant) and isinstance(index.value, str))
    elif step.how == "spread":
        yield False
    elif step.how == "argument" and step.call is not None:
        yield _argument(step.call, step.keyword)
    elif (
        step.how == "bound" and len(step.targets) == 1 and isinstance(step.targets[0], ast.Name) and depth < 4
    ):
        yield from _of_name(step.targets[0].id, node, site, depth)
    elif step.how == "operand" and isinstance(step.holder, ast.BinOp):
        yield True  # encodings cannot be added or multiplied
    elif step.how == "looped":
        yield True  # over ids; over the keys of an encoding makes no sense
    elif step.how == "item" and isinstance(step.holder, ast.Dict):
        yield True if _is_ids(step.holder, node) else None
    elif step.how == "dropped":
        return
    else:
        yield None


def _of_name(name: str, node: ast.expr, site: Site, depth: int) -> Iterator[bool | None]:
    """The uses of what a name is bound to, in its own scope, up to where the same block binds it again."""
    tree, scope = site.file.tree, site.context.scope
    while scope.is_class and scope.parent is not None:
        scope = scope.parent
    first, last = 0, 0
    bindings = scope.bindings.get(name, ())
    if len(bindings) != 1:
        own = tree.context_of(node).stmt
        blocks = {tree.parent.get(each.stmt) for each in bindings}
        if len(blocks) != 1 or not isinstance(own, ast.stmt) or tree.parent.get(own) not in blocks:
            yield None
            return
        if isinstance(tree.parent.get(own), (ast.For, ast.While, ast.AsyncFor)):
            yield None
            return
        first = own.lineno + 1
        last = min((line for each in bindings if (line := each.stmt.end_lineno or 0) >= first), default=0)  # type: ignore[attr-defined]
    for use in tree.visit(tree.lines_of(site.file.words.find(name))):
        read = isinstance(use, ast.Name) and use.id == name and isinstance(use.ctx, ast.Load)
        if not read or tree.scope_of(use) is not scope:
            continue
        assert isinstance(use, ast.Name)
        if first <= use.lineno and (not last or use.lineno <= last):
            yield from _uses(use, site, depth + 1)


def _attribute(name: str) -> bool | None:
    if name in _OF_TENSORS:
        return True
    return False if name in _OF_ENCODINGS else None


def _is_ids(holder: ast.Dict, node: ast.AST) -> bool:
    """Whether a value is the ids of a dict that is written out."""
    return any(
        value is node and isinstance(key, ast.Constant) and key.value in ("input_ids", "labels")
        for key, value in zip(holder.keys, holder.values, strict=True)
    )


def _argument(call: ast.Call, keyword: str | None) -> bool | None:
    called = dotted(call.func) or ""
    if called in _TELL_APART:
        return False
    if (
        called == "len"
        or called.rpartition(".")[2] in _OF_IDS
        or keyword in ("input_ids", "inputs", "prompt_token_ids")
    ):
        return True
    return (
        True if called.startswith(("torch.tensor", "torch.cat", "torch.stack", "torch.LongTensor")) else None
    )
