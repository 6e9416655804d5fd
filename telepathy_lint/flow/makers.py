"""The results of following an object, and the policies for it.

MIGHT_BE    all calls that the object may come from. A call of unknown code is assumed to return its arguments
            (`prepare(model)`), and the owner of an attribute counts. For questions such as "may something
            have set it?".
SURELY_IS   only steps that keep the same object; any other call creates a new object, and unknown sources are
            UNKNOWN. For claims about an object.
IS_ITSELF   the same, without wrappers around the object, so that its class's own methods are called.
IS_ADAPTED  the same, and a call that takes the adapters off a model gives another object.
GRADIENT    the calls that a value was computed from, as far as gradients flow.
PARAMETERS  the same for a list of parameters; an object's own parameters are not followed.
"""

from __future__ import annotations

import ast

from telepathy_lint.flow.same_object import UNADAPTING, Path
from telepathy_lint.flow.tree import Context
from telepathy_lint.hints import Final, NamedTuple

#: Methods that return the parameters or parts of their object.
PARTS = frozenset({"parameters", "named_parameters", "modules", "named_modules", "children"})


class Policy(NamedTuple):
    """Which steps are followed from an expression to its object."""

    #: Whether to follow only steps that keep the same object.
    exact: bool = False
    #: Whether a wrapper counts as a different object.
    itself: bool = False
    #: Whether to follow the operands of computations.
    computes: bool = False
    #: Methods whose calls are not followed.
    ends: frozenset[str] = frozenset()


MIGHT_BE: Final = Policy()
SURELY_IS: Final = Policy(exact=True)
IS_ITSELF: Final = Policy(exact=True, itself=True)
IS_ADAPTED: Final = Policy(exact=True, itself=True, ends=UNADAPTING)
GRADIENT: Final = Policy(computes=True)
PARAMETERS: Final = Policy(computes=True, ends=PARTS)


class _Unknown(ast.expr):
    """A placeholder for makers outside the file, for example of an inherited attribute."""


UNKNOWN: Final = _Unknown()
#: The argument of a function that nothing in the file calls: an object from another file, or one that left
#: this file.
UNFILLED: Final = _Unknown()
Maker = ast.Call | _Unknown
Makers = frozenset[Maker]


#: All placeholders for makers outside the file.
OUTSIDE: Final[Makers] = frozenset({UNKNOWN, UNFILLED})


def are_open(makers: Makers) -> bool:
    """Whether an object may come from outside the file."""
    return not OUTSIDE.isdisjoint(makers)


class Edge(NamedTuple):
    """A step: the value of this expression flows to the one in question; `path` are the indices into a container."""

    node: ast.expr
    context: Context
    path: Path = ()
