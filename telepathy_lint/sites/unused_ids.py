"""Places where a file configures a model that nothing loads, as a look at the whole project found them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from telepathy_lint.settings import UnusedModel
from telepathy_lint.sites.site import Site
from telepathy_lint.source.prefilter import find_words

if TYPE_CHECKING:
    from telepathy_lint.sites.loads import SiteFinder


def entries(finder: SiteFinder, unused: tuple[UnusedModel, ...]) -> Iterator[Site]:
    """The first literal of each id that is compared with nothing and stands for itself."""
    tree = finder.tree
    for model in unused:
        for node in tree.visit(tree.lines_of(find_words(tree.text, model.model_id))):
            if (
                isinstance(node, ast.Constant)
                and node.value == model.model_id
                and not isinstance(tree.parent.get(node), (ast.Compare, ast.Expr))
            ):
                # Not a call, but a place: the literal stands for one.
                place = ast.copy_location(ast.Call(func=node, args=[], keywords=[]), node)
                context = tree.context_of(node)
                yield Site(
                    "entry", tree.source, place, context, ("",), {}, False, model.model_id, indirect=True
                )
                break
