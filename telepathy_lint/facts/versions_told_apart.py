"""Whether code asks which release it runs on: what it does for one of them is no mistake."""

from __future__ import annotations

import ast

from telepathy_lint.sites import Site

#: Parts of conditions that ask for a release, or for what one has: `transformers_lt_4_56`, `version.parse(...)`, `hasattr(...)`.
_ASKING = (
    "version", "signature", "hasattr", "__dataclass_fields__", "_available", "getattr", "find_spec", "parameters", "transformers",
    "trl_",
)  # fmt: skip
_CAUGHT = ("TypeError", "ImportError", "ModuleNotFoundError", "AttributeError", "ValueError", "Exception")


def depends_on_release(site: Site) -> bool:
    """Whether a condition on the release, or a handler for what another release raises, stands around a site."""
    tree = site.context.scope.tree
    node: ast.AST | None = site.node
    while node is not None:
        above = tree.parent.get(node)
        if isinstance(above, (ast.If, ast.IfExp, ast.While)) and node is not above.test:
            if any(word in ast.unparse(above.test).lower() for word in _ASKING):
                return True
        elif isinstance(above, ast.Try) and node in above.body:
            if any(_catches(handler) for handler in above.handlers):
                return True
        elif isinstance(above, ast.Try) and any(
            # The parent of a statement is its handler or, where the whole scope was read, the `try`.
            _catches(one)
            for one in above.handlers
            if node is one or node in one.body
        ):
            return True
        node = above
    return False


def _catches(handler: ast.ExceptHandler) -> bool:
    caught = ast.unparse(handler.type) if handler.type is not None else "Exception"
    if any(name in caught for name in _CAUGHT[:4]):
        return True
    # A handler for everything that goes on is one for another release, too; one that raises again or ends is not.
    return any(name in caught for name in _CAUGHT) and not any(
        isinstance(each, ast.Raise) for stmt in handler.body for each in ast.walk(stmt)
    )
