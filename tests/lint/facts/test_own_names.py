"""The names that a file gives to modules, put in full into its expressions."""

from __future__ import annotations

import ast

import pytest

from telepathy_lint.facts.own_names import read_as_usual


@pytest.mark.parametrize(
    ("code", "names", "expected"),
    [
        ("N.dot(a, N.ones(2))", {"N": "numpy"}, "numpy.dot(a, numpy.ones(2))"),
        ("call(*[N], key=N)", {"N": "numpy"}, "call(*[numpy], key=numpy)"),
        ("torch.Linear(torch)", {"torch": "torch.nn"}, "torch.nn.Linear(torch.nn)"),
        ("a @ b", {"N": "numpy"}, "a @ b"),
    ],
)
def test_names_are_put_in_full(code: str, names: dict[str, str], expected: str) -> None:
    node = ast.parse(code, mode="eval").body
    assert ast.unparse(read_as_usual(node, names)) == expected
    assert ast.unparse(node) == code  # it has a copy
