"""Decides whether evaluating an expression has side effects."""

from __future__ import annotations

import ast

#: Calls without side effects, which can be removed.
_LOOKING = frozenset(
    {
        "bool", "dict", "float", "getattr", "hasattr", "int", "isinstance", "len", "list", "max", "min", "os.environ.get", "os.getenv", "set", "str", "tuple",
        "torch.cuda.current_device", "torch.cuda.device_count", "torch.cuda.is_available",
        "torch.cuda.is_bf16_supported", "torch.device",
    }
)  # fmt: skip


def acts(value: ast.expr) -> bool:
    """Whether evaluating an expression may have side effects."""
    return any(
        isinstance(node, (ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr))
        or (isinstance(node, ast.Call) and ast.unparse(node.func) not in _LOOKING)
        for node in ast.walk(value)
    )
