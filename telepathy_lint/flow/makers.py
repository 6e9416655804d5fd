"""What following an object gives, and the policies by which one is followed.

MIGHT_BE    everything the object may be. A call into code that cannot be seen is taken to hand its arguments through
            (`prepare(model)`), an attribute's owner counts. For questions like "might something have set it?".
SURELY_IS   only what keeps an object the same; any other call makes an object of its own, and what cannot be seen is
            UNKNOWN. For those who claim something of the object.
IS_ITSELF   the same, without anything wrapped around it: its class's own methods are called.
GRADIENT    what a value was computed from, as far as gradients flow.
PARAMETERS  the same for a list of parameters: each object's own are not looked into.
"""

from __future__ import annotations

import ast
from typing import Final

from telepathy_lint.flow.same_object import Path
from telepathy_lint.flow.tree import Context
from telepathy_lint.named_tuple import NamedTuple

#: Methods that hand out the parameters, or parts, of the object they are called on.
PARTS = frozenset({"parameters", "named_parameters", "modules", "named_modules", "children"})


class Policy(NamedTuple):
    """How an object may get from one expression to another."""

    #: Whether only what keeps the object the same is followed.
    exact: bool = False
    #: Whether what is wrapped around an object counts as another one.
    itself: bool = False
    #: Whether what a value is computed from counts as well.
    computes: bool = False
    #: Methods whose calls are not looked behind.
    ends: frozenset[str] = frozenset()


MIGHT_BE: Final = Policy()
SURELY_IS: Final = Policy(exact=True)
IS_ITSELF: Final = Policy(exact=True, itself=True)
GRADIENT: Final = Policy(computes=True)
PARAMETERS: Final = Policy(computes=True, ends=PARTS)


class _Unknown(ast.expr):
    """Stands for a maker outside the file, as of an inherited attribute."""


UNKNOWN: Final = _Unknown()
#: What a function gets that nothing in the file calls: another file's object, or one that has got outside.
UNFILLED: Final = _Unknown()
Maker = ast.Call | _Unknown
Makers = frozenset[Maker]


#: Everything that stands for makers outside the file.
OUTSIDE: Final[Makers] = frozenset({UNKNOWN, UNFILLED})


def are_open(makers: Makers) -> bool:
    """Whether an object may come from outside of the file."""
    return not OUTSIDE.isdisjoint(makers)


class Edge(NamedTuple):
    """The value of an expression flows on to the one asked for; `path` picks items out of a container."""

    node: ast.expr
    context: Context
    path: Path = ()
