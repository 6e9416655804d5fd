"""Which of several bindings of a name a call gets, where a fix would add one more.

A name that is bound anywhere in a function is the function's own everywhere in it, also where no binding has run.
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
    """Whether a name may stand for something else than what an import brings; a constant says that there is nothing."""
    if other.kind == "import":
        return other.symbol != binding.symbol
    return other.value is not None and not isinstance(other.value, ast.Constant)


def is_hidden(name: str, scope: Scope, site: Site) -> bool:
    """Whether the call does not get what a scope binds: it is not inside, or a scope between the two binds it too."""
    own = site.context.scope
    return scope not in _around(own) or any(
        inner.binds(name) for inner in _between(own, scope) if inner is own or not inner.is_class
    )


def would_hide(name: str, scope: Scope, scan: Scan) -> bool:
    """Whether a function reads a name from further out, which an import of its own would take away from it."""
    if not scope.is_function or scope.binds(name):
        return False
    assert isinstance(scope.node, ast.stmt) and scan.finder is not None
    start, end = scan.source.start_of(scope.node), scan.source.end_of(scope.node)
    text = scan.source.text
    return any(
        text[start + offset - 1] != "." and scan.finder.words.in_code(start + offset)
        for offset in find_words(text[start:end], name)
    )


def without_hiding(placed: Sequence[tuple[Site, Sequence[Placed]]]) -> Iterator[bool]:
    """For each call in turn, whether it can be rewritten together with the others.

    One that wants an import in a function waits where another call in there gets the name from further out.
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
    """A scope and those it lies in, from the inside out."""
    while scope is not None:
        yield scope
        scope = scope.parent


def _between(scope: Scope, outer: Scope) -> Iterator[Scope]:
    for inner in _around(scope):
        if inner is outer:
            return
        yield inner
