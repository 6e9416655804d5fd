"""A decision together with its reason: what every resolver returns and every plan is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Choice(Generic[T]):
    """`value` is what transformers will be given (None: nothing), `because` one clause that says why."""

    value: T
    because: str
    warnings: tuple[str, ...] = ()
    # False: `value` is what transformers takes by itself, and it is not told. Its default looks at more than the plan can
    # (a part without sdpa, a soft cap), and a name that it would not have taken is an error or other numbers.
    told: bool = True

    def describe(self, name: str) -> str:
        lines = [f"{name} = {show(self.value)}: {self.because}"]
        lines += [f"  warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)


def show(value: object) -> str:
    """A value as a reader wants it: dtypes without `torch.`, classes by name, None as what None means here."""
    if value is None:
        return "(left to transformers)"
    if isinstance(value, type):
        return value.__name__
    text = repr(value)
    return text[6:] if text.startswith("torch.") else text
