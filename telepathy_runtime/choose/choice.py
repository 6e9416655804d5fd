"""A decision with its reason. Resolvers return choices, and a plan consists of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Choice(Generic[T]):
    """`value` is passed to transformers (None: not passed); `because` is one clause that gives the reason."""

    value: T
    because: str
    warnings: tuple[str, ...] = ()
    # False: `value` is what transformers chooses by default, so it is not passed. The default considers more
    # than the plan can (a part without sdpa, a soft cap); passing a wrong name would raise an error or change
    # results.
    told: bool = True

    def describe(self, name: str) -> str:
        lines = [f"{name} = {show(self.value)}: {self.because}"]
        lines += [f"  warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)


def show(value: object) -> str:
    """Format a value for people: dtypes without `torch.`, classes by name, None as its meaning here."""
    if value is None:
        return "(left to transformers)"
    if isinstance(value, type):
        return value.__name__
    if type(value).__name__.endswith("Config") and hasattr(value, "to_dict"):
        return f"{type(value).__name__}(...)"  # its repr is a page of JSON
    text = repr(value)
    return text[6:] if text.startswith("torch.") else text


def plain(value: Any) -> Any:
    """Convert a value to one that JSON can represent."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return show(value)
