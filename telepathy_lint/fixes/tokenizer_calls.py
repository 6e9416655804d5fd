"""How a use of a tokenizer that transformers 5 removed is written now; imported where something was reported."""

from __future__ import annotations

import ast
from collections.abc import Callable

from telepathy_lint.facts.own_methods import is_made
from telepathy_lint.findings.change import Change, Repair
from telepathy_lint.rule import written
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Argument, Site

#: The first release whose `apply_chat_template` takes `return_dict`; before, fast tokenizers raise a TypeError.
_RETURN_DICT = (4, 38)


def repair(site: Site, name: str, settings: Settings) -> Repair | None:
    """The fix of a method or argument of a tokenizer; None where it depends on the code."""
    if name == "apply_chat_template":
        lowest = settings.target_version
        known = lowest is None or lowest >= _RETURN_DICT
        change = Change(added=(("return_dict", "False"),))
        return Repair("safe" if known else "unsafe", "pass return_dict=False", change)
    if name in ("encode_plus", "batch_encode_plus") and isinstance(site.call.func, ast.Attribute):
        # Further on, the positions of the tokenizer are those of other arguments.
        alike = 1 if name == "batch_encode_plus" else 2
        if len(site.call.args) > alike or any(isinstance(each, ast.Starred) for each in site.call.args):
            return None
        start, end = site.range_of(site.call.func.value)
        change = Change(func=site.source.text[start:end])
        found = _batch(site, change) if name == "batch_encode_plus" else _single(site, change)
        return found._replace(safety="unsafe") if found is not None and is_made(site, name) else found
    return _padded(site, settings) if name == "pad_to_max_length" else None


def _single(site: Site, change: Change) -> Repair:
    """`encode_plus` as a call of the tokenizer: safe where its text is surely none of several."""
    text = site.argument("text")
    sure = text is not None and all(
        value.kind == "text" or (value.kind == "const" and isinstance(value.data, str))
        for value in text.values
    )
    if text is not None and not sure:
        sure = _is_everywhere(site, _given(text), _is_text)
    return Repair("safe" if sure else "unsafe", "call the tokenizer", change)


def _batch(site: Site, change: Change) -> Repair | None:
    """`batch_encode_plus` as a call of the tokenizer, which takes lists and tuples only; slow tokenizers took all that holds texts."""
    name = "batch_text_or_text_pairs"
    by_name = name in site.arguments
    texts = site.argument(name if by_name else "text")
    if texts is None:
        return Repair("unsafe", "call the tokenizer", change)
    given = _given(texts)
    if by_name:
        # Its first argument has another name than the tokenizer's.
        change = change._replace(renamed=((name, "text"),))
    displayed = all(isinstance(value.node, (ast.List, ast.Tuple)) for value in texts.values)
    if (texts.values and displayed) or _is_everywhere(site, given, _is_list):
        return Repair("safe", "call the tokenizer", change)
    if isinstance(given, ast.GeneratorExp) or _is_bound(site, "list"):
        return None
    start, end = site.range_of(given)
    listed = f"list({site.source.text[start:end]})"
    if by_name:
        change = change._replace(replaced=((name, listed),), rebuilt=(name,))
    else:
        change = change._replace(positional=((0, listed),))
    return Repair("safe", "call the tokenizer", change)


#: From this release on, some tokenizers ignore `pad_to_max_length` and others refuse it.
_IGNORED = (4, 57)


def _padded(site: Site, settings: Settings) -> Repair | None:
    """What `pad_to_max_length=True` did: pad to `max_length` and cut to it, or pad to the longest text where there is none."""
    argument, length = site.argument("pad_to_max_length"), site.argument("max_length")
    if argument is None or argument.how != "keyword" or written(argument) is not True:
        return None
    taken = "padding" in site.arguments or "truncation_strategy" in site.arguments
    if taken or site.opaque or len(site.call.args) > 2:
        return None
    none = length is None or written(length) is None
    if length is not None and not none and (length.optional or any(each.is_none for each in length.values)):
        return None
    cut = "truncation" not in site.arguments and not none
    change = Change(
        renamed=(("pad_to_max_length", "padding"),),
        replaced=(("pad_to_max_length", "True" if none else '"max_length"'),),
        added=(("truncation", "True"),) if cut else (),
    )
    lowest = settings.target_version
    safe = lowest is None or lowest < _IGNORED
    return Repair("safe" if safe else "unsafe", "pass padding", change)


def _given(argument: Argument) -> ast.expr:
    given = argument.node.value if isinstance(argument.node, ast.keyword) else argument.node
    assert isinstance(given, ast.expr)
    return given


def _is_bound(site: Site, name: str) -> bool:
    return any(scope.binds(name) for scope in site.file.tree.all_scopes())


def _is_everywhere(site: Site, given: ast.expr, is_it: Callable[[ast.AST], bool]) -> bool:
    """Whether an expression is of a kind as it is written, or a name that only ever gets such."""
    bound = site.context.scope.bindings.get(given.id, ()) if isinstance(given, ast.Name) else ()
    return is_it(given) or (
        bool(bound) and all(each.value is not None and not each.path and is_it(each.value) for each in bound)
    )


#: Methods that only strings have, and that give a string.
_OF_STRINGS = frozenset(
    {"join", "lower", "upper", "strip", "rstrip", "lstrip", "format", "title", "capitalize"}
)


def _is_text(node: ast.AST) -> bool:
    """Whether an expression gives a string by how it is written: `str(x)`, an f-string, `" ".join(x)`."""
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        return True
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) or (isinstance(node.op, ast.Add) and _is_text(node.right))
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name):
        return node.func.id == "str"
    if not isinstance(node.func, ast.Attribute) or node.func.attr not in _OF_STRINGS:
        return False
    # Columns of a table have some of these names too, one accessor further on.
    return isinstance(node.func.value, (ast.Constant, ast.JoinedStr)) or _is_text(node.func.value)


#: Functions and methods that give a list.
_GIVE_LISTS = ("list", "tuple", "sorted")
_METHODS_THAT_GIVE_LISTS = ("tolist", "to_list", "splitlines")


def _is_list(node: ast.AST) -> bool:
    """Whether an expression gives a list or tuple by how it is written: a display, `list(x)`, `x.tolist()`."""
    if isinstance(node, (ast.List, ast.Tuple, ast.ListComp)):
        return True
    if isinstance(node, ast.Subscript):
        return isinstance(node.slice, ast.Slice) and _is_list(node.value)
    if isinstance(node, ast.BinOp):
        # A list and an array give an array.
        return _is_list(node.left) and (not isinstance(node.op, ast.Add) or _is_list(node.right))
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name):
        return node.func.id in _GIVE_LISTS
    return isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS_THAT_GIVE_LISTS
