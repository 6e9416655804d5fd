"""Formats bytes for display: GiB with two decimals, or MiB or KiB. Bytes are formatted only here."""

from __future__ import annotations

GIB, MIB, KIB = 2**30, 2**20, 2**10


def gib(size: int) -> str:
    """Format `size` bytes with a binary unit."""
    if abs(size) >= GIB / 10:
        return f"{size / GIB:.2f} GiB"
    if abs(size) >= MIB:
        return f"{size / MIB:.1f} MiB"
    return f"{size / KIB:.1f} KiB" if abs(size) >= KIB else f"{size} B"


def parse(text: str) -> int:
    """The bytes of a text such as "79.19 GiB" or "512 MiB", as written by PyTorch.

    Raises ValueError for anything else.
    """
    number, _, unit = text.strip().partition(" ")
    factors = {"GiB": GIB, "MiB": MIB, "KiB": KIB, "bytes": 1, "B": 1}
    if unit not in factors:
        raise ValueError(f"not a size with a binary unit: {text!r}")
    return round(float(number) * factors[unit])
