"""Finds arguments that Python code passes to other Python scripts, in command lines built from f-strings or lists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from telepathy_lint.audit.data import Passed
from telepathy_lint.audit.follow import Follower
from telepathy_lint.audit.identifiers import ids_in, place_of

_SCRIPT = re.compile(r"[\w./-]+\.py\b")
#: An option and its value; a placeholder is its number between NUL characters.
_OPTION = re.compile(r"--([A-Za-z][\w-]*)(?:=|\s+)[\"']?(\0(\d+)\0|[^\s\"'\\]+)")


def passed_by(follower: Follower) -> Iterator[Passed]:
    """The ids in each command."""
    tree = follower.file.tree
    if "--" not in tree.text or ".py" not in tree.text:
        return
    lines = tree.lines_of(match.start() for match in _SCRIPT.finditer(tree.text))
    for node in tree.visit(lines):
        if isinstance(node, ast.JoinedStr):
            yield from _of_text(node, node.values, follower)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "--" in node.value:
            if not isinstance(tree.parent.get(node), (ast.JoinedStr, ast.Expr)):
                yield from _of_text(node, [node], follower)
        elif isinstance(node, ast.List):
            yield from _of_list(node, follower)


def _of_text(whole: ast.expr, parts: list[ast.expr], follower: Follower) -> Iterator[Passed]:
    text = "".join(
        str(part.value) if isinstance(part, ast.Constant) else f"\0{index}\0"
        for index, part in enumerate(parts)
    )
    script = _SCRIPT.search(text)
    if script is None:
        return
    for match in _OPTION.finditer(text, script.end()):
        key = match.group(1).replace("-", "_")
        if match.group(3) is not None:
            part = parts[int(match.group(3))]
            if isinstance(part, ast.FormattedValue):
                yield from _of_value(script.group(), key, part.value, follower)
        else:
            for model_id, _ in ids_in(match.group(2)):
                place = place_of(follower.file.tree, whole, follower.path)
                entry = follower.file.tree.source.start_of(whole) + 1
                yield Passed(script.group(), key, model_id, place, entry)


def _of_list(node: ast.List, follower: Follower) -> Iterator[Passed]:
    """`[sys.executable, "train.py", "--model", name]`."""
    words = [
        each.value if isinstance(each, ast.Constant) and isinstance(each.value, str) else ""
        for each in node.elts
    ]
    scripts = [word for word in words if _SCRIPT.fullmatch(word)]
    for index, word in enumerate(words[:-1]):
        if scripts and word.startswith("--"):
            key = word.lstrip("-").replace("-", "_")
            yield from _of_value(scripts[0], key, node.elts[index + 1], follower)


def _of_value(script: str, key: str, value: ast.expr, follower: Follower) -> Iterator[Passed]:
    context = follower.file.tree.context_of(value)
    for chosen in follower.ids(follower.file.values.evaluate(value, context)).chosen:
        yield Passed(script, key, chosen.model_id, chosen.place, chosen.entry)
