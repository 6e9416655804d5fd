"""Imports from transformers, and names looked up in it: each may be gone in another release."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.file import File
from telepathy_lint.knowledge.migration import OLD_VALUES, PEFT_NAMES, moved_in_trl, removed_since
from telepathy_lint.sites.site import Site

_PACKAGES = ("transformers", "trl", "peft")
#: Paths of modules of these packages.
_OWN = r"/(?:src/transformers|trl/(?:trainer|models|extras|environment|scripts)|src/peft)/"


def find(file: File) -> Iterator[Site]:
    """A site for each import statement, or attribute of the package, of something that is gone; `classes` has the dotted names."""
    if not any(package in file.tree.text for package in _PACKAGES):
        return
    tree = file.tree
    if re.search(_OWN, f"/{file.source.path}".replace("\\", "/")):
        return  # a copy of the package imports itself
    packages: dict[str, str] = {}
    for node in tree.visit(tree.lines_of(file.words.find("import"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if node.module.partition(".")[0] in _PACKAGES:
                gone = tuple(
                    name
                    for each in node.names
                    if is_gone(name := f"{node.module}.{each.name}") and each.name != "*"
                )
                if gone or is_gone(node.module):
                    yield _site(file, node, gone or (node.module,))
        elif isinstance(node, ast.Import):
            for each in node.names:
                if each.name.partition(".")[0] in _PACKAGES:
                    if each.name in _PACKAGES:
                        packages[each.asname or each.name] = each.name
                    elif is_gone(each.name):
                        yield _site(file, node, (each.name,))
    for node in tree.visit(tree.lines_of(file.words.find("OptimizerNames"))):
        if (
            isinstance(node, ast.Attribute)
            and ("optim", node.attr.lower()) in OLD_VALUES
            and node.attr.isupper()
        ):
            symbols = {value.data for value in file.values.evaluate(node.value, tree.context_of(node))}
            if (
                len(symbols) == 1
                and str(*symbols).endswith(".OptimizerNames")
                and str(*symbols).startswith("transformers.")
            ):
                yield _site(file, node, (f"{symbols.pop()}.{node.attr}",))
    for node in tree.visit(tree.lines_of(file.words.find("getattr"))) if packages else ():
        if isinstance(node, ast.Call) and (looked_up := _looked_up(file, node, packages)):
            yield _site(file, node, (looked_up,))
    for name, package in packages.items():
        for node in tree.visit(tree.lines_of(file.words.find(name))):
            if not isinstance(node, ast.Attribute) or isinstance(tree.parent.get(node), ast.Attribute):
                continue
            written = dotted(node) or ""
            if written == f"{name}._import_structure" and package == "transformers":
                yield _site(file, node, (f"{package}.{node.attr}",))
                continue
            symbol = f"{package}{written.removeprefix(name)}"
            if written.startswith(f"{name}.") and isinstance(node.ctx, ast.Load) and (part := _part(symbol)):
                values = file.values.evaluate(_root(node), tree.context_of(node))
                if all(value.kind == "symbol" and value.data == package for value in values):
                    yield _site(file, node, (part,))


def _looked_up(file: File, node: ast.Call, packages: dict[str, str]) -> str:
    """The dotted name that `getattr(transformers, "AdamW")` asks for, if it is gone; "" where it has another value for that case."""
    if dotted(node.func) != "getattr" or len(node.args) != 2:
        return ""
    holder, given = node.args
    if not isinstance(holder, ast.Name) or holder.id not in packages:
        return ""
    if not isinstance(given, ast.Constant) or not isinstance(given.value, str):
        return ""
    values = file.values.evaluate(holder, file.tree.context_of(node))
    symbol = f"{packages[holder.id]}.{given.value}"
    known = all(value.kind == "symbol" and value.data == packages[holder.id] for value in values)
    return symbol if known and is_gone(symbol) else ""


def is_gone(symbol: str) -> bool:
    """Whether a dotted name of transformers, trl or peft is in no newest release."""
    if symbol.startswith("peft."):
        return symbol.rpartition(".")[2] in PEFT_NAMES
    return (removed_since(symbol) if symbol.startswith("transformers.") else moved_in_trl(symbol)) is not None


def _part(symbol: str) -> str:
    """The first two or more parts of a chain that are gone, "" where none is."""
    parts = symbol.split(".")
    for count in range(2, len(parts) + 1):
        if is_gone(one := ".".join(parts[:count])):
            return one
    return ""


def _root(node: ast.expr) -> ast.expr:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node


def _site(file: File, node: ast.expr | ast.stmt, names: tuple[str, ...]) -> Site:
    return Site(
        "removed_name", file, node, file.tree.context_of(node), names, {}, opaque=False, model_id=None
    )
