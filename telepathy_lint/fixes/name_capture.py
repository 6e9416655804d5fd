"""Determines which binding a call would see if a fix added another one.

A name that is bound anywhere in a function is local in the whole function, even before a binding has run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence

from telepathy_lint.fixes.import_names import Placed
from telepathy_lint.flow.bindings import Binding
from telepathy_lint.flow.tree import Scope
from telepathy_lint.sites import Scan, Site
from telepathy_lint.source.prefilter import find_words


def is_another(other: Binding, binding: Binding) -> bool:
    """Whether a name may refer to something other than the import; a constant means that the import failed."""
    if other.kind == "import":
        return other.symbol != binding.symbol
    return other.value is not None and not isinstance(other.value, ast.Constant)


def is_hidden(name: str, scope: Scope, site: Site) -> bool:
    """Whether the call does not see a scope's binding: it is outside, or a scope in between binds the name too."""
    own = site.context.scope
    return scope not in _around(own) or any(
        inner.binds(name) for inner in _between(own, scope) if inner is own or not inner.is_class
    )


def would_hide(name: str, scope: Scope, scan: Scan) -> bool:
    """Whether a function reads a name from an outer scope, which an import in the function would hide."""
    if not scope.is_function or scope.binds(name):
        return False
    assert isinstance(scope.node, ast.stmt) and scan.file is not None
    start, end = scan.source.start_of(scope.node), scan.source.end_of(scope.node)
    text = scan.source.text
    return any(
        text[start + offset - 1] != "." and scan.file.words.in_code(start + offset)
        for offset in find_words(text[start:end], name)
    )


def without_hiding(placed: Sequence[tuple[Site, Sequence[Placed]]]) -> Iterator[bool]:
    """For each call, yield whether it can be rewritten together with the others.

    A call that needs an import in a function waits if another call in the function uses the name from an
    outer scope.
    """
    from_outside = {
        (inner, each.bound)
        for site, group in placed
        for each in group
        for inner in _between(site.context.scope, each.scope)
    }
    for _, group in placed:
        yield all(each.present or (each.scope, each.bound) not in from_outside for each in group)


def _around(scope: Scope | None) -> Iterable[Scope]:
    """A scope and its enclosing scopes, innermost first."""
    while scope is not None:
        yield scope
        scope = scope.parent


def _between(scope: Scope, outer: Scope) -> Iterator[Scope]:
    for inner in _around(scope):
        if inner is outer:
            return
        yield inner
